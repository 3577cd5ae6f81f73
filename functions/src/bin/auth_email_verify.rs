//! `POST /auth/email-verify`: proves an address with the token of a mailed link.
//!
//! | token of | sent with it | what happens |
//! |---|---|---|
//! | a sign-up | `password`, and `username` unless it is the address | account and first agent are made, `active` |
//! | an account | nothing | the account's address is verified; an `initial` account becomes `active` |
//!
//! Two steps: the token and what it is about, then one transaction that uses it up.

use serde::Deserialize;
use shared::app::App;
use shared::auth::count_attempt;
use shared::domain::lifecycle::Command;
use shared::domain::value::{NewPassword, deserialize_present};
use shared::domain::{Actor, Customer, Error, PresentedToken, Purpose, Username};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_by_token;
use shared::runtime::Endpoint;
use shared::sign_up::complete;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: PresentedToken,
    #[serde(default, deserialize_with = "deserialize_present")]
    username: Option<Username>,
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<NewPassword>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body: Body = request.json()?;
    let (issued, account) =
        count_attempt(app, &request, app.store.get_mailed_token(&body.token)).await?;
    let issued = issued.filter(|issued| issued.is_valid(app.now())).ok_or(Error::TokenInvalid)?;
    let customer = match (issued.purpose, issued.sign_up, account) {
        (Purpose::SignUp, Some(sign_up), _) => {
            let missing =
                || Error::invalid_field("password", "is missing; choose one to log in with");
            let password = body.password.ok_or_else(missing)?;
            complete(app, &body.token, &sign_up, body.username, &password).await?
        }
        (Purpose::EmailVerification, _, Some(account)) => {
            body.is_alone()?;
            if account.email.hash() != Some(issued.address) {
                return Err(Error::TokenInvalid);
            }
            prove(app, &body.token, account).await?
        }
        _ => return Err(Error::TokenInvalid),
    };
    Reply::ok(view::ProvenView { customer: view::CustomerView::from(&customer) })
}

/// Verifies the address of an account.
async fn prove(app: &App, token: &PresentedToken, account: Customer) -> Result<Customer, Error> {
    let (by, command) =
        (Actor::mailed_link(account.id), Command::ProveEmail(account.email.clone()));
    let (_, after) = transition_by_token(app, by, account, &command, &token.hash).await?;
    Ok(after)
}

impl Body {
    /// Refuses fields that only the token of a sign-up is sent with.
    fn is_alone(&self) -> Result<(), Error> {
        let fields = [("username", self.username.is_some()), ("password", self.password.is_some())];
        match fields.into_iter().find(|(_, is_sent)| *is_sent) {
            Some((name, _)) => {
                let rule = "must be left out: the link is for an account that has its agents";
                Err(Error::invalid_field(name, rule))
            }
            None => Ok(()),
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

shared::hashing_main!(endpoint);

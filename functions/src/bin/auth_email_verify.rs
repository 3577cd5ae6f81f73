//! `POST /auth/email-verify`: proves an address with the token of a mailed link.
//!
//! | token of | sent with it | what happens |
//! |---|---|---|
//! | a sign-up | `password`, and `username` unless it is the address | account and first agent are made, `active` |
//! | an account | nothing | the account's address is verified; an `initial` account becomes `active` |
//!
//! Two steps: the token and what it is about, then one transaction that uses it up. Longer than other endpoints, because
//! it is both.

use serde::Deserialize;
use shared::app::App;
use shared::auth::count_attempt;
use shared::domain::lifecycle::Command;
use shared::domain::sign_up::SignUp;
use shared::domain::value::{NewPassword, deserialize_present};
use shared::domain::webhook::WebhookSecret;
use shared::domain::{
    Actor, Customer, Error, EventType, FirstAdmin, Login, PresentedToken, Purpose, Registration,
    Username,
};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_by_token;
use shared::password;
use shared::runtime::Endpoint;
use shared::store::customer::NewCustomer;

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
        (Purpose::SignUp, Some(sign_up), _) => register(app, body, &sign_up).await?,
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

/// Makes the account of a sign-up, and its first agent.
async fn register(app: &App, body: Body, sign_up: &SignUp) -> Result<Customer, Error> {
    let missing = || Error::invalid_field("password", "is missing; choose one to log in with");
    let password = body.password.ok_or_else(missing)?;
    let username = sign_up.username(body.username)?;
    let password_hash = password::hash(password.for_agent(&username)?)?;

    let now = app.now();
    let (id, admin) = (app.new_id(now), FirstAdmin { id: app.new_id(now), username });
    let secret = WebhookSecret::new(app.new_secret());
    let Registration { customer, admin } = Customer::sign_up(id, sign_up, secret, admin, now);
    let login = Login::new(customer.id, &admin, password_hash);
    let invitation = None;
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation };
    let by = Actor::agent(customer.id, admin.id, admin.permission);
    let event = app.event(EventType::CustomerCreated, customer.id, Vec::new(), by, now);
    app.store.insert_signed_up(&new, &event, &body.token.hash).await?;
    Ok(customer)
}

/// Verifies the address of an account.
async fn prove(app: &App, token: &PresentedToken, account: Customer) -> Result<Customer, Error> {
    let (by, command) =
        (Actor::mailed_link(account.id), Command::ProveEmail(account.email.clone()));
    let (_, after) = transition_by_token(app, by, account, &command, &token.hash).await?;
    Ok(after)
}

impl Body {
    /// Refuses what only a sign-up's token is sent with.
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

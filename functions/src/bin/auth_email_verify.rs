//! `POST /auth/email-verify`: verifies an e-mail address with the token of a link that was mailed to it.
//!
//! | the token is for | the request also contains | effect |
//! |---|---|---|
//! | a sign-up | `password`, and `username` unless it is the address | account (`active`) and first agent are created |
//! | an account | nothing | the account's address is verified; an `initial` account becomes `active` |

use serde::Deserialize;
use shared::app::App;
use shared::auth::count_attempt;
use shared::domain::value::{NewPassword, deserialize_present};
use shared::domain::{Error, PresentedToken, Purpose, Username};
use shared::http::{Reply, Request, view};
use shared::lifecycle::prove_email;
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
            let password = body.password.ok_or_else(|| {
                Error::invalid_field("password", "is missing; choose one to log in with")
            })?;
            complete(app, &body.token, &sign_up, body.username, &password).await?
        }
        (Purpose::EmailVerification, _, Some(account)) => {
            refuse("username", body.username.is_some())?;
            refuse("password", body.password.is_some())?;
            prove_email(app, &body.token, issued.address, account).await?
        }
        _ => return Err(Error::TokenInvalid),
    };
    Reply::ok(view::ProvenView { customer: view::CustomerView::from(&customer) })
}

/// Refuses a field that may be sent only with the token of a sign-up.
fn refuse(field: &'static str, is_sent: bool) -> Result<(), Error> {
    let rule = "must be left out: the link is for an account that has its agents";
    if is_sent { Err(Error::invalid_field(field, rule)) } else { Ok(()) }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

shared::hashing_main!(endpoint);

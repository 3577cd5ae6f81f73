//! `POST /auth/password-reset`: sets an agent's password with the token of a mailed link: a new password in place of a
//! forgotten one, or the first password of an invited agent. It works as long as the account's state allows the agent
//! to log in. All sessions and all other mailed links of the agent end.
//!
//! Two round trips: the first counts the attempt and reads the token, the account and the agent; the second
//! writes the password. A password is hashed only if the token exists, and a refused request leaves the token
//! valid.

use serde::Deserialize;
use shared::app::App;
use shared::auth::count_attempt;
use shared::domain::gate::{Party, Write};
use shared::domain::value::NewPassword;
use shared::domain::{Actor, Error, EventType, Kind, PresentedToken};
use shared::http::{Reply, Request};
use shared::password;
use shared::runtime::Endpoint;
use shared::store::agent::MailedPassword;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: PresentedToken,
    password: NewPassword,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body: Body = request.json()?;

    let found = app.store.get_token_and_agent(&body.token);
    let found = count_attempt(app, &request, found).await?;
    let (token, customer, agent) = found.ok_or(Error::TokenInvalid)?;
    token.require_password_of(&agent, app.now())?;
    let account = customer.writable(Party::Owner, Write::Reset);
    let account = account.map_err(|_| Error::TokenInvalid)?;

    let hash = password::hash(body.password.for_agent(&agent.username)?)?;
    let (now, subjects) = (app.now(), vec![agent.id.uuid()]);
    let by = Actor::mailed_link(account.id);
    let event = app.event(EventType::Updated(Kind::Agent), account.id, subjects, by, now);
    let new = MailedPassword { hash, token: &body.token, purpose: token.purpose };
    app.store.reset_agent_password(account, &agent, &new, &event).await?;

    Reply::empty()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

shared::hashing_main!(endpoint);

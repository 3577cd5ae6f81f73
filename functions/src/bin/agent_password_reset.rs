//! `POST /v1.0/agents/{id}/password-reset`: mails a link for choosing a new password to an agent of the
//! caller's account; an operator can choose another account with `customer_id`. The caller neither chooses
//! nor sees the password.

use shared::app::App;
use shared::auth::caller_and_agent;
use shared::domain::gate::Write;
use shared::domain::idempotency::IdempotencyRecord;
use shared::domain::mail_intent::Intent;
use shared::domain::{Error, EventType, Permission};
use shared::http::{ACCOUNT, Reply, Request};
use shared::runtime::{self, Endpoint};
use shared::store::agent::ResetRequest;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_agent(app, &request, Permission::ADMIN).await?;
    let (account, agent) = found?;
    let target = account.writable(request.party(), Write::Reset)?;
    caller.require_over(&agent)?;
    app.require_mail()?;
    agent.reset_address(&account).ok_or(Error::AgentUnreachable)?;

    let (now, subjects, by) = (app.now(), vec![agent.id.uuid()], caller.actor());
    let event_type = EventType::AgentResetRequested;
    let event = app.event(event_type, account.id, subjects, by, now);
    let intent = Intent::PasswordReset { login: agent.login, digest: agent.username.digest() };
    let asked = ResetRequest { intent, agent: agent.id, quota: app.quotas.mails_per_address };
    app.store.insert_reset_request(target, &asked, &event).await?;

    Reply::empty()
}

/// Returns the response to a request repeated with the same idempotency key: an empty object, like the first
/// response.
async fn replay(_: &'static App, _: IdempotencyRecord) -> Result<Reply, Error> {
    Reply::empty()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).replay(replay)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `PUT /v1.0/agents/{id}/password`: sets the caller's own password or, if the caller is an admin, another agent's. The
//! caller's current password is in `current_password`. All sessions of the agent end, except the one that sends the
//! request. With `keys`, allowed for one's own password only, the access keys that act for the agent are deleted.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_agent_of_password;
use shared::domain::gate::Write;
use shared::domain::value::{NewPassword, Password, deserialize_present};
use shared::domain::{Agent, Error, EventType, Kind};
use shared::http::{Reply, Request, view};
use shared::runtime::Endpoint;
use shared::store::{agent::NewPasswordHash, revise};
use shared::{password, replay};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    password: NewPassword,
    #[serde(default, deserialize_with = "deserialize_present")]
    #[expect(dead_code, reason = "verified with the caller")]
    current_password: Option<Password>,
    /// Whether to delete the access keys that act for the agent; allowed for the caller's own password only.
    #[serde(default)]
    keys: bool,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, agent, own_session) = caller_and_agent_of_password(app, &request).await?;
    caller.require_session()?;
    let write = if own_session.is_some() { Write::Credentials } else { Write::Change };
    let (caller, account, by, agent) = (&caller, caller.own(write)?, caller.actor(), agent?);
    caller.require_over(&agent)?;
    let (body, conditions) = (request.json::<Body>()?, &request.preconditions()?);
    caller.require_step_up()?;
    if body.keys && own_session.is_none() {
        let rule = "is for one's own password; delete another agent's keys one by one";
        return Err(Error::invalid_field("keys", rule));
    }
    let hash = password::hash(body.password.for_agent(&agent.username)?)?;
    let new = &NewPasswordHash { hash, kept_session: own_session, ends_keys: body.keys };
    let updated = revise(agent, |agent| async move {
        caller.require_over(&agent)?;
        conditions.require(&view::AgentView::new(account.id, &agent))?;
        let (now, subjects) = (app.now(), vec![agent.id.uuid()]);
        let event = app.event(EventType::Updated(Kind::Agent), account.id, subjects, by, now);
        let ended =
            |keys| app.event(EventType::Deleted(Kind::AccessKey), account.id, keys, by, now);
        let update = app.store.update_agent_password(account, &agent, new, &event, ended).await?;
        Ok((update, Agent { tm_update: now, ..agent }))
    })
    .await?;
    Reply::state(view::AgentView::new(account.id, &updated))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::agent)
}

shared::hashing_main!(endpoint);

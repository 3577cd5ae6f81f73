//! `PUT /v1.0/agents/{id}/password`: sets an agent's password, with one's own in `current_password`. All sessions of the
//! agent end, except the calling one.
//!
//! | whose password | who may | with `keys` |
//! |---|---|---|
//! | one's own | any agent | the access keys that act for it end, too |
//! | another agent's | admin | – (refused) |
//!
//! Longer than other endpoints, because it is both: one's own without any permission, others' with it.

use serde::Deserialize;
use shared::app::App;
use shared::auth::{self, caller_and_agent_with_step_up, caller_with_password};
use shared::domain::gate::{Access, Write};
use shared::domain::value::{NewPassword, Password, deserialize_present};
use shared::domain::{Agent, Credential, Error, EventType, Kind, Permission};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::agent::NewPasswordHash;
use shared::store::revise;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    password: NewPassword,
    #[serde(default, deserialize_with = "deserialize_present")]
    #[expect(dead_code, reason = "verified with the caller")]
    current_password: Option<Password>,
    /// Whether the access keys that act for the agent end.
    #[serde(default)]
    keys: bool,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let own_session = own_session(&request)?;
    let (caller, agent) = if own_session.is_some() {
        let current = request.current_password();
        let (access, anyone) = (Access::Credentials, Permission::NONE);
        let caller = caller_with_password(app, &request, access, anyone, current.as_ref()).await?;
        let agent = caller.agent.clone();
        (caller, Ok(agent))
    } else {
        caller_and_agent_with_step_up(app, &request, Permission::ADMIN).await?
    };
    caller.require_session()?;
    let write = if own_session.is_some() { Write::Credentials } else { Write::Change };
    let (caller, account, by) = (&caller, caller.own(write)?, caller.actor());
    let agent = agent?;
    caller.require_over(&agent)?;
    let (body, conditions) = (request.json::<Body>()?, &request.preconditions()?);
    caller.require_step_up()?;
    body.is_for(own_session.is_some())?;

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

/// Returns the hash of the caller's session token, if the path names the caller.
fn own_session(request: &Request) -> Result<Option<String>, Error> {
    let is_own = |id| request.path_id().is_ok_and(|named| named == id);
    Ok(match auth::credential(request)? {
        Credential::Session { agent, hash, .. } if is_own(agent) => Some(hash),
        _ => None,
    })
}

impl Body {
    fn is_for(&self, own: bool) -> Result<(), Error> {
        if self.keys && !own {
            let rule = "is for one's own password; delete another agent's keys one by one";
            return Err(Error::invalid_field("keys", rule));
        }
        Ok(())
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::agent)
}

shared::hashing_main!(endpoint);

//! `PUT /v1.0/agents/{id}/password`: sets an agent's password. All sessions of the agent end, except the calling one.
//!
//! | whose password | who may | body |
//! |---|---|---|
//! | one's own | any agent | `current_password`, `password` |
//! | another agent's | admin | `password` |
//!
//! Longer than other endpoints, because it is both: step-up for oneself, permission for others.

use serde::Deserialize;
use shared::app::App;
use shared::auth::{self, caller_and_agent, caller_with_password};
use shared::domain::gate::{Access, Write};
use shared::domain::value::{NewPassword, Password, deserialize_present};
use shared::domain::{Agent, Credential, Error, EventType, Kind, Permission};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::revise;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    password: NewPassword,
    #[serde(default, deserialize_with = "deserialize_present")]
    current_password: Option<Password>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body = request.json::<Body>();
    let own_session = own_session(&request)?;
    let (caller, agent) = if own_session.is_some() {
        let current = body.as_ref().ok().and_then(|body| body.current_password.as_ref());
        let (access, anyone) = (Access::Credentials, Permission::NONE);
        let caller = caller_with_password(app, &request, access, anyone, current).await?;
        let agent = caller.agent.clone();
        (caller, Ok(agent))
    } else {
        let (caller, agent) = caller_and_agent(app, &request, Permission::ADMIN).await?;
        (caller, agent)
    };
    let may_change = &|agent: &Agent| match own_session {
        Some(_) => Ok(()),
        None => caller.require_all_of(agent.permission),
    };
    let write = if own_session.is_some() { Write::Credentials } else { Write::Change };
    let (account, by, agent) = (caller.own(write)?, caller.actor(), agent?);
    may_change(&agent)?;
    let (body, conditions) = (body?, request.preconditions()?);
    body.is_for(own_session.is_some())?;

    let hash = &password::hash(body.password.for_agent(&agent.username)?)?;
    let (kept, conditions) = (own_session.as_deref(), &conditions);
    let updated = revise(agent, |agent| async move {
        may_change(&agent)?;
        conditions.require(&view::AgentView::new(account.id, &agent))?;
        let (now, subjects) = (app.now(), vec![agent.id.uuid()]);
        let event = app.event(EventType::Updated(Kind::Agent), account.id, subjects, by, now);
        let update = app.store.update_agent_password(account, &agent, hash, kept, &event).await?;
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
        match (own, &self.current_password) {
            (true, None) => Err(Error::invalid_field("current_password", "is missing")),
            (false, Some(_)) => {
                Err(Error::invalid_field("current_password", "is asked for one's own account only"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::agent)
}

shared::hashing_main!(endpoint);

//! `PUT /v1.0/agents/{id}/permission`: sets the permission of an agent of the caller's account; an operator
//! can choose another account with `customer_id`. The permission takes effect with the agent's next request.
//! To make an agent an admin, the caller sends their own password in `current_password`. The last admin
//! cannot be demoted.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_agent_with_step_up;
use shared::domain::gate::Write;
use shared::domain::permission::Grant;
use shared::domain::value::{Password, deserialize_present};
use shared::domain::{Agent, Error, EventType, Kind, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::{Update, revise};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    permission: Grant,
    #[serde(default, deserialize_with = "deserialize_present")]
    #[expect(dead_code, reason = "verified with the caller")]
    current_password: Option<Password>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_agent_with_step_up(app, &request, Permission::ADMIN).await?;
    let permission = caller.appoint(request.json::<Body>()?.permission)?;

    let (caller, (account, agent)) = (&caller, found?);
    let account = account.writable(request.party(), Write::Overwrite)?;
    account.require_grantable(permission)?;
    let by = caller.actor();
    let conditions = &request.preconditions()?;
    let updated = revise(agent, |before| async move {
        if before.permission != permission {
            caller.require_over_authority_of(&before)?;
        }
        conditions.require(&view::AgentView::new(account.id, &before))?;
        if before.permission == permission {
            return Ok((Update::Written, before));
        }
        let now = app.now();
        let after = Agent { permission, tm_update: now, ..before.clone() };
        let subjects = vec![after.id.uuid()];
        let event = app.event(EventType::Updated(Kind::Agent), account.id, subjects, by, now);
        let update = app.store.update_agent_permission(account, &before, &after, &event).await?;
        Ok((update, after))
    })
    .await?;
    Reply::state(view::AgentView::new(account.id, &updated))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions().replay(replay::agent)
}

shared::hashing_main!(endpoint);

//! `DELETE /v1.0/agents/{id}`: deletes an agent of the caller's account; an operator can choose another
//! account with `customer_id`. The agent's sessions and access keys stop working at once, and its user name
//! becomes free. The last admin cannot be deleted.

use shared::app::App;
use shared::auth::caller_and_agent;
use shared::domain::gate::Write;
use shared::domain::{Error, EventType, Kind, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_agent(app, &request, Permission::ADMIN).await?;

    let (caller, (account, agent)) = (&caller, found?);
    let account = account.writable(request.party(), Write::Overwrite)?;
    let by = caller.actor();
    let conditions = &request.preconditions()?;
    let (agent, now) = revise(agent, |agent| async move {
        caller.require_over_authority_of(&agent)?;
        conditions.require(&view::AgentView::new(account.id, &agent))?;
        let (now, subjects) = (app.now(), vec![agent.id.uuid()]);
        let event = app.event(EventType::Deleted(Kind::Agent), account.id, subjects, by, now);
        let update = app.store.delete_agent(account, &agent, &event).await?;
        Ok((update, (agent, now)))
    })
    .await?;
    Reply::ok(view::AgentView::new(account.id, &agent).deleted(now))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `PUT /v1.0/agents/{id}`: updates an agent of the caller's account. Fields that the body contains replace the stored
//! ones; the others stay.

use shared::app::App;
use shared::auth::caller_and_agent;
use shared::domain::gate::Write;
use shared::domain::value::Labels;
use shared::domain::{Error, EventType, Kind, Permission};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_agent(app, &request, Permission::ADMIN).await?;
    let (caller, (_, agent)) = (&caller, found?);
    let (account, by) = (caller.own(Write::Overwrite)?, caller.actor());
    caller.require_all_of(agent.permission)?;
    let labels: &Labels = &request.json_over(&view::AgentView::new(account.id, &agent))?;

    let conditions = &request.preconditions()?;
    let updated = revise(agent, |before| async move {
        caller.require_over(&before)?;
        conditions.require(&view::AgentView::new(account.id, &before))?;
        let (now, subjects) = (app.now(), vec![before.id.uuid()]);
        let after = before.updated(labels.clone(), now);
        let event = app.event(EventType::Updated(Kind::Agent), account.id, subjects, by, now);
        let update = app.store.update_agent(account, &before, &after, &event).await?;
        Ok((update, after))
    })
    .await?;
    Reply::state(view::AgentView::new(account.id, &updated))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::agent)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/agents/{id}`: returns an agent of the caller's account.

use shared::app::App;
use shared::auth::caller_and_agent;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, agent) = caller_and_agent(app, &request, Permission::ADMIN).await?;

    Reply::state_unless_known(&request, view::AgentView::new(caller.customer.id, &agent?))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/agents/{id}`: returns an agent of the caller's account; an operator can choose another account
//! with `customer_id`.

use shared::app::App;
use shared::auth::caller_and_agent;
use shared::domain::{Error, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, found) = caller_and_agent(app, &request, Permission::ADMIN).await?;

    let (account, agent) = found?;
    Reply::state_unless_known(&request, view::AgentView::new(account.id, &agent))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

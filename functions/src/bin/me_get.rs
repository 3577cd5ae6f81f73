//! `GET /v1.0/me`: returns the calling agent, or the agent that the access key acts for.

use shared::app::App;
use shared::auth::caller;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::NONE).await?;

    Reply::state_unless_known(&request, view::AgentView::new(caller.customer.id, &caller.agent))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

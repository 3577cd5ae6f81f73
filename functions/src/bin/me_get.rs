//! `GET /v1.0/me`: the agent who calls, or for whom the key does.

use shared::app::App;
use shared::auth::caller;
use shared::domain::Error;
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request).await?;

    Reply::state_unless_known(&request, view::AgentView::new(caller.customer.id, &caller.agent))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

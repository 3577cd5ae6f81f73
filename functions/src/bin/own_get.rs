//! `GET /v1.0/customer`: the caller's own account, and what its webhooks are signed with.

use shared::app::App;
use shared::auth::caller;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request).await?;
    caller.require(Permission::ADMIN | Permission::MANAGER)?;

    Reply::state_unless_known(&request, view::OwnCustomerView::from(&caller.customer))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

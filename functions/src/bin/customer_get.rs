//! `GET /v1.0/customers/{id}`: one account; of a deleted one, its tombstone.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request).await?;
    caller.require(Permission::PROJECT_ADMIN)?;

    Reply::state_unless_known(&request, view::CustomerView::from(&customer?))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

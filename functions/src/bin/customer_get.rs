//! `GET /v1.0/customers/{id}`: returns an account or, if it is deleted, its tombstone: the few fields that are kept.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    Reply::state_unless_known(&request, view::CustomerView::from(&customer?))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

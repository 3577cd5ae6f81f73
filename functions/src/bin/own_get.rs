//! `GET /v1.0/customer`: returns the caller's account, with its webhook secret.

use shared::app::App;
use shared::auth::caller;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::ADMIN | Permission::MANAGER).await?;

    Reply::state_unless_known(&request, view::OwnCustomerView::from(&caller.customer))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

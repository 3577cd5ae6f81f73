//! `GET /v1.0/customers/{id}/holds`: lists the holds of an account, by name; at most 20, so there are no pages.

use serde::Serialize;
use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

#[derive(Serialize)]
struct View<'a> {
    result: Vec<view::HoldView<'a>>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    Reply::ok(View { result: view::holds(&customer?.internals.holds) })
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

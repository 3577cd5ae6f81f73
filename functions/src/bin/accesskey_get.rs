//! `GET /v1.0/accesskeys/{id}`: returns an access key of the caller's account.

use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, key) = caller_and_access_key(app, &request, Permission::ADMIN).await?;

    Reply::state_unless_known(&request, view::AccessKeyView::new(caller.customer.id, &key?))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

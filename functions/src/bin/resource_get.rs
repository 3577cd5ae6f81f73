//! `GET /v1.0/{kind}/{id}`: returns a resource (a number, a flow, …) of the caller's account; an operator can
//! choose another account with `customer_id`.

use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::{Error, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (_, found) = caller_and_resource(
        app,
        &request,
        Permission::ADMIN | Permission::MANAGER | Permission::AGENT,
        kind,
    )
    .await?;

    let (account, resource) = found?;
    let resource = resource.ok_or(Error::not_found(kind))?;
    Reply::state_unless_known(&request, view::ResourceView::new(account.id, &resource))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

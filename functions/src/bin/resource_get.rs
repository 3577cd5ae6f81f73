//! `GET /v1.0/{kind}/{id}`: a resource of an account.

use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (caller, found) = caller_and_resource(app, &request, kind).await?;
    caller.require(Permission::ADMIN | Permission::MANAGER | Permission::AGENT)?;

    let (account, resource) = found?;
    let resource = resource.ok_or(Error::not_found(kind))?;
    Reply::state_unless_known(&request, view::ResourceView::new(account.id, &resource))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

//! `DELETE /v1.0/{kind}/{id}`: deletes a resource of an account.

use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::event::EventType;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (caller, found) = caller_and_resource(app, &request, kind).await?;
    caller.require(Permission::ADMIN | Permission::MANAGER)?;

    let (account, resource) = found?;
    let account = account.require_live()?;
    let resource = resource.ok_or(Error::not_found(kind))?;
    request.preconditions()?.require(&view::ResourceView::new(account.id, &resource))?;
    let now = app.now();
    let event = app.event(EventType::Deleted(kind), account.id, vec![resource.id.uuid()], now);
    app.store.delete_resource(&account, kind, resource.id, &event).await?;

    Reply::ok(view::ResourceView::new(account.id, &resource).deleted(now))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

//! `DELETE /v1.0/{kind}/{id}`: deletes a resource of an account.

use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::event::EventType;
use shared::domain::{Error, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (_, found) =
        caller_and_resource(app, &request, Permission::ADMIN | Permission::MANAGER, kind).await?;

    let (account, resource) = found?;
    let account = account.require_live()?;
    let resource = resource.ok_or(Error::not_found(kind))?;
    request.preconditions()?.require(&view::ResourceView::new(account.id, &resource))?;
    let now = app.now();
    let event = app.event(EventType::Deleted(kind), account.id, vec![resource.id.uuid()], now);
    app.store.delete_resource(&account, kind, resource.id, &event).await?;

    Reply::ok(view::ResourceView::new(account.id, &resource).deleted(now))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

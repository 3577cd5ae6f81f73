//! `DELETE /v1.0/{kind}/{id}`: deletes a resource (a number, a flow, …) of the caller's account; an operator
//! can choose another account with `customer_id`.

use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::gate::Write;
use shared::domain::{Error, EventType, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (caller, found) =
        caller_and_resource(app, &request, Permission::ADMIN | Permission::MANAGER, kind).await?;

    let (account, resource) = found?;
    let account = account.writable(request.party(), Write::Overwrite)?;
    let by = caller.actor();
    let resource = resource.ok_or(Error::not_found(kind))?;
    let conditions = &request.preconditions()?;
    let (deleted, now) = revise(resource, |resource| async move {
        conditions.require(&view::ResourceView::new(account.id, &resource))?;
        let (now, subjects) = (app.now(), vec![resource.id.uuid()]);
        let event = app.event(EventType::Deleted(kind), account.id, subjects, by, now);
        let update = app.store.delete_resource(account, kind, &resource, &event).await?;
        Ok((update, (resource, now)))
    })
    .await?;
    Reply::ok(view::ResourceView::new(account.id, &deleted).deleted(now))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

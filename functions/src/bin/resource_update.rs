//! `PUT /v1.0/{kind}/{id}`: updates a resource (a number, a flow, …). Fields that the body contains replace
//! the stored ones; the others stay.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_resource;
use shared::domain::gate::Write;
use shared::domain::value::{Detail, Name, deserialize_present};
use shared::domain::{Data, Error, EventType, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::revise;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "deserialize_present")]
    name: Option<Name>,
    #[serde(default, deserialize_with = "deserialize_present")]
    detail: Option<Detail>,
    #[serde(default, deserialize_with = "deserialize_present")]
    data: Option<Data>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (kind, needed) = (request.path_kind()?, Permission::ADMIN | Permission::MANAGER);
    let (caller, found) = caller_and_resource(app, &request, needed, kind).await?;
    let (account, resource) = found?;
    let account = account.writable(request.party(), Write::Overwrite)?;
    let (resource, by) = (resource.ok_or(Error::not_found(kind))?, caller.actor());
    let body: &Body = &request.json_over(&view::ResourceView::new(account.id, &resource))?;

    let conditions = &request.preconditions()?;
    let updated = revise(resource, |before| async move {
        conditions.require(&view::ResourceView::new(account.id, &before))?;
        let (now, subjects) = (app.now(), vec![before.id.uuid()]);
        let Body { name, detail, data } = body.clone();
        let after = before.updated(name, detail, data, now);
        let event = app.event(EventType::Updated(kind), account.id, subjects, by, now);
        let update = app.store.update_resource(account, kind, (&before, &after), &event).await?;
        Ok((update, after))
    })
    .await?;
    Reply::state(view::ResourceView::new(account.id, &updated))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions().replay(replay::resource)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

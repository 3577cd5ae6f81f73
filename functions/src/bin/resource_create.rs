//! `POST /v1.0/{kind}`: a resource of this kind.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_account;
use shared::domain::event::EventType;
use shared::domain::value::{Detail, Name};
use shared::domain::{Data, Error, Permission, Resource};
use shared::http::{Reply, Request, view};
use shared::runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    name: Name,
    #[serde(default)]
    detail: Detail,
    #[serde(default)]
    data: Data,
}

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (caller, account) = caller_and_account(app, &request).await?;
    caller.require(Permission::ADMIN | Permission::MANAGER)?;
    let account = account?.require_live()?;
    let body: Body = request.json()?;

    let now = app.now();
    let resource = Resource {
        id: app.new_id(now),
        name: body.name,
        detail: body.detail,
        data: body.data,
        tm_create: now,
        tm_update: now,
    };
    let event = app.event(EventType::Created(kind), account.id, vec![resource.id.uuid()], now);
    app.store.insert_resource(&account, kind, &resource, &event).await?;

    Reply::state(view::ResourceView::new(account.id, &resource))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

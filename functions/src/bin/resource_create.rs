//! `POST /v1.0/{kind}`: creates a resource (a number, a flow, …) in the caller's account. An operator must
//! choose the account with `customer_id`.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_account;
use shared::domain::gate::Write;
use shared::domain::value::{Detail, Name};
use shared::domain::{Data, Error, EventType, Permission, Resource};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};

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

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let (caller, account) =
        caller_and_account(app, &request, Permission::ADMIN | Permission::MANAGER).await?;
    caller.require_account_named(&request)?;
    let account = account?;
    let account = account.writable(request.party(), Write::Change)?;
    let body: Body = request.json()?;

    let (now, by) = (app.now(), caller.actor());
    let resource = Resource {
        id: app.new_id(now),
        name: body.name,
        detail: body.detail,
        data: body.data,
        tm_create: now,
        tm_update: now,
    };
    let event = app.event(EventType::Created(kind), account.id, vec![resource.id.uuid()], by, now);
    app.store.insert_resource(account, kind, &resource, &event).await?;

    Reply::state(view::ResourceView::new(account.id, &resource))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).replay(replay::resource)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

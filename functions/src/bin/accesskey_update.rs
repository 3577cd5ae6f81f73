//! `PUT /v1.0/accesskeys/{id}`: replaces the fields that the body names and keeps the others.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::event::EventType;
use shared::domain::owned::Kind;
use shared::domain::value::{Detail, Name, deserialize_present};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::Update;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "deserialize_present")]
    name: Option<Name>,
    #[serde(default, deserialize_with = "deserialize_present")]
    detail: Option<Detail>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, key) = caller_and_access_key(app, &request, Permission::ADMIN).await?;
    let body: Body = request.json()?;

    let (account, mut before) = (caller.customer.id, key?);
    caller.require_all_of(before.permission)?;
    let conditions = request.preconditions()?;
    loop {
        conditions.require(&view::AccessKeyView::new(account, &before))?;
        let now = app.now();
        let after = before.updated(body.name.clone(), body.detail.clone(), now);
        let subjects = vec![before.id.uuid()];
        let event = app.event(EventType::Updated(Kind::AccessKey), account, subjects, now);
        match app.store.update_access_key(&caller.customer, &before, &after, &event).await? {
            Update::Written => return Reply::state(view::AccessKeyView::new(account, &after)),
            Update::Outdated(current) => before = *current,
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::access_key)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

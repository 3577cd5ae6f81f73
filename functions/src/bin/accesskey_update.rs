//! `PUT /v1.0/accesskeys/{id}`: replaces the fields of an access key that the body names, and keeps the others.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::gate::Write;
use shared::domain::value::{Detail, Name, deserialize_present};
use shared::domain::{Error, EventType, Kind, Permission};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::revise;

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
    let (account, by, key) = (caller.own(Write::Change)?, caller.actor(), key?);
    caller.require_all_of(key.permission)?;
    let body: &Body = &request.json_over(&view::AccessKeyView::new(account.id, &key))?;
    let conditions = &request.preconditions()?;
    let updated = revise(key, |before| async move {
        conditions.require(&view::AccessKeyView::new(account.id, &before))?;
        let (now, subjects) = (app.now(), vec![before.id.uuid()]);
        let after = before.updated(body.name.clone(), body.detail.clone(), now);
        let event = app.event(EventType::Updated(Kind::AccessKey), account.id, subjects, by, now);
        let update = app.store.update_access_key(account, &before, &after, &event).await?;
        Ok((update, after))
    })
    .await?;
    Reply::state(view::AccessKeyView::new(account.id, &updated))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::access_key)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

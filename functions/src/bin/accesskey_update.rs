//! `PUT /v1.0/accesskeys/{id}`: updates an access key. Fields that the body contains replace the stored ones; the
//! others stay.

use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::gate::Write;
use shared::domain::value::Labels;
use shared::domain::{Error, EventType, Kind, Permission};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_access_key(app, &request, Permission::ADMIN).await?;
    let (account, by, (_, key)) = (caller.own(Write::Change)?, caller.actor(), found?);
    caller.require_all_of(key.authority())?;
    let labels: &Labels = &request.json_over(&view::AccessKeyView::new(account.id, &key))?;
    let conditions = &request.preconditions()?;
    let updated = revise(key, |before| async move {
        conditions.require(&view::AccessKeyView::new(account.id, &before))?;
        let (now, subjects) = (app.now(), vec![before.id.uuid()]);
        let after = before.updated(labels.clone(), now);
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

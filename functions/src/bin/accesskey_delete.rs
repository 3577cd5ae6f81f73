//! `DELETE /v1.0/accesskeys/{id}`: deletes an access key of the caller's account; an operator can choose
//! another account with `customer_id`. The key stops working at once.

use shared::app::App;
use shared::auth::caller_and_revoked_key;
use shared::domain::gate::Write;
use shared::domain::{Error, EventType, Kind, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_revoked_key(app, &request, Permission::ADMIN).await?;

    let (by, (account, key)) = (caller.actor(), found?);
    caller.require_all_of(key.authority())?;
    let account = account.writable(request.party(), Write::Credentials)?;
    let conditions = &request.preconditions()?;
    let (key, now) = revise(key, |key| async move {
        conditions.require(&view::AccessKeyView::new(account.id, &key))?;
        let (now, subjects) = (app.now(), vec![key.id.uuid()]);
        let event = app.event(EventType::Deleted(Kind::AccessKey), account.id, subjects, by, now);
        let update = app.store.delete_access_key(account, &key, &event).await?;
        Ok((update, (key, now)))
    })
    .await?;
    Reply::ok(view::AccessKeyView::new(account.id, &key).deleted(now))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

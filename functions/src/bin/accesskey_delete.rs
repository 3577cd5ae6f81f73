//! `DELETE /v1.0/accesskeys/{id}`: deletes a key of the caller's account. It stops working at once.

use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::event::EventType;
use shared::domain::owned::Kind;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::Update;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, key) = caller_and_access_key(app, &request, Permission::ADMIN).await?;

    let (account, mut key) = (caller.customer.id, key?);
    caller.require_all_of(key.permission)?;
    let conditions = request.preconditions()?;
    loop {
        conditions.require(&view::AccessKeyView::new(account, &key))?;
        let now = app.now();
        let event =
            app.event(EventType::Deleted(Kind::AccessKey), account, vec![key.id.uuid()], now);
        match app.store.delete_access_key(&caller.customer, &key, &event).await? {
            Update::Written => {
                return Reply::ok(view::AccessKeyView::new(account, &key).deleted(now));
            }
            Update::Outdated(current) => key = *current,
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

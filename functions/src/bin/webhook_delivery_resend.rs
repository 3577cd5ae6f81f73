//! `POST /v1.0/webhook_deliveries/{id}/resend`: sends an event of the caller's account again, within a
//! minute, whatever came of it before.

use shared::auth::caller;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request};
use shared::runtime::{self, App};

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request).await?;
    caller.require(Permission::ADMIN)?;
    let event = request.path_id()?;

    let now = app.now();
    caller.customer.webhook(now).ok_or(Error::NoWebhook)?;
    let delivery = app.store.resend(caller.customer.id, event, now).await?;

    Reply::ok(delivery)
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

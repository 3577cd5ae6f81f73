//! `POST /v1.0/webhook_deliveries/{id}/resend`: sends an event of the caller's account again, within a
//! minute, whatever came of it before.

use shared::app::App;
use shared::auth::caller_and_delivery;
use shared::domain::error::Entity;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, event) = caller_and_delivery(app, &request).await?;
    caller.require(Permission::ADMIN)?;
    let event = event?;

    let now = app.now();
    caller.customer.webhook(now).ok_or(Error::NoWebhook)?;
    let event = event.ok_or(Error::NotFound(Entity::Delivery))?;

    Reply::ok(app.store.resend(event, now).await?)
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

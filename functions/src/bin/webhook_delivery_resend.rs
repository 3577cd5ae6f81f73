//! `POST /v1.0/webhook_deliveries/{id}/resend`: sends an event to the webhook of the caller's account again,
//! within a minute and whatever the results of earlier attempts. An operator can choose another account with
//! `customer_id`.

use shared::app::App;
use shared::auth::caller_and_delivery;
use shared::domain::delivery::Delivery;
use shared::domain::error::Entity;
use shared::domain::gate::Write;
use shared::domain::idempotency::IdempotencyRecord;
use shared::domain::{Error, Permission};
use shared::http::{ACCOUNT, Reply, Request};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, found) = caller_and_delivery(app, &request, Permission::ADMIN).await?;

    let (now, (account, event)) = (app.now(), found?);
    let target = account.writable(request.party(), Write::Change)?;
    account.webhook(now).ok_or(Error::NoWebhook)?;
    let event = event.ok_or(Error::NotFound(Entity::Delivery))?;

    Reply::ok(app.store.resend(target, event, now).await?)
}

/// Returns the response to a replay (a repeated request with the same idempotency key): the delivery as it is now.
async fn replay(app: &'static App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let event = app.store.get_events(record.event.as_slice()).await?.pop();
    Reply::ok(Delivery::from(&event.ok_or(Error::NotFound(Entity::Delivery))?))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).replay(replay)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

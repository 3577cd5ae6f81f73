//! `POST /v1.0/customer/webhook_test`: delivers a test event to the webhook of the caller's account. Returns the new
//! entry in the delivery log.

use shared::app::App;
use shared::auth::caller;
use shared::domain::delivery::{Delivery, DeliveryState};
use shared::domain::error::Entity;
use shared::domain::gate::Write;
use shared::domain::idempotency::IdempotencyRecord;
use shared::domain::{Error, EventType, Permission};
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::ADMIN).await?;

    let (now, by) = (app.now(), caller.actor());
    caller.customer.webhook(now).ok_or(Error::NoWebhook)?;
    let event = app.event(EventType::WebhookTested, caller.customer.id, Vec::new(), by, now);
    let delivery = app.store.insert_test_event(caller.own(Write::Change)?, &event).await?;

    Reply::ok(delivery)
}

/// Returns the response to a replay (a repeated request with the same idempotency key): the delivery as first shown.
async fn replay(_: &'static App, record: IdempotencyRecord) -> Result<Reply, Error> {
    Reply::ok(Delivery {
        id: record.event.ok_or(Error::NotFound(Entity::Delivery))?,
        name: record.event_name,
        sequence: record.sequence,
        tm_event: record.tm_event,
        status: DeliveryState::Pending,
        attempts: 0,
        last_result: None,
        tm_attempt: None,
        tm_next_attempt: None,
    })
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

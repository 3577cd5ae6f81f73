//! `POST /v1.0/customer/webhook_test`: sends an event to the webhook of the caller's account that tells of
//! nothing, so that its owner sees whether webhooks arrive. The answer is its entry in the log.

use shared::app::App;
use shared::auth::caller;
use shared::domain::event::EventType;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request).await?;
    caller.require(Permission::ADMIN)?;

    let now = app.now();
    caller.customer.webhook(now).ok_or(Error::NoWebhook)?;
    let event = app.event(EventType::WebhookTested, caller.customer.id, Vec::new(), now);
    let delivery = app.store.insert_test_event(&caller.customer, &event).await?;

    Reply::ok(delivery)
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

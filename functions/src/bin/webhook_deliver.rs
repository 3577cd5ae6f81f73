//! Sends events to webhooks. The EventBridge bus invokes the function with each new event for the first attempt; a
//! schedule invokes it for all attempts that are due.

use serde::Deserialize;
use shared::domain::{Customer, Error, Event, Id};
use shared::platform::Deadline;
use shared::runtime;
use shared::webhook::{Deliverer, DeliveryRun, deliver_due, deliver_one};

/// Input of the function: an EventBridge event, of which it reads only these fields.
#[derive(Deserialize)]
pub(crate) struct Call {
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
struct Detail {
    id: Option<Id<Event>>,
    customer_id: Option<Id<Customer>>,
}

pub(crate) async fn handle(
    deliverer: &'static Deliverer,
    call: Call,
    deadline: Deadline,
) -> Result<DeliveryRun, Error> {
    match call.detail.id.zip(call.detail.customer_id) {
        Some(pending) => deliver_one(deliverer, pending).await,
        None => deliver_due(deliverer, deadline).await,
    }
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

//! Delivers events to webhooks. The bus starts the first attempt at an event; the schedule starts a run over all
//! attempts that are due.

use serde::Deserialize;
use shared::domain::{Customer, Error, Event, Id};
use shared::platform::Deadline;
use shared::runtime;
use shared::webhook::{Deliverer, DeliveryRun, deliver_due, deliver_one};

/// Input of the function: the fields that it reads of an EventBridge event. Other fields are ignored.
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

//! Purges accounts: every one that is due when the schedule calls, the one just deleted when the bus
//! does. Both only point at work; what is true is in the table.

use serde::Deserialize;
use shared::domain::{Customer, Error, Id};
use shared::platform::Deadline;
use shared::purge::{PurgeRun, Purger, purge_due, purge_one};
use shared::runtime;

/// An EventBridge event, as far as it matters here.
#[derive(Deserialize)]
pub(crate) struct Call {
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
struct Detail {
    customer_id: Option<Id<Customer>>,
}

pub(crate) async fn handle(
    purger: &'static Purger,
    call: Call,
    deadline: Deadline,
) -> Result<PurgeRun, Error> {
    match call.detail.customer_id {
        Some(id) => purge_one(purger, id, deadline).await,
        None => purge_due(purger, deadline).await,
    }
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

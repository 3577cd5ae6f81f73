//! Purges accounts: the schedule starts a run over every due account, `customer_deleted` on the bus one
//! over that account. Both are only a hint; the table says what is due.

use serde::Deserialize;
use shared::domain::{Customer, Error, Id};
use shared::platform::Deadline;
use shared::purge::{PurgeRun, Purger, purge_due, purge_one};
use shared::runtime;

/// An EventBridge event. Other fields are ignored.
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

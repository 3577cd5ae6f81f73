//! Purges accounts. The schedule starts a run over all due accounts; the event `customer_deleted` on the bus starts a
//! run over its account. Both are only hints: whether an account is due is read from the table.

use serde::Deserialize;
use shared::domain::{Customer, Error, Id};
use shared::platform::Deadline;
use shared::purge::{PurgeRun, Purger, purge_due, purge_one};
use shared::runtime;

/// Input of the function: the fields that it reads of an EventBridge event. Other fields are ignored.
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

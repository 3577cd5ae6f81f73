//! Purges accounts: removes the data of accounts whose deletion is due. A schedule invokes it for all of them, the
//! event `customer_deleted` on the bus for one. Both are only hints: whether an account is due is read from the table.

use serde::Deserialize;
use shared::domain::{Customer, Error, Id};
use shared::platform::Deadline;
use shared::purge::{PurgeRun, Purger, purge_due, purge_one};
use shared::runtime;

/// Input of the function: an EventBridge event, of which it reads only these fields.
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

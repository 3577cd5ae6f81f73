//! Purges accounts: every one that is due when the schedule calls, the one just deleted when the bus
//! does. Both only point at work; what is true is in the table.

use serde::Deserialize;
use shared::domain::{Customer, Error, Id};
use shared::purge::{Run, purge_due, purge_one};
use shared::runtime::{self, App, Deadline};

/// An EventBridge event, as far as it matters here.
#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
struct Detail {
    customer_id: Option<Id<Customer>>,
}

async fn handle(app: &'static App, call: Call, deadline: Deadline) -> Result<Run, Error> {
    match call.detail.customer_id {
        Some(id) => Ok(purge_one(app, id, deadline).await),
        None => purge_due(app, deadline).await,
    }
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

//! `DELETE /v1.0/customers/{id}`: deletes an account at once. Erasure follows.
//!
//! The answer shows the account once more as it was, with its new status; deleting it again shows the
//! tombstone.

use shared::auth::caller_and_customer;
use shared::domain::lifecycle::Command;
use shared::domain::{Customer, Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition;
use shared::runtime::{self, App};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request).await?;
    caller.require(Permission::PROJECT_ADMIN)?;

    let (before, after) = transition(app, customer?, &Command::Delete).await?;

    let shown = Customer {
        status: after.status,
        tm_deletion_scheduled: None,
        tm_delete: after.tm_delete,
        ..before
    };
    Reply::ok(view::Customer::from(&shown))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

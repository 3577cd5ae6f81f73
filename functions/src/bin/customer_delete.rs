//! `DELETE /v1.0/customers/{id}`: marks an account as deleted, without a grace period; a background purge then removes
//! its data. With `?plan=<digest>`, fails if anything has changed since the plan with this digest was made.
//!
//! The response shows the account's fields as they were, and the status `deleted`. Deleting a deleted account changes
//! nothing and returns what is left of it.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::erasure::Plan;
use shared::domain::{Customer, Error, Permission};
use shared::erasure::delete;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;
    let customer = customer?;
    let plan = plan(&request, &customer)?;

    let conditions = request.preconditions()?;
    let (before, after) = delete(app, caller.actor(), customer, plan, &conditions).await?;

    let shown = Customer {
        status: after.status,
        tm_deletion_scheduled: None,
        tm_delete: after.tm_delete,
        ..before
    };
    Reply::ok(view::CustomerView::from(&shown))
}

fn plan(request: &Request, customer: &Customer) -> Result<Option<Plan>, Error> {
    let rule = "must be the digest of a plan for this account";
    let read = |digest| {
        let plan = Plan::parse(digest, customer.id);
        plan.ok_or_else(|| Error::InvalidParameter("plan", rule.to_owned()))
    };
    request.parameter("plan").map(read).transpose()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(&["plan"]).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

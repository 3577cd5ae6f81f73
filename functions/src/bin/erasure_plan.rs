//! `POST /v1.0/customers/{id}/erasure/plan`: returns what the deletion of an account would do. Changes nothing.
//!
//! With the plan's digest, `DELETE /v1.0/customers/{id}?plan=<digest>` fails if anything has changed since.

use std::collections::BTreeMap;

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::{Error, Permission, Status};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::capacity::Capacity;
use shared::store::items::ITEMS;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;
    let customer = customer?;
    if customer.status == Status::Deleted {
        return Err(Error::StateInvalid(customer.status));
    }

    let (counts, kilobytes) = app.store.count_owned(customer.id).await?;

    let fields: BTreeMap<_, _> = ITEMS.iter().copied().collect();
    let capacity = Capacity::of_erasure(counts.values().sum(), kilobytes);
    Reply::ok(view::PlanView::new(&customer, &counts, capacity, fields))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

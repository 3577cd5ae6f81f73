//! `DELETE /v1.0/customers/{id}/holds/{name}`: lifts a hold. A second route, `…/hold`, lifts the hold named `default`.
//! When no hold is left, a frozen account is purged once its deletion is due, but at the earliest 24 hours after the
//! last hold was lifted.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    let command = Command::LiftHold(request.path_hold()?);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, customer?, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `DELETE /v1.0/customers/{id}/hold`: the account goes its way again. If it is frozen, it is purged when
//! it is due, but not before 24 hours from now.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request).await?;
    caller.require(Permission::PROJECT_ADMIN)?;

    let (_, after) =
        transition_if(app, customer?, &Command::LiftHold, &request.preconditions()?).await?;

    Reply::state(view::CustomerView::from(&after))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

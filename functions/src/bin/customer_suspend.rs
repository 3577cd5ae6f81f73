//! `POST /v1.0/customers/{id}/suspend`: suspends an account: its agents can only log in, reset a password by a
//! mailed link, and unregister with the grace period, and its access keys can only unregister. Writes of requests
//! in progress are refused, too. The account's status does not change.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    let command = Command::Suspend;
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, customer?, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

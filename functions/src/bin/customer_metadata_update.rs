//! `PUT /v1.0/customers/{id}/metadata`: sets whether an account's phone calls are captured for debugging (`rtp_debug`).

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::gate::Party;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    let command = Command::SetMetadata(request.json()?, Party::Operator);
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

//! `PUT /v1.0/customer/metadata`: sets whether the phone calls of the caller's account are captured for debugging.

use shared::app::App;
use shared::auth::caller;
use shared::domain::gate::Party;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::ADMIN).await?;

    let command = Command::SetMetadata(request.json()?, Party::Owner);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, caller.customer, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

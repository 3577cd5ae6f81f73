//! `DELETE /auth/unregister`: recovers the caller's frozen account within its grace period.

use shared::app::App;
use shared::auth::caller_with_password;
use shared::domain::gate::{Access, Party};
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller =
        caller_with_password(app, &request, Access::Recover, Permission::ADMIN, None).await?;

    let command = Command::Recover(Party::Owner);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, caller.customer, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `PUT /v1.0/customers/{id}`: replaces the fields that the body names and keeps the others.

use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::customer::Profile;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request).await?;
    caller.require(Permission::PROJECT_ADMIN)?;

    let profile: Profile = request.json()?;
    profile.admit(app.loopback)?;
    let command = Command::Update(profile);
    let (_, after) = transition_if(app, customer?, &command, &request.preconditions()?).await?;

    Reply::state(view::CustomerView::from(&after))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

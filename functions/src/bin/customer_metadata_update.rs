//! `PUT /v1.0/customers/{id}/metadata`: sets switches of an account.

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

    let command = Command::SetMetadata(request.json()?);
    let (_, after) = transition_if(app, customer?, &command, &request.preconditions()?).await?;

    Reply::state(view::CustomerView::from(&after))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

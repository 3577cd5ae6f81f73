//! `DELETE /auth/unregister`: stay after all. The account becomes what it was.

use shared::app::App;
use shared::auth::caller_with_password;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller_with_password(app, &request, None).await?;
    caller.require(Permission::ADMIN)?;

    let (_, after) =
        transition_if(app, caller.customer, &Command::Recover, &request.preconditions()?).await?;

    Reply::state(view::CustomerView::from(&after))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

//! `PUT /v1.0/customers/{id}/verification`: records what an operator knows about an account's address and identity. A
//! verified address activates the account, and mail to it resumes, even after a bounce or a complaint.

use futures_util::future::join;
use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::customer::Verification;
use shared::domain::lifecycle::Command;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    let (customer, stated): (_, Verification) = (customer?, request.json()?);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (email, vouched_for) = (customer.email.clone(), stated.email_verified == Some(true));
    let cleared =
        async { if vouched_for { app.store.clear_undeliverable(&email).await } else { Ok(()) } };
    let command = Command::Verify(stated);
    let change = transition_if(app, by, customer, &command, &conditions);
    let (change, cleared) = join(change, cleared).await;
    let (_, after) = change?;
    cleared?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

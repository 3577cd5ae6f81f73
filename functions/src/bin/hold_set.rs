//! `PUT /v1.0/customers/{id}/holds/{name}`: places a hold. A second route, `…/hold`, places the hold named
//! `default`. Until the last hold is lifted, the account is not erased, even if its deletion is due, and its
//! profile, agents and resources are preserved. The account can still be frozen and recovered.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_customer;
use shared::domain::lifecycle::Command;
use shared::domain::value::HoldReason;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Reason for the hold. The ledger keeps it after the erasure, so it must not contain personal data.
    reason: HoldReason,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, customer) = caller_and_customer(app, &request, Permission::PROJECT_ADMIN).await?;

    let name = request.path_hold()?;
    let body: Body = request.json()?;
    let command = Command::Hold(name, body.reason);
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

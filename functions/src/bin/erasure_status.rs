//! `GET /v1.0/erasures/{ticket}`: returns an erasure's progress and receipts to anybody who has a ticket for it.
//!
//! Two round trips: a ticket does not contain the account's id, so it is looked up before the ledger is read. A
//! malformed ticket is looked up like any other.

use shared::app::App;
use shared::auth::count_ticket;
use shared::domain::Error;
use shared::domain::error::Entity;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let ticket = request.path_ticket();
    let found = app.store.get_erasure_by_ticket(&ticket);
    let found = count_ticket(app, &request, found).await?;
    let (erasure, parts) = found.ok_or(Error::NotFound(Entity::Ticket))?;
    Reply::ok(view::ErasureStatusView::at(&erasure, &parts, app.now()))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

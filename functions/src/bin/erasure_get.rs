//! `GET /v1.0/customers/{id}/erasure`: returns an erasure's reason, actors and progress, what participants have
//! answered, and its signed receipts.
//!
//! One round trip: the caller and the ledger, which records the erasure, are read concurrently.

use futures_util::future::join;
use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::error::Entity;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let ledger = async { app.store.get_erasure_and_parts(request.path_id()?).await };
    let (caller, ledger) = join(caller(app, &request, Permission::PROJECT_ADMIN), ledger).await;
    caller?;

    let (erasure, parts) = ledger?;
    let erasure = erasure.ok_or(Error::NotFound(Entity::Erasure))?;
    Reply::ok(view::ErasureView::at(&erasure, &parts, app.now()))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

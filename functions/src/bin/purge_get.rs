//! `GET /v1.0/purge`: returns whether the purge is switched on, the purges under way, and how much of this hour's
//! limits on purges and on deletions by operators is used up.
//!
//! One round trip: the caller, the counts and the purge queue are read concurrently.

use futures_util::future::join;
use shared::auth::{caller, credential};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::purge::controls::Controls;
use shared::runtime::{self, Endpoint};

async fn handle(controls: &'static Controls, request: Request) -> Result<Reply, Error> {
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let caller = caller(&controls.app, &request, Permission::PROJECT_ADMIN);
    let (caller, state) = join(caller, controls.read()).await;
    caller?;

    Reply::ok(view::PurgeView::from(&state?))
}

pub(crate) fn endpoint() -> Endpoint<Controls> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

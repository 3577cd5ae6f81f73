//! `GET /v1.0/erasure-keys`: returns the public keys that verify erasure receipts. Public and cacheable: they change
//! only when a signing key is replaced.

use std::time::Duration;

use shared::domain::Error;
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};
use shared::signature::PublicKeys;

const FRESH: Duration = Duration::from_hours(1);

async fn handle(keys: &'static PublicKeys, _: Request) -> Result<Reply, Error> {
    Ok(Reply::ok(keys.get().await?)?.cacheable(FRESH))
}

pub(crate) fn endpoint() -> Endpoint<PublicKeys> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

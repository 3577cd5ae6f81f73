//! Whatever no other route takes: says so in the same envelope as every other error.

use shared::app::Nothing;
use shared::domain::Error;
use shared::http::{Reply, Request};
use shared::runtime;

async fn handle(_: &'static Nothing, _: Request) -> Result<Reply, Error> {
    Err(Error::RouteNotFound)
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

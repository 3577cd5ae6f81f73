//! `$default`: returns the error for requests that match no route, in the same JSON form as every other error.

use shared::app::Nothing;
use shared::domain::Error;
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

async fn handle(_: &'static Nothing, _: Request) -> Result<Reply, Error> {
    Err(Error::RouteNotFound)
}

pub(crate) fn endpoint() -> Endpoint<Nothing> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /ping`: answers that the API is reachable. Reads no table.

use serde::Serialize;
use shared::app::Nothing;
use shared::domain::Error;
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

#[derive(Serialize)]
struct View {
    message: &'static str,
}

async fn handle(_: &'static Nothing, _: Request) -> Result<Reply, Error> {
    Reply::ok(View { message: "pong" })
}

pub(crate) fn endpoint() -> Endpoint<Nothing> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/participants`: lists the registered participants, which every new erasure asks, by name. There are
//! at most 20, so the list has no pages.

use serde::Serialize;
use shared::app::App;
use shared::auth::caller_and_registry;
use shared::domain::Error;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

#[derive(Serialize)]
struct View<'a> {
    result: Vec<view::ParticipantView<'a>>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, registry) = caller_and_registry(app, &request).await?;

    let view = |(name, participant)| view::ParticipantView::new(name, participant);
    Reply::ok(View { result: registry.active().map(view).collect() })
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

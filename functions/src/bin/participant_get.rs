//! `GET /v1.0/participants/{name}`: returns a participant.

use shared::app::App;
use shared::auth::caller_and_registry;
use shared::domain::Error;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, registry) = caller_and_registry(app, &request).await?;

    let name = request.path_participant()?;
    let participant = registry.find(&name)?;
    Reply::state_unless_known(&request, view::ParticipantView::new(&name, participant))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

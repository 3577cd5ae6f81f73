//! `PUT /v1.0/participants/{name}`: registers a participant, or replaces the fields that the body names and keeps the
//! others. The change does not affect erasures that have begun.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_registry;
use shared::domain::Error;
use shared::domain::participant::{self, ParticipantChange};
use shared::domain::value::{Detail, Integer, deserialize_present};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::revise;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "deserialize_present")]
    required: Option<bool>,
    /// Time that the participant has to answer, in seconds.
    #[serde(default, deserialize_with = "deserialize_present")]
    timeout: Option<Integer>,
    #[serde(default, deserialize_with = "deserialize_present")]
    detail: Option<Detail>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, registry) = caller_and_registry(app, &request).await?;

    let name = &request.path_participant()?;
    let body: Body = match registry.get(name) {
        Some(before) => request.json_over(&view::ParticipantView::new(name, before))?,
        None => request.json()?,
    };
    let timeout = body.timeout.map(participant::timeout).transpose()?;
    let change = &ParticipantChange { required: body.required, timeout, detail: body.detail };
    let conditions = &request.preconditions()?;
    let participant = revise(registry, |before| async move {
        match before.get(name) {
            Some(now) => conditions.require(&view::ParticipantView::new(name, now))?,
            None => conditions.require_absent()?,
        }
        let (after, participant) = before.with(name, change.clone(), app.now())?;
        Ok((app.store.update_registry(&before, &after, Some(name)).await?, participant))
    })
    .await?;

    Reply::state(view::ParticipantView::new(name, &participant))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::participant)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

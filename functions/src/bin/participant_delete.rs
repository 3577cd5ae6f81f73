//! `DELETE /v1.0/participants/{name}`: deletes a participant: it is not part of new erasures. Erasures that have begun
//! still send it requests and accept its answers.

use shared::app::App;
use shared::auth::caller_and_registry;
use shared::domain::Error;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::revise;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, registry) = caller_and_registry(app, &request).await?;

    let (name, conditions) = (&request.path_participant()?, &request.preconditions()?);
    let deleted = revise(registry, |before| async move {
        conditions.require(&view::ParticipantView::new(name, before.find(name)?))?;
        let (after, deleted) = before.without(name, app.now())?;
        Ok((app.store.update_registry(&before, &after, None).await?, deleted))
    })
    .await?;

    Reply::ok(view::ParticipantView::new(name, &deleted))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/participants/{name}/requests`: lists the erasures that a participant has yet to acknowledge, for systems
//! that poll. It works for a deleted participant, too, while erasures that began before its deletion still wait for
//! it.
//!
//! Two round trips: one for the caller and the index, one for the items whose keys the index returns.

use futures_util::future::try_join3;
use shared::app::App;
use shared::auth::{caller_of_participant, credential};
use shared::domain::Error;
use shared::domain::error::Entity;
use shared::http::{PAGE, Reply, Request, view};
use shared::runtime::{self, Endpoint};
use shared::store::participation::OpenPart;

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let requests = async {
        let (name, page) = (request.path_participant()?, request.page()?);
        let after = page.cursor(OpenPart::cursor)?;
        app.store.list_requests(&name, page.size, after, app.now()).await
    };
    // A caller who may not read is refused at once.
    let caller = caller_of_participant(app, &request);
    let ((_, name), registry, page) =
        try_join3(caller, app.store.get_registry(), async { Ok(requests.await) }).await?;
    if !registry.knows(&name) {
        return Err(Error::NotFound(Entity::Participant));
    }

    Reply::ok(view::PageView::new(&page?, view::RequestView::from))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/customers/{id}/events`: lists the events of an account, even of a deleted one, newest first: what
//! happened, when and who did it. `?type=` filters by event type.
//!
//! One round trip: the caller, the account and the page are read concurrently.

use futures_util::future::join;
use shared::app::App;
use shared::auth::{caller_and_customer, credential};
use shared::domain::event::Audience;
use shared::domain::{Error, Permission};
use shared::http::{PAGE_OF_EVENTS, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let events = async {
        let (account, query) = (request.path_id()?, request.event_query()?);
        app.store.list_history(account, Audience::Operators, query, app.now()).await
    };
    let caller = caller_and_customer(app, &request, Permission::PROJECT_ADMIN);
    let (caller, page) = join(caller, events).await;
    let (_, customer) = caller?;
    customer?;

    Reply::ok(view::PageView::new(&page?, view::EventView::from))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_EVENTS)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

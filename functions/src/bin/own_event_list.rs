//! `GET /v1.0/events`: lists the events of the caller's account, newest first: what happened, when and who
//! did it. `?type=` filters by event type. Events meant for operators only are left out. An operator who
//! acted is shown by role only.
//!
//! One round trip to DynamoDB: the credential contains the account's id, so the caller's items and the page
//! are read concurrently.

use futures_util::future::join;
use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::event::Audience;
use shared::domain::{Error, Permission};
use shared::http::{PAGE_OF_EVENTS, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let account = credential(&request)?.customer();
    let events = async {
        let query = request.event_query()?;
        app.store.list_history(account, Audience::Owner, query, app.now()).await
    };
    let (caller, page) = join(caller(app, &request, Permission::ADMIN), events).await;
    caller?;

    Reply::ok(view::PageView::new(&page?, |event| view::EventView::for_owner_of(account, event)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_EVENTS)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

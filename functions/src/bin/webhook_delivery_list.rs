//! `GET /v1.0/webhook_deliveries`: lists the webhook deliveries of the caller's account and their results, newest first, as
//! far back as events are kept.
//!
//! One round trip: the token names the account, so the caller and the page are read concurrently.

use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::{Error, Id, Permission};
use shared::http::{PAGE, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let asked = request.page().and_then(|page| Ok((page.size, page.cursor(Id::parse)?)));
    let account = credential(&request)?.customer();
    let rows = async {
        match asked {
            Ok((size, after)) => app.store.list_deliveries(account, size, after).await,
            Err(error) => Err(error),
        }
    };
    let (caller, page) = futures_util::future::join(
        caller(app, &request, Permission::ADMIN | Permission::MANAGER),
        rows,
    )
    .await;
    caller?;

    Reply::ok(view::PageView::new(&page?, Clone::clone))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

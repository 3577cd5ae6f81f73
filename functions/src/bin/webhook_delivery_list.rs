//! `GET /v1.0/webhook_deliveries`: lists webhook deliveries with their results, newest first, as far back as events are
//! kept. They are those of the caller's account, or of the account that a project admin names, which may be deleted.
//!
//! One round trip: token and query name the account, so the caller and the page are read concurrently.

use shared::app::App;
use shared::auth::account_and_page;
use shared::domain::{Error, Permission};
use shared::http::{PAGE_OF_ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let needed = Permission::ADMIN | Permission::MANAGER;
    let list = |account, size, after| app.store.list_deliveries(account, size, after);
    let (_, page) = account_and_page(app, &request, needed, list).await?;

    Reply::ok(view::PageView::new(&page, Clone::clone))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_ACCOUNT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

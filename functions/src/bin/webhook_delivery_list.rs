//! `GET /v1.0/webhook_deliveries`: lists the webhook deliveries of the caller's account with their results,
//! newest first, as far back as events are kept. An operator can choose another account, even a deleted one,
//! with `customer_id`.
//!
//! One round trip to DynamoDB: the account's id is in the credential or in `customer_id`, so the caller's
//! items and the page are read concurrently.

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

//! `GET /v1.0/accesskeys`: lists the access keys of the caller's account, newest first; an operator can
//! choose another account with `customer_id`.
//!
//! One round trip to DynamoDB: the account's id is in the credential or in `customer_id`, so the caller's
//! items and the page are read concurrently.

use shared::app::App;
use shared::auth::account_and_page;
use shared::domain::{Error, Permission};
use shared::http::{PAGE_OF_ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let list = |account, size, after| app.store.list_access_keys(account, size, after);
    let (account, page) = account_and_page(app, &request, Permission::ADMIN, list).await?;

    let page = page.unless_deleted(&account);
    Reply::ok(view::PageView::new(&page, |key| view::AccessKeyView::new(account.id, key)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_ACCOUNT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

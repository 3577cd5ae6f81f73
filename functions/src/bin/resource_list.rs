//! `GET /v1.0/{kind}`: lists the resources of one kind (numbers, flows, …) of the caller's account, newest
//! first; an operator can choose another account with `customer_id`.
//!
//! One round trip to DynamoDB: the account's id is in the credential or in `customer_id`, so the caller's
//! items and the page are read concurrently. A page over 1 MB needs another round trip for each further MB.

use shared::app::App;
use shared::auth::account_and_page;
use shared::domain::{Error, Permission};
use shared::http::{PAGE_OF_ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let needed = Permission::ADMIN | Permission::MANAGER | Permission::AGENT;
    let list = |account, size, after| app.store.list_resources(account, kind, size, after);
    let (account, page) = account_and_page(app, &request, needed, list).await?;

    let page = page.unless_deleted(&account);
    Reply::ok(view::PageView::new(&page, |resource| view::ResourceView::new(account.id, resource)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_ACCOUNT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

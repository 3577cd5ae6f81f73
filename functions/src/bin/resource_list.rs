//! `GET /v1.0/{kind}`: lists resources of the caller's account, or of the one that a project admin names, newest first.
//!
//! One round trip: the token or the query contains the account's id, so the caller and the page are read concurrently.
//! A page over 1 MB needs another round trip for each further MB.

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

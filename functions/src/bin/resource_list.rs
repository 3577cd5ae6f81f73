//! `GET /v1.0/{kind}`: an account's resources of a kind, newest first.
//!
//! Round trips: one, as token and query name the account, so the caller and the page are read at the same
//! time; one more for every MB that the page has over the first.

use futures_util::future::try_join;
use shared::app::App;
use shared::auth::{caller_and_account, credential};
use shared::domain::{Error, Id, Page, Permission, Status};
use shared::http::{PAGE_OF_ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let kind = request.path_kind()?;
    let own = credential(&request)?.customer();
    let reader = async {
        let (_, account) = caller_and_account(
            app,
            &request,
            Permission::ADMIN | Permission::MANAGER | Permission::AGENT,
        )
        .await?;
        Ok(account)
    };
    let rows = async {
        let page = request.page()?;
        let (account, after) = (request.account(own)?, page.cursor(Id::parse)?);
        app.store.list_resources(account, kind, page.size, after).await
    };
    // Who may not read is refused at once: how long the rows take says something about them.
    let (account, page) = try_join(reader, async { Ok(rows.await) }).await?;

    let (page, account) = (page?, account?);
    // The purge may still be at work.
    let page = if account.status == Status::Deleted { Page::empty() } else { page };
    Reply::ok(view::PageView::new(&page, |resource| view::ResourceView::new(account.id, resource)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_ACCOUNT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/{kind}`: lists resources of the caller's account, or of the one that a project admin names, newest first.
//!
//! One round trip, as token and query name the account, so that the caller and the page are read concurrently; one more for
//! every MB of the page over the first.

use futures_util::future::try_join;
use shared::app::App;
use shared::auth::{caller_and_account, credential};
use shared::domain::{Error, Id, Permission};
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
    // A caller who may not read is refused at once: the time that the rows take reveals something about them.
    let (account, page) = try_join(reader, async { Ok(rows.await) }).await?;

    let (page, account) = (page?, account?);
    let page = page.unless_deleted(&account);
    Reply::ok(view::PageView::new(&page, |resource| view::ResourceView::new(account.id, resource)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE_OF_ACCOUNT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

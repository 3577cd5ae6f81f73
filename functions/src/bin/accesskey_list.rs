//! `GET /v1.0/accesskeys`: the keys of the caller's account, newest first.
//!
//! Round trips: one; the token names the account, so the caller and the page are read at the same time.

use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::{Error, Id, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let asked = request.page().and_then(|page| Ok((page.size, page.cursor(Id::parse)?)));
    let account = credential(&request)?.customer();
    let rows = async {
        match asked {
            Ok((size, after)) => app.store.list_access_keys(account, size, after).await,
            Err(error) => Err(error),
        }
    };
    let (caller, page) = futures_util::future::join(caller(app, &request), rows).await;
    caller?.require(Permission::ADMIN)?;

    Reply::ok(view::PageView::new(&page?, |key| view::AccessKeyView::new(account, key)))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

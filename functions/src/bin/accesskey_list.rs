//! `GET /v1.0/accesskeys`: lists the access keys of the caller's account, newest first.
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
            Ok((size, after)) => app.store.list_access_keys(account, size, after).await,
            Err(error) => Err(error),
        }
    };
    let (caller, page) =
        futures_util::future::join(caller(app, &request, Permission::ADMIN), rows).await;
    caller?;

    Reply::ok(view::PageView::new(&page?, |key| view::AccessKeyView::new(account, key)))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(PAGE)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

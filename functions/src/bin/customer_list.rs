//! `GET /v1.0/customers`: accounts that are not deleted, newest first.
//!
//! Round trips: one; the caller and the page are read at the same time.

use shared::auth::{caller, credential};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, App};
use shared::store::customer::Cursor;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let asked = request.page().and_then(|page| Ok((page.size, page.cursor(Cursor::parse)?)));
    // Nothing is read for somebody who does not even say who they are.
    credential(&request)?;
    let rows = async {
        match asked {
            Ok((size, after)) => app.store.list_customers(size, after).await,
            Err(error) => Err(error),
        }
    };
    let (caller, page) = futures_util::future::join(caller(app, &request), rows).await;
    caller?.require(Permission::PROJECT_ADMIN)?;

    Reply::ok(view::List::new(&page?, view::Customer::from))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

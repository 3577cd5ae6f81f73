//! `GET /v1.0/customers`: lists accounts that are not deleted, newest first, or those that match the query's filter.
//!
//! One round trip to DynamoDB: the caller and the page are read concurrently. A filter by status, name, e-mail
//! address, or a state such as held takes a second one: the first finds the accounts' keys, the second reads the
//! accounts. Later pages of a search by name take a third, to find where they start.

use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::{Error, Permission};
use shared::http::{CUSTOMER_QUERY, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let asked = request.page_of_filter().and_then(|(filter, page)| {
        let after = page.cursor(|token| filter.cursor(token))?;
        Ok((filter, page.size, after))
    });
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let rows = async {
        let (filter, size, after) = asked?;
        app.store.find_customers(&filter, size, after.as_ref()).await
    };
    let (caller, page) =
        futures_util::future::join(caller(app, &request, Permission::PROJECT_ADMIN), rows).await;
    caller?;

    Reply::ok(view::PageView::new(&page?, view::CustomerView::from))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(CUSTOMER_QUERY)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

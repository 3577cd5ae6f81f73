//! `GET /v1.0/accesskeys/{id}`: returns an access key of the caller's account; an operator can choose another
//! account with `customer_id`.

use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::{Error, Permission};
use shared::http::{ACCOUNT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (_, found) = caller_and_access_key(app, &request, Permission::ADMIN).await?;

    let (account, key) = found?;
    Reply::state_unless_known(&request, view::AccessKeyView::new(account.id, &key))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(ACCOUNT).preconditions()
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/customers/{id}/overview`: returns the state of an account at a glance.
//!
//! One round trip reads the caller, the account, its erasure ledger, its sessions and its webhook deliveries. If the
//! account has an e-mail address, a second one reads whether mail to it was stopped after a bounce or a complaint.

use futures_util::future::{join, try_join3};
use shared::app::App;
use shared::auth::{caller_and_customer, credential};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let activity = async {
        let (store, id) = (&app.store, request.path_id()?);
        let login = store.get_latest_login(id);
        let failing = store.count_failing_deliveries(id);
        try_join3(store.get_erasure_and_parts(id), login, failing).await
    };
    let customer = caller_and_customer(app, &request, Permission::PROJECT_ADMIN);
    let (customer, activity) = join(customer, activity).await;

    let (_, customer) = customer?;
    let (customer, ((erasure, parts), login, failing)) = (customer?, activity?);
    // The key of this item is the address, which is known only now.
    let undeliverable = app.store.get_undeliverable(&customer.email, app.now()).await?;
    let overview = view::OverviewView::new(&customer, (erasure.as_ref(), &parts), app.now());
    Reply::ok(overview.with_activity(login, failing).with_mail(undeliverable))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

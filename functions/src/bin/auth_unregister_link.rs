//! `POST /auth/unregister-link`: requests that a link for unregistering an account be mailed to the account's verified
//! address, which the body names. The response, the work and the writes are the same whether or not an account has the
//! address: it is looked up later, when the mail is sent.

use serde::Deserialize;
use shared::app::App;
use shared::auth::admit_mail;
use shared::domain::mail_intent::Intent;
use shared::domain::value::Email;
use shared::domain::{Error, Purpose};
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    email: Email,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let Body { email } = request.json()?;
    let address = email.require_hash()?;

    if admit_mail(app, &request, Purpose::Unregistration, address.as_str()).await? {
        let now = app.now();
        app.store.insert_intent(&Intent::Unregistration(email), app.new_id(now), now).await?;
    }

    Reply::empty()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `POST /auth/unregister-link`: requests a mailed link that unregisters the account with this verified address. The
//! answer, the work and the writes are the same whoever the address belongs to: the account is looked up when the mail
//! is sent.

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

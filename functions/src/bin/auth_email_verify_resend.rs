//! `POST /auth/email-verify/resend`: requests new verification mail for an e-mail address: for its pending sign-up, and
//! for every account that has the address. The response does not tell whether there is any.
//!
//! Two round trips: one counts the request against the rate limits of the client's network and of the e-mail address,
//! one writes the request to the outbox.

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
    if admit_mail(app, &request, Purpose::EmailVerification, address.as_str()).await? {
        let now = app.now();
        app.store.insert_intent(&Intent::Resend(email), app.new_id(now), now).await?;
    }
    Reply::empty()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

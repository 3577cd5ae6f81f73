//! `POST /auth/signup`: requests an account, which is created once its owner follows the mailed link. The response is
//! the same whether or not the address belongs to an account already.
//!
//! Two round trips: one counts the request against the rate limits of the client's network and of the e-mail address,
//! one writes the request to the outbox.

use serde::Deserialize;
use shared::app::App;
use shared::auth::admit_mail;
use shared::domain::mail_intent::Intent;
use shared::domain::sign_up::SignUp;
use shared::domain::terms::Terms;
use shared::domain::value::{AddressHash, Email, Name, deserialize_present};
use shared::domain::{Error, Purpose};
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    email: Email,
    accepted_tos: bool,
    #[serde(default, deserialize_with = "deserialize_present")]
    name: Option<Name>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body: Body = request.json()?;
    let address = body.address()?;
    if admit_mail(app, &request, Purpose::SignUp, address.as_str()).await? {
        let now = app.now();
        let terms = Terms { version: app.terms_version.clone(), tm_accept: now };
        let sign_up = SignUp { email: body.email, name: body.name.unwrap_or_default(), terms };
        app.store.insert_intent(&Intent::SignUp(sign_up), app.new_id(now), now).await?;
    }
    Reply::empty()
}

impl Body {
    fn address(&self) -> Result<AddressHash, Error> {
        if !self.accepted_tos {
            let rule = "must be true: without accepting the terms of service there is no account";
            return Err(Error::invalid_field("accepted_tos", rule));
        }
        self.email.require_hash()
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `POST /auth/unregister`: unregisters the caller's account, with the grace period or at once.
//!
//! The caller sends a password, a confirmation phrase or both: see the table in [`shared::domain::consent`]. Every
//! successful response contains a ticket: a token that lets anybody who has it follow the erasure.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_with_password;
use shared::domain::consent::Consent;
use shared::domain::gate::Access;
use shared::domain::value::{Password, deserialize_present};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::unregister;
use shared::replay;
use shared::runtime::Endpoint;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "deserialize_present")]
    confirmation_phrase: Option<String>,
    #[serde(default)]
    immediate: bool,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let sent = request.json::<Body>().and_then(Body::read);
    let (access, password) =
        sent.as_ref().map_or((Access::Unregister, None), |(consent, password)| {
            (consent.access(), password.as_ref())
        });
    let caller = caller_with_password(app, &request, access, Permission::ADMIN, password).await?;
    let (consent, _) = sent?;
    consent.require_of(caller.actor().kind)?;

    let (by, command) = (caller.actor(), consent.command(app.grace));
    let conditions = request.preconditions()?;
    // The password, if one was needed, was right: the count of failed attempts starts again.
    caller.forget_attempts(app);
    let (after, ticket) = unregister(app, by, caller.customer, &command, &conditions).await?;

    Ok(Reply::state(view::CustomerView::from(&after))?.with_ticket(&ticket))
}

impl Body {
    fn read(self) -> Result<(Consent, Option<Password>), Error> {
        let phrase = self.confirmation_phrase.as_deref();
        let consent = Consent::of(self.password.is_some(), phrase, self.immediate)?;
        Ok((consent, self.password))
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::unregistered)
}

shared::hashing_main!(endpoint);

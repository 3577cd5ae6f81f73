//! `POST /auth/unregister`: unregisters the caller's account, with grace or at once.
//!
//! What a caller has to send is the table of [`Consent`].

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_with_password;
use shared::domain::consent::Consent;
use shared::domain::erasure::Reason;
use shared::domain::gate::Access;
use shared::domain::lifecycle::Command;
use shared::domain::value::Password;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::Endpoint;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "shared::domain::value::deserialize_present")]
    password: Option<Password>,
    #[serde(default, deserialize_with = "shared::domain::value::deserialize_present")]
    confirmation_phrase: Option<String>,
    #[serde(default)]
    immediate: bool,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body = request.json::<Body>().and_then(|body| Ok((body.consent()?, body)));
    let password = body.as_ref().ok().and_then(|(_, body)| body.password.as_ref());
    let access = body.as_ref().map_or(Access::Unregister, |(_, body)| body.access());
    let caller = caller_with_password(app, &request, access, Permission::ADMIN, password).await?;
    let (consent, body) = body?;
    consent.require_of(caller.actor().kind)?;

    let command = if body.immediate {
        Command::UnregisterNow
    } else {
        Command::Freeze(Reason::Unregister, app.grace)
    };
    let conditions = request.preconditions()?;
    // The password was right.
    caller.forget_attempts(app);
    let (_, after) =
        transition_if(app, caller.actor(), caller.customer, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

impl Body {
    fn consent(&self) -> Result<Consent, Error> {
        let phrase = self.confirmation_phrase.as_deref();
        Consent::of(self.password.is_some(), phrase, self.immediate)
    }

    const fn access(&self) -> Access {
        if self.immediate { Access::Leave } else { Access::Unregister }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

shared::hashing_main!(endpoint);

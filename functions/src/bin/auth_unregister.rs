//! `POST /auth/unregister`: unregisters the caller's account, with grace or at once.
//!
//! | | agent sends | access key sends |
//! |---|---|---|
//! | with grace | `password` | `confirmation_phrase` |
//! | at once (`immediate`) | both | – (refused) |
//!
//! Longer than other endpoints, because each row of this table has refusals of its own.

use futures_util::future::join;
use serde::Deserialize;
use shared::app::App;
use shared::auth::{Caller, Identity, caller_with_password};
use shared::domain::erasure::Reason;
use shared::domain::error::Denial;
use shared::domain::gate::Access;
use shared::domain::lifecycle::Command;
use shared::domain::value::Password;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::Endpoint;

/// Required value of `confirmation_phrase`.
const PHRASE: &str = "DELETE";

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
    let body = request.json::<Body>().and_then(Body::phrase_is_exact);
    let password = body.as_ref().ok().and_then(|body| body.password.as_ref());
    let access = body.as_ref().map_or(Access::Unregister, Body::access);
    let caller = caller_with_password(app, &request, access, Permission::ADMIN, password).await?;
    let body = body?;
    body.is_enough_for(&caller)?;

    let command = if body.immediate {
        Command::UnregisterNow
    } else {
        Command::Freeze(Reason::Unregister, app.grace)
    };
    let conditions = request.preconditions()?;
    let changed = transition_if(app, caller.actor(), caller.customer, &command, &conditions);
    let (changed, ()) = join(changed, forget_attempts(app, caller.identity)).await;
    let (_, after) = changed?;

    Reply::state(view::CustomerView::from(&after))
}

/// Resets the login attempts, as the password was right. A failure only makes the next attempt wait.
async fn forget_attempts(app: &App, identity: Identity) {
    if let Identity::Agent(_, login) = identity {
        let _ = app.store.forget_attempts(login).await;
    }
}

impl Body {
    fn phrase_is_exact(self) -> Result<Self, Error> {
        match self.confirmation_phrase.as_deref() {
            None | Some(PHRASE) => Ok(self),
            Some(_) => {
                Err(Error::invalid_field("confirmation_phrase", "must be DELETE, in capitals"))
            }
        }
    }

    const fn access(&self) -> Access {
        if self.immediate { Access::Leave } else { Access::Unregister }
    }

    fn is_enough_for(&self, caller: &Caller) -> Result<(), Error> {
        let (has_password, has_phrase) =
            (self.password.is_some(), self.confirmation_phrase.is_some());
        match (caller.identity, self.immediate) {
            (Identity::AccessKey(_), true) => Err(Error::PermissionDenied(Denial::SessionRequired)),
            (Identity::AccessKey(_), false) if has_password => Err(Error::invalid_field(
                "password",
                "an access key has none; send confirmation_phrase instead",
            )),
            (Identity::AccessKey(_), false) if !has_phrase => {
                Err(Error::invalid_field("confirmation_phrase", "is missing"))
            }
            (Identity::Agent(..), _) if !has_password => {
                Err(Error::invalid_field("password", "is missing"))
            }
            (Identity::Agent(..), true) if !has_phrase => {
                Err(Error::invalid_field("confirmation_phrase", "is missing"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

shared::hashing_main!(endpoint);

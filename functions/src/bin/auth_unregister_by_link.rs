//! `POST /auth/unregister-by-link`: unregisters an account by the token of a mailed link, with the grace period, never
//! at once: whoever can log in may still recover the account, so access to a mailbox is not enough to destroy its data.
//!
//! Two round trips: the first counts the attempt and reads the token and the account; the second freezes the
//! account. A refused request leaves the token valid.

use serde::Deserialize;
use shared::app::App;
use shared::auth::count_attempt;
use shared::domain::erasure::Reason;
use shared::domain::lifecycle::Command;
use shared::domain::{Actor, Error, PresentedToken};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_by_token;
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: PresentedToken,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let Body { token } = request.json()?;

    let found = count_attempt(app, &request, app.store.get_mailed_token(&token)).await?;
    let (issued, account) = found.0.zip(found.1).ok_or(Error::TokenInvalid)?;
    issued.require_unregistration_of(&account, app.now())?;

    let by = Actor::mailed_link(account.id);
    let command = Command::Freeze(Reason::Unregister, app.grace);
    let (_, after) = transition_by_token(app, by, account, &command, &token.hash).await?;

    Reply::ok(view::ScheduledDeletionView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

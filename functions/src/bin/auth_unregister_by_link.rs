//! `POST /auth/unregister-by-link`: unregisters an account with grace, by the token of a mailed link. Never at once: whoever
//! can log in may still recover the account, so a mailbox in wrong hands costs nobody what the account owns.
//!
//! Two round trips: attempt, token and account, then the change. No refusal uses the token up.

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

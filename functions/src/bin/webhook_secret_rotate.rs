//! `POST /v1.0/customer/webhook_secret/rotate`: replaces the webhook secret of the caller's account. During an overlap,
//! webhook requests are signed with both secrets, so that receivers can switch to the new one at different times.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller;
use shared::domain::lifecycle::Command;
use shared::domain::value::{Integer, deserialize_present};
use shared::domain::webhook::{WebhookSecret, overlap};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::{self, Endpoint};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// How long webhook requests are signed with the old secret, too, in seconds; a day if absent. With 0, only the new
    /// secret signs from now on.
    #[serde(default, deserialize_with = "deserialize_present")]
    overlap: Option<Integer>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::ADMIN).await?;
    let body: Body = request.json_if_any()?;

    let secret = WebhookSecret::new(app.new_secret());
    let command = Command::RotateWebhookSecret(secret, overlap(body.overlap)?);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, caller.customer, &command, &conditions).await?;

    Reply::state(view::OwnCustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::own_customer)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

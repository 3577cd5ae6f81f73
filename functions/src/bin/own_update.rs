//! `PUT /v1.0/customer`: updates the caller's account. Fields that the body contains replace the stored ones; the
//! others stay. To change the e-mail address, the caller sends their own password in `current_password`.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_with_step_up;
use shared::domain::customer::Profile;
use shared::domain::gate::Party;
use shared::domain::lifecycle::Command;
use shared::domain::value::{Password, deserialize_present};
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::lifecycle::transition_if;
use shared::replay;
use shared::runtime::Endpoint;

/// The caller's password, as proof of identity. The rest of the body is the account's profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    #[serde(default, deserialize_with = "deserialize_present")]
    #[expect(dead_code, reason = "verified with the caller")]
    current_password: Option<Password>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller_with_step_up(app, &request, Permission::ADMIN).await?;

    let shown = view::OwnCustomerView::from(&caller.customer);
    let (_, profile): (Proof, Profile) = request.json_both_over(&shown)?;
    if profile.email.as_ref().is_some_and(|email| *email != caller.customer.email) {
        caller.require_step_up()?;
    }
    profile.admit(&app.targets.reached_at(request.host()))?;
    let command = Command::Update(profile, Party::Owner);
    let (by, conditions) = (caller.actor(), request.preconditions()?);
    let (_, after) = transition_if(app, by, caller.customer, &command, &conditions).await?;

    Reply::state(view::CustomerView::from(&after))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::customer)
}

shared::hashing_main!(endpoint);

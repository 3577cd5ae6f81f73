//! `POST /v1.0/customers`: creates an account and its first agent, who is an admin. Without a password, the agent is
//! invited by mail to choose one.
//!
//! One transaction writes the account, the agent, the items that keep user name and e-mail address unique, and the
//! event.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller;
use shared::domain::customer::Profile;
use shared::domain::value::{NewPassword, deserialize_present};
use shared::domain::webhook::WebhookSecret;
use shared::domain::{
    Customer, Error, EventType, FirstAdmin, Login, Permission, Registration, Username,
};
use shared::http::{Reply, Request, view};
use shared::invitation::FirstPassword;
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::customer::NewCustomer;

/// The first admin. The rest of the body is the account's profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    username: Username,
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<NewPassword>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::PROJECT_ADMIN).await?;
    let (admin, profile): (Admin, Profile) = request.json_both()?;
    profile.admit(&app.targets.reached_at(request.host()))?;

    let (now, by) = (app.now(), caller.actor());
    let password = admin.password;
    let admin = FirstAdmin { id: app.new_id(now), username: admin.username };
    let secret = WebhookSecret::new(app.new_secret());
    let Registration { customer, admin } =
        Customer::register(app.new_id(now), profile, secret, admin, now);
    let first = FirstPassword::of(app, customer.id, &admin, password.as_ref())?;
    let login = Login::new(customer.id, &admin, first.hash);
    let invitation = first.invitation.as_ref();
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation };
    let event = app.event(EventType::CustomerCreated, customer.id, Vec::new(), by, now);
    app.store.insert_customer(&new, &event).await?;

    Reply::state(view::CustomerView::from(&customer))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay::customer)
}

shared::hashing_main!(endpoint);

//! `POST /v1.0/customers`: creates an account and its first agent, who is an admin.
//!
//! One transaction: account, agent, locks on user name and e-mail address, event.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller;
use shared::domain::customer::Profile;
use shared::domain::value::NewPassword;
use shared::domain::webhook::WebhookSecret;
use shared::domain::{
    Customer, Error, EventType, FirstAdmin, Login, Permission, Registration, Username,
};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::customer::NewCustomer;

/// The first admin. The rest of the body is the account's profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    username: Username,
    password: NewPassword,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::PROJECT_ADMIN).await?;
    let (admin, profile): (Admin, Profile) = request.json_both()?;
    profile.admit(app.loopback)?;

    let (now, by) = (app.now(), caller.actor());
    let password_hash = password::hash(admin.password.for_agent(&admin.username)?)?;
    let admin = FirstAdmin { id: app.new_id(now), username: admin.username };
    let secret = WebhookSecret::new(app.new_secret());
    let Registration { customer, admin } =
        Customer::register(app.new_id(now), profile, secret, admin, now);
    let login = Login::new(customer.id, &admin, password_hash);
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login };
    let event = app.event(EventType::CustomerCreated, customer.id, Vec::new(), by, now);
    app.store.insert_customer(&new, &event).await?;

    Reply::state(view::CustomerView::from(&customer))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay::customer)
}

shared::hashing_main!(endpoint);

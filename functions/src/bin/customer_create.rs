//! `POST /v1.0/customers`: creates an account and its first agent, who is an admin.
//!
//! One transaction: account, agent, locks on user name and e-mail address, event.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller;
use shared::domain::Login;
use shared::domain::customer::Profile;
use shared::domain::event::EventType;
use shared::domain::value::{
    Address, Detail, Email, Name, NewPassword, PhoneNumber, WebhookMethod, WebhookUri,
    deserialize_present,
};
use shared::domain::webhook::WebhookSecret;
use shared::domain::{Customer, Error, FirstAdmin, Permission, Registration, Username};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::replay;
use shared::runtime::Endpoint;
use shared::store::customer::NewCustomer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    username: Username,
    password: NewPassword,
    #[serde(default)]
    name: Name,
    #[serde(default)]
    detail: Detail,
    #[serde(default)]
    email: Email,
    #[serde(default)]
    phone_number: PhoneNumber,
    #[serde(default)]
    address: Address,
    #[serde(default, deserialize_with = "deserialize_present")]
    webhook_method: Option<WebhookMethod>,
    #[serde(default)]
    webhook_uri: WebhookUri,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    caller(app, &request, Permission::PROJECT_ADMIN).await?;
    let body: Body = request.json()?;
    body.webhook_uri.admit(app.loopback)?;

    let now = app.now();
    let password_hash = password::hash(body.password.for_agent(&body.username)?)?;
    let admin = FirstAdmin { id: app.new_id(now), username: body.username.clone() };
    let secret = WebhookSecret::new(app.new_secret());
    let Registration { customer, admin } =
        Customer::register(app.new_id(now), body.into(), secret, admin, now);
    let login = Login::new(customer.id, &admin, password_hash);
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login };
    let event = app.event(EventType::CustomerCreated, customer.id, Vec::new(), now);
    app.store.insert_customer(&new, &event).await?;

    Reply::state(view::CustomerView::from(&customer))
}

impl From<Body> for Profile {
    fn from(body: Body) -> Self {
        Self {
            name: Some(body.name),
            detail: Some(body.detail),
            email: Some(body.email),
            phone_number: Some(body.phone_number),
            address: Some(body.address),
            webhook_method: body.webhook_method,
            webhook_uri: Some(body.webhook_uri),
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay::customer)
}

shared::hashing_main!(endpoint);

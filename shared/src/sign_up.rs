//! Completes sign-ups: creates the account once its address is proven.

use crate::app::App;
use crate::domain::sign_up::SignUp;
use crate::domain::value::NewPassword;
use crate::domain::webhook::WebhookSecret;
use crate::domain::{
    Actor, Customer, Error, EventType, FirstAdmin, Login, PresentedToken, Registration, Username,
};
use crate::password;
use crate::store::customer::NewCustomer;

/// Creates the account of a sign-up and its first agent, and uses up the mailed token in the same
/// transaction. The agent's user name is the e-mail address, unless `username` is given.
pub async fn complete(
    app: &App,
    token: &PresentedToken,
    sign_up: &SignUp,
    username: Option<Username>,
    password: &NewPassword,
) -> Result<Customer, Error> {
    let username = sign_up.username(username)?;
    let password_hash = password::hash(password.for_agent(&username)?)?;

    let now = app.now();
    let (id, admin) = (app.new_id(now), FirstAdmin { id: app.new_id(now), username });
    let secret = WebhookSecret::new(app.new_secret());
    let Registration { customer, admin } = Customer::sign_up(id, sign_up, secret, admin, now);
    let login = Login::new(customer.id, &admin, password_hash);
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation: None };
    let by = Actor::agent(customer.id, admin.id, admin.permission);
    let event = app.event(EventType::CustomerCreated, customer.id, Vec::new(), by, now);
    app.store.insert_signed_up(&new, &event, &token.hash).await?;
    Ok(customer)
}

//! Creates the project's own account and its first admin. Invoked by hand, once: `{"username", "password"}`.
//!
//! The account's id is fixed, so there is one; when it is there already, nothing changes.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::customer::Internals;
use shared::domain::value::Password;
use shared::domain::{Agent, Customer, Error, Permission, Status, Username};
use shared::password;
use shared::platform::Deadline;
use shared::runtime;
use shared::store::customer::NewCustomer;
use shared::store::login::Login;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    username: Username,
    password: Password,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    /// Whether the admin was created now; if not, there is one already.
    created: bool,
    customer_id: String,
}

pub(crate) async fn handle(
    app: &'static App,
    wanted: Wanted,
    _: Deadline,
) -> Result<Answer, Error> {
    let now = app.now();
    let internals = Internals { system: true, ..Internals::default() };
    let blank = Customer::blank(Customer::PROJECT, now);
    let customer = Customer { status: Status::Active, email_verified: true, internals, ..blank };
    let permission = Permission::PROJECT_ADMIN | Permission::ADMIN;
    let agent = Agent::new(app.new_id(now), wanted.username, permission, now);
    let login = Login::new(customer.id, &agent, password::hash(&wanted.password)?);
    let new = NewCustomer { customer: &customer, agent: &agent, login: &login };

    let created = app.store.insert_project(&new).await?;
    Ok(Answer { created, customer_id: customer.id.to_string() })
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

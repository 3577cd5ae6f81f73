//! Creates the project's own account and its first admin. Invoked once, by hand: `{"username", "password"}`.
//!
//! The account's id is fixed, so a second invocation changes nothing.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::value::NewPassword;
use shared::domain::{Customer, Error, FirstAdmin, Login, Registration, Username};
use shared::password;
use shared::platform::Deadline;
use shared::runtime;
use shared::store::customer::NewCustomer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    username: Username,
    password: NewPassword,
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
    let admin = FirstAdmin { id: app.new_id(now), username: wanted.username };
    let Registration { customer, admin } = Customer::register_project(admin, now);
    let password = wanted.password.for_agent(&admin.username)?;
    let login = Login::new(customer.id, &admin, password::hash(password)?);
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login };

    let created = app.store.insert_project(&new).await?;
    Ok(Answer { created, customer_id: customer.id.to_string() })
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

//! Creates the operators' project account and first admin. Invoked by hand with `{"username", "password"}`.
//!
//! Changes nothing if the project account has an admin already, unless `"add": true` asks for another one. This lets
//! whoever may invoke functions regain access when no admin can log in.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::gate::{Party, Write};
use shared::domain::value::NewPassword;
use shared::domain::{
    Actor, Agent, Customer, Error, EventType, FirstAdmin, Kind, Login, Registration, Username,
};
use shared::password;
use shared::platform::{Deadline, metrics};
use shared::runtime;
use shared::store::customer::NewCustomer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    username: Username,
    password: NewPassword,
    #[serde(default)]
    add: bool,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    /// Whether this invocation created an admin; false if there was one already and `add` was not set.
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
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation: None };

    let created = app.store.insert_project(&new).await?;
    if !created && wanted.add {
        add(app, &admin, &login).await?;
    }
    Ok(Answer { created: created || wanted.add, customer_id: customer.id.to_string() })
}

/// Adds a project admin, with an event and a metric that raises an alarm.
async fn add(app: &App, admin: &Agent, login: &Login) -> Result<(), Error> {
    let missing = || Error::Internal("the project's account is gone".to_owned());
    let project = app.store.get_customer(Customer::PROJECT).await?.ok_or_else(missing)?;
    let (now, subjects) = (admin.tm_create, vec![admin.id.uuid()]);
    let event =
        app.event(EventType::Created(Kind::Agent), project.id, subjects, Actor::BOOTSTRAP, now);
    let project = project.writable(Party::Operator, Write::Change)?;
    app.store.insert_agent(project, admin, login, None, &event).await?;
    metrics::emit(now, &[("ProjectAdminsAdded", "Count", 1)]);
    Ok(())
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

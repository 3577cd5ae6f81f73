//! `POST /v1.0/agents`: creates an agent of the caller's account. To create an admin, the caller sends their own
//! password in `current_password`. An agent without a password is invited by mail to choose one. If the user name is an
//! e-mail address, only operators can set a password: otherwise the invitation proves whose address it is.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_with_step_up;
use shared::domain::gate::Write;
use shared::domain::permission::Grant;
use shared::domain::value::{Detail, Name, NewPassword, Password, deserialize_present};
use shared::domain::{Agent, Error, EventType, Kind, Login, Permission, Username};
use shared::http::{Reply, Request, view};
use shared::invitation::FirstPassword;
use shared::replay;
use shared::runtime::Endpoint;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    username: Username,
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<NewPassword>,
    #[serde(default)]
    name: Name,
    #[serde(default)]
    detail: Detail,
    #[serde(default)]
    permission: Grant,
    #[serde(default, deserialize_with = "deserialize_present")]
    #[expect(dead_code, reason = "verified with the caller")]
    current_password: Option<Password>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller_with_step_up(app, &request, Permission::ADMIN).await?;
    let body: Body = request.json()?;
    let permission = caller.appoint(body.permission)?;
    if body.password.is_some() {
        caller.choose_password_of(&body.username)?;
    }

    let (account, by, now) =
        (caller.own(Write::Change)?.within(app.caps), caller.actor(), app.now());
    let agent = Agent::new(app.new_id(now), body.username, permission, now);
    let agent = Agent { name: body.name, detail: body.detail, ..agent };
    let first = FirstPassword::of(app, account.id, &agent, body.password.as_ref())?;
    let login = Login::new(account.id, &agent, first.hash);
    let subjects = vec![agent.id.uuid()];
    let event = app.event(EventType::Created(Kind::Agent), account.id, subjects, by, now);
    app.store.insert_agent(account, &agent, &login, first.invitation.as_ref(), &event).await?;

    Reply::state(view::AgentView::new(account.id, &agent))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay::agent)
}

shared::hashing_main!(endpoint);

//! `POST /auth/logout`: ends the calling session, or with `{"everywhere": true}` every session of its agent. Refuses
//! access keys, which have no session.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::auth::{caller_with_password, credential};
use shared::domain::error::Denial;
use shared::domain::gate::Access;
use shared::domain::{Credential, Error, Permission};
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    everywhere: bool,
}

#[derive(Serialize)]
struct View {}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    caller_with_password(app, &request, Access::Credentials, Permission::NONE, None).await?;
    let Credential::Session { customer, agent, login, session } = credential(&request)? else {
        return Err(Error::PermissionDenied(Denial::SessionRequired));
    };
    let body: Body = request.json_if_any()?;

    if body.everywhere {
        app.store.end_sessions(customer, agent, login).await?;
    } else {
        app.store.delete_session(customer, agent, session).await?;
    }

    Reply::ok(View {})
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `DELETE /v1.0/sessions/{id}`: ends a session of the calling agent, or of the agent that an admin names with
//! `agent_id`. To end another agent's session, the caller needs every permission that the agent has. The session of an
//! admin can be ended only by a caller with a session, not with an access key.

use shared::app::App;
use shared::auth::caller_and_session;
use shared::domain::Error;
use shared::http::{AGENT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_session(app, &request).await?;
    let (agent, session) = found?;
    caller.require_over_authority_of(&agent)?;

    app.store.revoke_session(caller.customer.id, &session).await?;

    Reply::ok(view::SessionView::new(&session, caller.session()).deleted(app.now()))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(AGENT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

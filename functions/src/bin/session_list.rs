//! `GET /v1.0/sessions`: lists the sessions of the calling agent, newest first; an admin can choose another
//! agent with `agent_id`. Sessions that have ended are left out.
//!
//! One round trip to DynamoDB: the agent's id is in the credential or in `agent_id`, so the caller's items
//! and the sessions are read concurrently.

use futures_util::future::join;
use shared::app::App;
use shared::auth::{caller_and_agent_of_sessions, credential};
use shared::domain::Error;
use shared::http::{AGENT, Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let credential = credential(&request)?;
    let (account, agent) = (credential.customer(), request.agent(credential.agent()));
    let sessions = async { app.store.list_sessions(account, agent?).await };
    let (caller, sessions) = join(caller_and_agent_of_sessions(app, &request), sessions).await;
    let (caller, agent) = caller?;

    let epoch = agent?.epoch;
    let page = app.sessions.active(sessions?, epoch, app.now());
    Reply::ok(view::PageView::new(&page, |one| view::SessionView::new(one, caller.session())))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).query(AGENT)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

//! `GET /v1.0/agents`: the agents of the caller's account, newest first.
//!
//! Round trips: one; the token names the account, so the caller and the page are read at the same time.

use shared::app::App;
use shared::auth::{caller, credential};
use shared::domain::{Error, Id, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime;

pub(crate) async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let asked = request.page().and_then(|page| Ok((page.size, page.cursor(Id::parse)?)));
    let account = credential(&request)?.customer();
    let rows = async {
        let (size, after) = asked?;
        app.store.list_agents(account, size, after).await
    };
    let (caller, page) = futures_util::future::join(caller(app, &request), rows).await;
    caller?.require(Permission::ADMIN)?;

    Reply::ok(view::PageView::new(&page?, |agent| view::AgentView::new(account, agent)))
}

fn main() -> runtime::Result {
    runtime::serve(handle)
}

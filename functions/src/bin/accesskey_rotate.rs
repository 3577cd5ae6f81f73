//! `POST /v1.0/accesskeys/{id}/rotate`: a new token for a key; the answer is the only one that shows it.
//! The old token works beside it for a while, so that programs can be changed over one by one.
//!
//! The key acts for the caller's agent from now on.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::PlainToken;
use shared::domain::access_key::{self, Rotation};
use shared::domain::event::EventType;
use shared::domain::owned::Kind;
use shared::domain::value::deserialize_present;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};
use shared::store::Update;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Seconds; if absent, the key ends when it would have.
    #[serde(default, deserialize_with = "deserialize_present")]
    expire: Option<u64>,
    /// Seconds; 0 ends the old token at once.
    #[serde(default, deserialize_with = "deserialize_present")]
    overlap: Option<u64>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, key) = caller_and_access_key(app, &request, Permission::ADMIN).await?;
    let body: Body = request.json()?;
    let lifetime = body.expire.map(access_key::lifetime).transpose()?;
    let overlap = access_key::overlap(body.overlap)?;

    let (account, agent, mut before) = (caller.customer.id, caller.agent.id, key?);
    caller.require_all_of(before.permission)?;
    let plain = PlainToken::access_key(account, agent, before.id, app.new_secret());
    let replaced = before.token.clone();
    let conditions = request.preconditions()?;
    loop {
        conditions.require(&view::AccessKeyView::new(account, &before))?;
        let now = app.now();
        let rotation = Rotation { token: plain.stored(), agent, lifetime, overlap };
        let after = before.rotated(rotation, now)?;
        let subjects = vec![before.id.uuid()];
        let event = app.event(EventType::Updated(Kind::AccessKey), account, subjects, now);
        match app.store.update_access_key(&caller.customer, &before, &after, &event).await? {
            Update::Outdated(current) if current.token == replaced => before = *current,
            // Ours already, if an answer was lost on the way to us; or somebody else was first.
            Update::Outdated(current) if current.token != after.token => {
                return Err(Error::AlreadyRotated);
            }
            Update::Written | Update::Outdated(_) => {
                return Reply::ok(view::AccessKeyView::new(account, &after).with_token(&plain));
            }
        }
    }
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::token_issued)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

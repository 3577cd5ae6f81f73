//! `POST /v1.0/accesskeys/{id}/rotate`: gives an access key a new token, shown only here; the old one stays valid for
//! a while. The key then acts for the agent who rotated it. A key can rotate itself, but not extend its expiry.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller_and_access_key;
use shared::domain::access_key::{self, Rotation};
use shared::domain::gate::Write;
use shared::domain::value::{Integer, deserialize_present};
use shared::domain::{Error, EventType, Kind, Permission, PlainToken};
use shared::http::{Reply, Request, view};
use shared::store::{Update, revise};
use shared::{replay, runtime, runtime::Endpoint};

/// Durations in seconds. If `expire` is absent, the key's expiry stays; an `overlap` of 0 ends the old token at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default, deserialize_with = "deserialize_present")]
    expire: Option<Integer>,
    #[serde(default, deserialize_with = "deserialize_present")]
    overlap: Option<Integer>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let (caller, found) = caller_and_access_key(app, &request, Permission::ADMIN).await?;
    caller.require_session_or_own(request.path_id().ok())?;
    let body: Body = request.json()?;
    let lifetime = body.expire.map(access_key::lifetime).transpose()?;
    let overlap = access_key::overlap(body.overlap)?;
    let (caller, agent, by) = (&caller, caller.agent.id, caller.actor());
    let (account, (_, key)) = (caller.own(Write::Change)?, found?);
    caller.require_all_of(key.authority())?;
    let plain = &PlainToken::access_key(account.id, agent, key.id, app.new_secret());
    let (replaced, conditions) = (&key.token.clone(), &request.preconditions()?);
    let rotated = revise(key, |before| async move {
        conditions.require(&view::AccessKeyView::new(account.id, &before))?;
        let (now, subjects) = (app.now(), vec![before.id.uuid()]);
        caller.require_within(&before, lifetime.map(|lifetime| now.plus(lifetime)))?;
        let after =
            before.rotated(Rotation { token: plain.stored(), agent, lifetime, overlap }, now)?;
        let event = app.event(EventType::Updated(Kind::AccessKey), account.id, subjects, by, now);
        match app.store.update_access_key(account, &before, &after, &event).await? {
            // An earlier attempt of this request has written the token, but the database's response was lost.
            Update::Outdated(now) if now.token == after.token => Ok((Update::Written, after)),
            Update::Outdated(now) if now.token != *replaced => Err(Error::AlreadyRotated),
            update => Ok((update, after)),
        }
    })
    .await?;
    Reply::ok(view::AccessKeyView::new(account.id, &rotated).with_token(plain))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).preconditions().replay(replay::token_issued)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

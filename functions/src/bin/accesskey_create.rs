//! `POST /v1.0/accesskeys`: creates an access key that acts for the calling agent. The agent must be logged in: a
//! key cannot create keys. Only this response shows the key's token. A project admin can bind the key to a
//! participant (an external system that takes part in erasures): such a key can only list and acknowledge that
//! participant's erasure requests.

use serde::Deserialize;
use shared::app::App;
use shared::auth::caller;
use shared::domain::gate::Write;
use shared::domain::participant::ParticipantName;
use shared::domain::permission::Grant;
use shared::domain::value::{Detail, Integer, Name, deserialize_present};
use shared::domain::{AccessKey, Error, EventType, Kind, Permission, PlainToken, access_key};
use shared::http::{Reply, Request, view};
use shared::replay;
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    name: Name,
    #[serde(default)]
    detail: Detail,
    /// Lifetime of the key, in seconds.
    expire: Integer,
    /// Permission of the key, by default the caller's own. Must be absent with `participant`: such a key has none.
    #[serde(default, deserialize_with = "deserialize_present")]
    permission: Option<Grant>,
    /// The participant that the key is bound to, if any.
    #[serde(default, deserialize_with = "deserialize_present")]
    participant: Option<ParticipantName>,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let caller = caller(app, &request, Permission::ADMIN).await?;
    caller.require_session()?;
    let body: Body = request.json()?;
    let lifetime = access_key::lifetime(body.expire)?;
    let permission = caller.give_key(body.permission, body.participant.as_ref())?;

    let (now, by) = (app.now(), caller.actor());
    let (account, id) = (caller.customer.id, app.new_id(now));
    let token = PlainToken::access_key(account, caller.agent.id, id, app.new_secret());
    let key = AccessKey::new(id, caller.agent.id, token.stored(), permission, lifetime, now);
    let (name, detail, participant) = (body.name, body.detail, body.participant);
    let key = AccessKey { name, detail, participant, ..key };
    let event = app.event(EventType::Created(Kind::AccessKey), account, vec![id.uuid()], by, now);
    app.store.insert_access_key(caller.own(Write::Change)?.within(app.caps), &key, &event).await?;

    Reply::ok(view::AccessKeyView::new(account, &key).with_token(&token))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::new(handle).replay(replay::token_issued)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

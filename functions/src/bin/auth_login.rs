//! `POST /auth/login`: creates a session for a user name and its password.
//!
//! Two round trips: login attempts and user name lock, then the session. Reads and hashes are the same whether the user name
//! exists or not.

use futures_util::future::join;
use serde::Deserialize;
use shared::app::App;
use shared::auth::reserve_attempt;
use shared::domain::value::Password;
use shared::domain::{Error, PlainToken, Session, Username, session};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::runtime::Endpoint;
use shared::store::session::Rehash;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    username: Username,
    password: Password,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body: Body = request.json()?;
    let login = body.username.login_key();

    let found = app.store.get_login(&body.username);
    let found = reserve_attempt(app, &request, login, found).await?;
    let valid = password::verify(&body.password, found.as_ref().map(|found| &found.password_hash));
    let found = found.filter(|_| valid).ok_or(Error::WrongLogin)?;

    let token = PlainToken::session(found.customer, found.agent, login, app.new_secret());
    let now = app.now();
    let session = Session {
        agent: found.agent,
        epoch: found.epoch,
        tm_create: now,
        tm_expire: now.plus(session::LIFETIME),
        url_exposed: false,
    };
    let stronger = password::rehash(&body.password, &found.password_hash)?;
    let rehash = stronger.as_ref().map(|new| Rehash { old: &found.password_hash, new });
    let hash = token.hash();
    let written = app.store.insert_session(found.customer, &hash, &session, login, rehash);
    // If the attempts are not forgotten, the next one may have to wait: no reason to refuse this one.
    let (written, _) = join(written, app.store.forget_attempts(login)).await;
    written?;

    Reply::ok(view::SessionView::new(&body.username, &token, &session))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

shared::hashing_main!(endpoint);

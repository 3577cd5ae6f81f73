//! `POST /auth/login`: creates a session for a user name and its password. If the agent then has too many sessions, the
//! oldest ones end.
//!
//! Two round trips: the first counts the login attempt and reads the item of the user name, the second writes the
//! session. Reads and hashes are the same whether the user name exists or not, so timing does not reveal it.

use futures_util::future::join3;
use serde::Deserialize;
use shared::app::App;
use shared::auth::{network, reserve_login};
use shared::domain::known_networks::NetworkHash;
use shared::domain::value::Password;
use shared::domain::{Error, PlainToken, Session, Username};
use shared::http::{Reply, Request, view};
use shared::password;
use shared::runtime::Endpoint;
use shared::store::session::VerifiedLogin;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    username: Username,
    password: Password,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let body: Body = request.json()?;
    let key = body.username.login_key();
    let network = NetworkHash::new(&network(&request), key);

    let attempt = reserve_login(app, &request, &body.username, &network).await?;
    let login = attempt.login.as_ref();
    let valid = password::verify(&body.password, login.map(|login| &login.password_hash));
    let login = login.filter(|_| valid).ok_or(Error::WrongLogin)?;

    let (customer, agent, now) = (login.customer, login.agent, app.now());
    let token = PlainToken::session(customer, agent, key, app.new_secret());
    let session = Session::new(token.session_id(), agent, login.epoch, now);
    let rehash = password::rehash(&body.password, &login.password_hash)?;
    let verified = VerifiedLogin { key, login, network: &network, rehash: rehash.as_ref() };
    let written = app.store.insert_session(&session, &verified);
    let others = app.store.list_sessions(customer, agent);
    // A failure to reset the count of attempts, or to list the other sessions, is no reason to refuse this login.
    let (written, others, _) = join3(written, others, app.store.forget_attempts(&attempt)).await;
    written?;
    for ended in app.sessions.surplus(&session, others.unwrap_or_default(), now) {
        app.beside(async move { app.store.delete_session(customer, agent, ended.id).await });
    }

    Reply::ok(view::NewSessionView::new(&body.username, &token, &session))
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

shared::hashing_main!(endpoint);

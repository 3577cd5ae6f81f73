//! `POST /auth/password-forgot`: requests a mailed link for setting a new password. The response, the work and the
//! writes are the same whether the user name exists or not: its agent is looked up later, when the mail is sent.

use serde::Deserialize;
use shared::app::App;
use shared::auth::admit_mail;
use shared::domain::mail_intent::Intent;
use shared::domain::{Error, Purpose, Username};
use shared::http::{Reply, Request};
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    username: Username,
}

async fn handle(app: &'static App, request: Request) -> Result<Reply, Error> {
    let Body { username } = request.json()?;
    let (login, digest) = (username.login_key(), username.digest());

    if admit_mail(app, &request, Purpose::PasswordReset, &digest).await? {
        let (now, intent) = (app.now(), Intent::PasswordReset { login, digest });
        app.store.insert_intent(&intent, app.new_id(now), now).await?;
    }

    Reply::empty()
}

pub(crate) fn endpoint() -> Endpoint<App> {
    Endpoint::public(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}

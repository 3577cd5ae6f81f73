//! `tenure login`: signs in, and keeps the token in the profile. `tenure logout`: ends the session if there is one, and
//! deletes the profile.

use clap::Args;
use serde_json::json;

use crate::client::{Call, Client, Url};
use crate::context::Context;
use crate::error::Error;
use crate::profile::{Profile, Profiles, Secret};
use crate::wire::Session;
use crate::{prompt, show};

/// Prefix of the tokens of sessions; that of access keys is `vb_`.
const SESSION_PREFIX: &str = "vbs_";

/// Asks for user name and password at the terminal, or reads two lines of stdin.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Address of the API; that of the profile if absent
    #[arg(long)]
    url: Option<Url>,
    /// Ask for an access key instead, or read it as a line of stdin
    #[arg(long)]
    access_key: bool,
}

impl Login {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let profiles = Profiles::of_user()?;
        let url = match self.url {
            Some(url) => url,
            None => profiles.load(&context.profile)?.url,
        };
        let (token, expiry) = if self.access_key { access_key(&url)? } else { session(&url)? };
        profiles.save(&context.profile, &Profile { url: url.clone(), token })?;

        let profile = context.profile.to_string();
        if context.json {
            return show::json(
                &json!({"profile": profile, "url": url.as_str(), "tm_expire": expiry}).to_string(),
            );
        }
        let until = expiry
            .map(|expiry| format!(" until {}", show::time(Some(&expiry))))
            .unwrap_or_default();
        show::line(&format!("Signed in at {}{until} (profile {profile}).", url.as_str()))
    }
}

/// Logs in with a user name and password; returns the new session's token and expiry.
fn session(url: &Url) -> Result<(Secret, Option<String>), Error> {
    let (username, password) = (prompt::line("User name")?, prompt::secret("Password")?);
    let login =
        Call::post("/auth/login").json(&json!({"username": username, "password": password})).once();
    let session: Session = Client::anonymous(url.clone()).send(&login)?.read()?;
    Ok((session.token, Some(session.tm_expire)))
}

/// Reads an access key and checks that the API accepts it; returns it, and `None` for its expiry.
fn access_key(url: &Url) -> Result<(Secret, Option<String>), Error> {
    let key = prompt::secret("Access key")?;
    Client::with_token(url.clone(), key.clone()).send(&Call::get("/v1.0/me"))?;
    Ok((key, None))
}

pub(super) fn log_out(context: &Context) -> Result<(), Error> {
    let profiles = Profiles::of_user()?;
    let Profile { url, token } = profiles.load(&context.profile)?;
    let is_session = token.expose().starts_with(SESSION_PREFIX);
    if is_session {
        match Client::with_token(url, token).send(&Call::post("/auth/logout")) {
            // `SignedOut`: the session has ended already.
            Ok(_) | Err(Error::SignedOut(_)) => {}
            Err(error) => return Err(error),
        }
    }
    profiles.delete(&context.profile)?;
    show::note(if is_session {
        "Signed out."
    } else {
        "The access key is forgotten here. It still works: delete it with DELETE /v1.0/accesskeys/{id} to end it."
    });
    Ok(())
}

//! Webhooks: where an account's events go, and what proves that they come from us.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;

use super::value::{Integer, WebhookMethod, WebhookUri};
use super::{Error, Timestamp};

/// How long the old secret signs beside the new one, when nobody says: one day.
pub const OVERLAP: Duration = Duration::from_hours(24);

/// The longest that an old secret signs beside the new one: 30 days.
pub const MAX_OVERLAP: Duration = Duration::from_hours(24 * 30);

/// What webhooks are signed with: `whsec_` and 32 random bytes in base 64, as Standard Webhooks writes it
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

const PREFIX: &str = "whsec_";

impl WebhookSecret {
    /// A new secret.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", BASE64.encode(&random)))
    }

    /// A secret that we made earlier.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// As its owner sees it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The bytes that sign; none if this is no secret of ours.
    #[must_use]
    pub fn key(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.0.strip_prefix(PREFIX)?.as_bytes()).ok()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// A secret that another has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierWebhookSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// When it stops signing.
    pub tm_expire: Timestamp,
}

/// Where an account's events go, and what signs them: the newest secret first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// How they are sent.
    pub method: WebhookMethod,
    /// Where they are sent.
    pub uri: WebhookUri,
    /// Each signs.
    pub secrets: Vec<WebhookSecret>,
}

/// Returns the overlap that a client asks to last `seconds`, or the default one.
pub fn overlap(seconds: Option<Integer>) -> Result<Duration, Error> {
    let overlap = seconds.map_or(OVERLAP, |seconds| Duration::from_secs(seconds.0));
    if overlap > MAX_OVERLAP {
        let rule = format!("must be at most {} seconds", MAX_OVERLAP.as_secs());
        return Err(Error::invalid_field("overlap", rule));
    }
    Ok(overlap)
}

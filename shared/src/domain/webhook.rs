//! Webhooks of an account: method, URI and signing secrets.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;

use super::value::{Integer, WebhookMethod, WebhookUri};
use super::{Error, Timestamp};

/// Default overlap when a signing secret is rotated (replaced), the time for which webhooks are signed with
/// the old secret, too: one day.
pub const OVERLAP: Duration = Duration::from_hours(24);

/// Maximum overlap when a signing secret is rotated: 30 days.
pub const MAX_OVERLAP: Duration = Duration::from_hours(24 * 30);

/// A secret that signs webhooks: `whsec_` and 32 random bytes in base 64, as in Standard Webhooks
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

const PREFIX: &str = "whsec_";

impl WebhookSecret {
    /// Returns a new secret.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", BASE64.encode(&random)))
    }

    /// Wraps a secret that was made earlier and stored.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the secret as text, `whsec_…`, as its owner sees it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the secret's bytes, the key with which webhooks are signed; `None` if the text does not have
    /// the form of a secret.
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

/// A secret that was replaced in a rotation. It still signs webhooks until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierWebhookSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// When webhooks are no longer signed with it.
    pub tm_expire: Timestamp,
}

/// An account's webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// HTTP method that events are sent with.
    pub method: WebhookMethod,
    /// URI that events are sent to.
    pub uri: WebhookUri,
    /// Secrets, the newest first. Each webhook is signed with all of them.
    pub secrets: Vec<WebhookSecret>,
}

/// Converts the overlap that a client requests for a rotation, in seconds; returns the default if none is
/// requested. Fails if it is longer than 30 days.
pub fn overlap(seconds: Option<Integer>) -> Result<Duration, Error> {
    let overlap = seconds.map_or(OVERLAP, |seconds| Duration::from_secs(seconds.0));
    if overlap > MAX_OVERLAP {
        let rule = format!("must be at most {} seconds", MAX_OVERLAP.as_secs());
        return Err(Error::invalid_field("overlap", rule));
    }
    Ok(overlap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText as _;
    use crate::domain::{Customer, Id};

    #[test]
    fn a_replaced_secret_signs_until_the_overlap_ends() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let [new, old] = [1, 2].map(|byte| WebhookSecret::new([byte; 32]));
        let mut customer = Customer::blank(Id::new(now, [1; 10]), now);
        customer.webhook_method = WebhookMethod::Post;
        customer.webhook_uri = WebhookUri::from_text("https://hook.example/").unwrap();
        customer.internals.webhook_secret = Some(new.clone());
        let end = now.plus(OVERLAP);
        customer.internals.earlier_webhook_secret =
            Some(EarlierWebhookSecret { secret: old.clone(), tm_expire: end });
        let just_before = Timestamp::from_micros(end.millis() * 1000 - 1).unwrap();
        let secrets = |at| customer.webhook(at).unwrap().secrets;
        assert_eq!(secrets(just_before), [new.clone(), old]);
        assert_eq!(secrets(end), [new]);
    }

    #[test]
    fn a_secret_signs_with_its_random_bytes() {
        let secret = WebhookSecret::new([7; 32]);
        assert_eq!(secret.expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(secret.key(), Some(vec![7; 32]));
        for text in ["", "BwcH", "whsec_?"] {
            assert_eq!(WebhookSecret::trusted(text.to_owned()).key(), None, "{text}");
        }
    }

    #[test]
    fn an_overlap_is_a_day_unless_asked_for_and_30_days_at_most() {
        let asked = |seconds| overlap(Some(Integer(seconds))).ok().map(|one| one.as_secs());
        assert_eq!(overlap(None).unwrap(), Duration::from_hours(24));
        assert_eq!([0, 2_592_000, 2_592_001].map(asked), [Some(0), Some(2_592_000), None]);
        let refused = overlap(Some(Integer(u64::MAX)));
        assert!(matches!(refused, Err(Error::InvalidField(name, _)) if name == "overlap"));
    }
}

//! Idempotent requests (draft-ietf-httpapi-idempotency-key-header): a request that is sent again with the
//! same idempotency key takes effect only once.

use std::time::Duration;

use uuid::Uuid;

use super::digest::sha256;
use super::owned::Kind;
use super::participant::ParticipantName;
use super::{Agent, Customer, Event, Id, Timestamp};

/// How long an idempotency record is kept: 24 hours.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// Maximum length of a key, in bytes.
const MAX_LENGTH: usize = 255;

/// An idempotency key: a text that a client sends with a request and repeats when it retries the request.
#[derive(Clone)]
pub struct IdempotencyKey(String);

impl std::fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

impl IdempotencyKey {
    /// Returns the key with this text; `None` unless it has 1 to 255 visible ASCII characters.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let fits = (1..=MAX_LENGTH).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(text))
    }

    /// Returns the hash that names, in the store, the record of this key's use by this agent for this
    /// operation.
    #[must_use]
    pub fn of(&self, agent: Id<Agent>, operation: &str) -> String {
        sha256(&format!("{agent}\n{operation}\n{}", self.0))
    }

    /// Returns the key as the client sent it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// An idempotency record: what a request with an idempotency key did, identified by the first event that the
/// request emitted. It suffices to answer a retry of the request, and contains nothing secret or personal.
#[derive(Clone, Debug)]
pub struct IdempotencyRecord {
    /// Fingerprint of the request: a hash that tells a retry from a different request with the same key.
    pub fingerprint: String,
    /// Random id of the transaction that wrote the record, by which that transaction recognises its own
    /// record if DynamoDB's response was lost.
    pub transaction: Uuid,
    /// Id of the request's first event; `None` if it emitted none.
    pub event: Option<Id<Event>>,
    /// Name of the type of the request's first event; empty if it emitted none.
    pub event_name: String,
    /// The account that the request changed, or the caller's own if it changed none.
    pub customer: Id<Customer>,
    /// The owned item that the request changed; `None` if it changed the account itself.
    pub subject: Option<Uuid>,
    /// The participant that the request registered or changed, which emits no event; `None` for any other request.
    pub participant: Option<ParticipantName>,
    /// Sequence number of the request's first event; 0 if it emitted none.
    pub sequence: u64,
    /// When the request made its change.
    pub tm_event: Timestamp,
    /// When the record expires, in seconds since 1970.
    pub expires_at: i64,
}

impl IdempotencyRecord {
    /// Whether the record has not expired at `now`.
    #[must_use]
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        now.seconds() < self.expires_at
    }

    /// Returns the kind of the owned item that the request created or updated; `None` if it changed the account itself.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let is_named =
            |kind: &Kind| [kind.created(), kind.updated()].contains(&self.event_name.as_str());
        Kind::ALL.iter().copied().find(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn record(event_name: &str) -> IdempotencyRecord {
        IdempotencyRecord {
            fingerprint: String::new(),
            transaction: Uuid::nil(),
            event: None,
            event_name: event_name.to_owned(),
            customer: Id::new(at(1), [1; 10]),
            subject: None,
            participant: None,
            sequence: 1,
            tm_event: at(1),
            expires_at: 100,
        }
    }

    #[test]
    fn a_key_has_1_to_255_visible_characters() {
        let key =
            |text: &str| IdempotencyKey::new(text.to_owned()).map(|key| key.expose().to_owned());
        for text in ["!", "~", &"x".repeat(255)] {
            assert_eq!(key(text).as_deref(), Some(text));
        }
        for text in ["", " ", "a b", "\u{7f}", "é", &"x".repeat(256)] {
            assert_eq!(key(text), None, "{text}");
        }
    }

    #[test]
    fn a_use_is_that_of_one_agent_for_one_operation() {
        let key = |text: &str| IdempotencyKey::new(text.to_owned()).unwrap();
        let agent = |number| Id::new(at(1), [number; 10]);
        let used = key("a").of(agent(1), "POST /v1.0/numbers");
        assert_eq!(used, key("a").of(agent(1), "POST /v1.0/numbers"));
        assert_ne!(used, key("b").of(agent(1), "POST /v1.0/numbers"));
        assert_ne!(used, key("a").of(agent(2), "POST /v1.0/numbers"));
        assert_ne!(used, key("a").of(agent(1), "POST /v1.0/flows"));
    }

    #[test]
    fn a_record_is_remembered_until_it_expires() {
        assert!(record("").is_remembered(at(99)));
        assert!(!record("").is_remembered(at(100)));
    }

    #[test]
    fn the_item_is_of_the_kind_that_the_event_created_or_updated() {
        assert_eq!(record("number_created").kind(), Some(Kind::Number));
        assert_eq!(record("agent_updated").kind(), Some(Kind::Agent));
        for name in ["", "customer_created", "number_deleted"] {
            assert_eq!(record(name).kind(), None, "{name}");
        }
    }
}

//! Idempotent requests (draft-ietf-httpapi-idempotency-key-header): a request that is retried with its key has one
//! effect.

use std::time::Duration;

use uuid::Uuid;

use super::digest::sha256;
use super::owned::Kind;
use super::{Agent, Customer, Error, Event, Id, Timestamp};

/// How long an idempotency record is kept: 24 hours.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// Maximum length of a key, in bytes.
const MAX_LENGTH: usize = 255;

/// An idempotency key, which a client gives to a request.
#[derive(Clone)]
pub struct IdempotencyKey(String);

impl std::fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

impl IdempotencyKey {
    /// Reads the header: a string (RFC 8941) of visible characters, or without quotes what could be a
    /// token but for how it begins.
    pub fn parse(header: &str) -> Result<Self, Error> {
        let header = header.trim_matches([' ', '\t']);
        let key = match header.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').and_then(unescape),
            None => header.bytes().all(is_token).then(|| header.to_owned()),
        };
        let fits = |key: &String| {
            (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        key.filter(fits).map(Self).ok_or_else(|| {
            let rule =
                "must be one key of 1 to 255 visible characters in double quotes, such as a UUID";
            Error::InvalidParameter("Idempotency-Key", rule.to_owned())
        })
    }

    /// Returns the hash under which this agent's use of the key for this operation is stored.
    #[must_use]
    pub fn of(&self, agent: Id<Agent>, operation: &str) -> String {
        sha256(&format!("{agent}\n{operation}\n{}", self.0))
    }

    /// The key as the client sent it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The text between the quotes of a string.
fn unescape(quoted: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), quoted.chars());
    while let Some(character) = rest.next() {
        text.push(match character {
            '\\' => rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            plain => plain,
        });
    }
    Some(text)
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'/' | b':' | b'^'..=b'`' | b'|' | b'~')
}

/// An idempotency record: what a request with a key has done, by its first event. Enough to answer the request
/// again; contains nothing secret or personal.
#[derive(Clone, Debug)]
pub struct IdempotencyRecord {
    /// Fingerprint of the request.
    pub request: String,
    /// Id of the transaction.
    pub transaction: Uuid,
    /// Id of the event.
    pub event: Id<Event>,
    /// The event type's name.
    pub what: String,
    /// The account that the request changed.
    pub customer: Id<Customer>,
    /// The owned item that the request changed; `None` if it changed the account itself.
    pub subject: Option<Uuid>,
    /// The event's sequence number.
    pub sequence: u64,
    /// When the event happened.
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

    /// Kind of the owned item that the request created or updated. `None` if it changed the account itself.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let is_named = |kind: &Kind| [kind.created(), kind.updated()].contains(&self.what.as_str());
        Kind::ALL.iter().copied().find(is_named)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Option<String> {
        IdempotencyKey::parse(header).ok().map(|key| key.expose().to_owned())
    }

    #[test]
    fn strings_and_tokens_are_keys() {
        for (header, key) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (" \"a\" ", "a"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("\"a,b;c\"", "a,b;c"),
        ] {
            assert_eq!(read(header).as_deref(), Some(key), "{header}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let long = "x".repeat(256);
        let quoted = format!("\"{long}\"");
        for header in [
            "",
            "\"",
            "\"\"",
            "\"a",
            "a\"",
            "a b",
            "\"a b\"",
            "a,b",
            "\"a\", \"b\"",
            r#""a\b""#,
            r#""a\""#,
            "\"é\"",
            "é",
            "a;b=1",
            "\"a\";b=1",
            "(a)",
            &long,
            &quoted,
        ] {
            assert_eq!(read(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_visible_text_can_be_quoted(key in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(read(&quoted), Some(key));
        }

        #[test]
        fn nothing_breaks_it(header in ".{0,300}") {
            if let Some(key) = read(&header) {
                prop_assert!((1..=255).contains(&key.len()));
            }
        }
    }
}

//! Tokens: `vbs_…` for a session, `vb_…` for an access key.
//!
//! A token contains the ids of everything that is read to verify it, so that one round trip to the database
//! suffices: the account, the agent, and the access key or, for a session, the user name's [`LoginKey`]. It
//! also contains a secret of 32 random bytes, and a checksum by which a mistyped token is refused without a
//! read. All are in base 62, with 22 digits for every 16 bytes. The secret comes first, so that tokens differ
//! in their first characters.

use std::fmt::Write as _;

use uuid::Uuid;

use super::access_key::StoredToken;
use super::digest::sha256;
use super::username::LoginKey;
use super::{AccessKey, Agent, Customer, Id, Session};

const SESSION: &str = "vbs_";
const ACCESS_KEY: &str = "vb_";
pub(super) const DIGITS: usize = 22;
pub(super) const CHECKSUM_DIGITS: usize = 6;
const PREFIX_LENGTH: usize = 11;

/// A token in plain text, which is shown to its owner once.
pub struct PlainToken(String);

impl PlainToken {
    /// Returns a new token of a session.
    #[must_use]
    pub fn session(
        customer: Id<Customer>,
        agent: Id<Agent>,
        login: LoginKey,
        secret: [u8; 32],
    ) -> Self {
        Self::build(SESSION, secret, &[customer.uuid().as_u128(), agent.uuid().as_u128(), login.0])
    }

    /// Returns a new token of an access key.
    #[must_use]
    pub fn access_key(
        customer: Id<Customer>,
        agent: Id<Agent>,
        key: Id<AccessKey>,
        secret: [u8; 32],
    ) -> Self {
        let names = [customer.uuid(), agent.uuid(), key.uuid()].map(|uuid| uuid.as_u128());
        Self::build(ACCESS_KEY, secret, &names)
    }

    fn build(prefix: &str, secret: [u8; 32], names: &[u128]) -> Self {
        let [high, low] = halves(secret);
        let mut token = prefix.to_owned();
        for number in [high, low].iter().chain(names) {
            push_base62(&mut token, *number, DIGITS);
        }
        let checksum = checksum(&token);
        push_base62(&mut token, checksum, CHECKSUM_DIGITS);
        Self(token)
    }

    /// Returns the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the form in which an access key's token is stored.
    #[must_use]
    pub fn stored(&self) -> StoredToken {
        StoredToken { prefix: self.0.chars().take(PREFIX_LENGTH).collect(), hash: self.hash() }
    }

    /// Returns the id of the session whose token this is.
    #[must_use]
    pub fn session_id(&self) -> Id<Session> {
        Session::id_of(&self.0)
    }

    /// Returns the token's SHA-256, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(&self.0)
    }
}

/// The content of a well-formed token, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session's token.
    Session {
        /// The account.
        customer: Id<Customer>,
        /// The agent.
        agent: Id<Agent>,
        /// Key of the user name that the agent logged in with.
        login: LoginKey,
        /// The session.
        session: Id<Session>,
    },
    /// An access key's token.
    AccessKey {
        /// The account.
        customer: Id<Customer>,
        /// The agent the key acts for.
        agent: Id<Agent>,
        /// The access key.
        key: Id<AccessKey>,
        /// The token's hash.
        hash: String,
    },
}

impl Credential {
    /// Returns the content of a token; `None` if it is malformed or its checksum is wrong.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let (body, sum) = token.split_at_checked(token.len().checked_sub(CHECKSUM_DIGITS)?)?;
        if base62::decode(sum).ok()? != checksum(body) {
            return None;
        }
        if let Some(digits) = body.strip_prefix(SESSION) {
            let [_, _, customer, agent, login] = numbers(digits)?;
            return Some(Self::Session {
                customer: id(customer),
                agent: id(agent),
                login: LoginKey(login),
                session: Session::id_of(token),
            });
        }
        let [_, _, customer, agent, key] = numbers(body.strip_prefix(ACCESS_KEY)?)?;
        let hash = sha256(token);
        Some(Self::AccessKey { customer: id(customer), agent: id(agent), key: id(key), hash })
    }

    /// Returns the account that the token belongs to.
    #[must_use]
    pub const fn customer(&self) -> Id<Customer> {
        match self {
            Self::Session { customer, .. } | Self::AccessKey { customer, .. } => *customer,
        }
    }

    /// Returns the agent that the token authenticates: the one who logged in or, for an access key, the one
    /// for whom the key acts.
    #[must_use]
    pub const fn agent(&self) -> Id<Agent> {
        match self {
            Self::Session { agent, .. } | Self::AccessKey { agent, .. } => *agent,
        }
    }
}

pub(super) fn id<T>(number: u128) -> Id<T> {
    Id::from_uuid(Uuid::from_u128(number))
}

pub(super) fn halves(secret: [u8; 32]) -> [u128; 2] {
    let number =
        |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    let (high, low) = secret.split_at(16);
    [number(high), number(low)]
}

/// Parses `digits` as exactly `N` numbers in base 62, of [`DIGITS`] digits each; `None` if they have another
/// form.
pub(super) fn numbers<const N: usize>(digits: &str) -> Option<[u128; N]> {
    if digits.len() != N * DIGITS || !digits.is_ascii() {
        return None;
    }
    let number = |part: &[u8]| base62::decode(part).ok();
    digits.as_bytes().chunks(DIGITS).map(number).collect::<Option<Vec<_>>>()?.try_into().ok()
}

pub(super) fn push_base62(text: &mut String, number: u128, digits: usize) {
    let number = base62::encode(number);
    let _ = write!(text, "{number:0>digits$}");
}

pub(super) fn checksum(text: &str) -> u128 {
    u128::from(crc32fast::hash(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(secret: [u8; 32]) -> PlainToken {
        PlainToken::session(id(u128::MAX), id(7), LoginKey(0), secret)
    }

    #[test]
    fn a_token_is_parsed_back_to_its_parts() {
        let token = session([0; 32]);
        let expected = Credential::Session {
            customer: id(u128::MAX),
            agent: id(7),
            login: LoginKey(0),
            session: token.session_id(),
        };
        assert_eq!(Credential::parse(token.expose()), Some(expected));

        let token = PlainToken::access_key(id(1), id(2), id(3), [255; 32]);
        let hash = token.hash();
        let expected =
            Credential::AccessKey { customer: id(1), agent: id(2), key: id(3), hash: hash.clone() };
        assert_eq!(Credential::parse(token.expose()), Some(expected));
        let kept = token.stored();
        assert!(token.expose().starts_with(&kept.prefix) && kept.prefix.len() == 11);
        assert_eq!(kept.hash, hash);
    }

    #[test]
    fn other_tokens_are_refused() {
        for text in [
            "",
            "vb_",
            "vbs_",
            "x",
            "eyJhbGciOiJub25lIn0.e30.",
            "vbs_ä",
            "äääääää",
            &"A".repeat(10_000),
        ] {
            assert_eq!(Credential::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_digit_more_or_less_is_refused_with_any_checksum() {
        let whole = session([7; 32]).0;
        let body = &whole[..whole.len() - CHECKSUM_DIGITS];
        let summed = |body: &str| {
            let mut token = body.to_owned();
            push_base62(&mut token, checksum(body), CHECKSUM_DIGITS);
            token
        };
        assert!(Credential::parse(&summed(body)).is_some());
        for other in [&body[..body.len() - 1], &format!("{body}0")] {
            assert_eq!(Credential::parse(&summed(other)), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_damaged_token_is_refused(secret: [u8; 32], position in 0_usize..120, replacement in "[0-9A-Za-z_]") {
            let token = session(secret).0;
            let mut damaged = token.clone();
            damaged.replace_range(position..=position, &replacement);
            prop_assume!(damaged != token);
            prop_assert_eq!(Credential::parse(&damaged), None);
            prop_assert_eq!(Credential::parse(&token[..position]), None);
            prop_assert_eq!(Credential::parse(&format!("{token}{replacement}")), None);
        }
    }

    #[test]
    fn what_the_two_kinds_of_token_have_in_common() {
        let session = session([1; 32]);
        assert_eq!(session.hash(), sha256(session.expose()));
        assert_eq!(session.session_id(), Session::id_of(session.expose()));
        let key = PlainToken::access_key(id(u128::MAX), id(7), id(3), [2; 32]);
        for token in [session, key] {
            let credential = Credential::parse(token.expose()).unwrap();
            assert_eq!((credential.customer(), credential.agent()), (id(u128::MAX), id(7)));
        }
    }

    /// Every bit of the secret is in the token.
    #[test]
    fn tokens_of_two_secrets_differ() {
        let digits = |secret: [u8; 32]| session(secret).0[4..48].to_owned();
        let of = |bit: usize| {
            let mut secret = [0; 32];
            secret[bit / 8] = 1 << (bit % 8);
            digits(secret)
        };
        let all: std::collections::BTreeSet<_> =
            (0..256).map(of).chain([digits([0; 32])]).collect();
        assert_eq!(all.len(), 257);
    }
}

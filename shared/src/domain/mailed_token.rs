//! Mailed tokens, `vbm_…`: each works once, and proves that whoever presents it can read the mail of an address.
//!
//! A token contains the ids of the account and of the agent that it is about, so that one round trip reads the token's
//! record, the account and the agent. An id is all zeros as long as there is no such account or agent. The token's
//! secret and checksum are made like those of [other tokens](super::token). In links it stands in the URL's fragment,
//! which no server and no log sees.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::digest::sha256;
use super::sign_up::SignUp;
use super::token::{self, CHECKSUM_DIGITS, DIGITS};
use super::value::{AddressHash, FromText, deserialize_from_text, deserialize_text};
use super::{Agent, Customer, Error, Id, Status, Timestamp};

const PREFIX: &str = "vbm_";

/// Purpose of a mailed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Creates an account for whoever signed up.
    SignUp,
    /// Proves the address of an account.
    EmailVerification,
    /// Sets a forgotten password.
    PasswordReset,
    /// Sets the first password of an agent.
    Invitation,
    /// Unregisters an account, with the grace period, for somebody who cannot log in.
    Unregistration,
}

impl Purpose {
    /// Returns the name under which the purpose is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::EmailVerification => "email_verification",
            Self::PasswordReset => "password_reset",
            Self::Invitation => "invitation",
            Self::Unregistration => "unregistration",
        }
    }

    /// Returns how long a token is valid: one hour if it sets a forgotten password or unregisters an account, otherwise
    /// 24 hours.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::SignUp | Self::EmailVerification | Self::Invitation => Duration::from_hours(24),
            Self::PasswordReset | Self::Unregistration => Duration::from_hours(1),
        }
    }
}

/// A mailed token in plain text, which only its recipient sees.
pub struct MailedToken(String);

impl fmt::Debug for MailedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailedToken(…)")
    }
}

impl MailedToken {
    /// Returns a new token about an account and an agent; either is `None` if it does not exist yet.
    #[must_use]
    pub fn new(customer: Option<Id<Customer>>, agent: Option<Id<Agent>>, secret: [u8; 32]) -> Self {
        let [high, low] = token::halves(secret);
        let customer = customer.map_or(0, |id| id.uuid().as_u128());
        let agent = agent.map_or(0, |id| id.uuid().as_u128());
        let mut text = PREFIX.to_owned();
        for number in [high, low, customer, agent] {
            token::push_base62(&mut text, number, DIGITS);
        }
        let checksum = token::checksum(&text);
        token::push_base62(&mut text, checksum, CHECKSUM_DIGITS);
        Self(text)
    }

    /// Returns the token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the token's SHA-256, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(&self.0)
    }
}

/// The content of a well-formed mailed token in a request. It is not yet compared with the stored record.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedToken {
    /// The account that the token is about; `None` if there is none yet.
    pub customer: Option<Id<Customer>>,
    /// The agent that the token is about; `None` if it is about none.
    pub agent: Option<Id<Agent>>,
    /// The token's hash.
    pub hash: String,
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(…)")
    }
}

impl FromText for PresentedToken {
    type Violation = &'static str;
    fn from_text(text: &str) -> Result<Self, &'static str> {
        parse(text)
            .ok_or("is incomplete or mistyped; send what follows #token= in the link, all of it")
    }
    fn rule() -> String {
        "what follows #token= in a mailed link".to_owned()
    }
}

deserialize_from_text!(PresentedToken);

fn parse(text: &str) -> Option<PresentedToken> {
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_DIGITS)?)?;
    let [_, _, customer, agent] = token::numbers(body.strip_prefix(PREFIX)?)?;
    if base62::decode(sum).ok()? != token::checksum(body) {
        return None;
    }
    Some(PresentedToken { customer: id(customer), agent: id(agent), hash: sha256(text) })
}

fn id<T>(number: u128) -> Option<Id<T>> {
    (number != 0).then(|| Id::from_uuid(Uuid::from_u128(number)))
}

/// The stored record of a mailed token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token's purpose.
    pub purpose: Purpose,
    /// The account that the token is about; `None` if there is none yet.
    pub customer: Option<Id<Customer>>,
    /// The agent that the token is about; `None` if it is about none.
    pub agent: Option<Id<Agent>>,
    /// The agent's [epoch](Agent::epoch) when the token was mailed: once the epoch is incremented, the token
    /// is invalid. `None` if the token is about no agent.
    pub epoch: Option<u64>,
    /// Hash of the address that the token was mailed to.
    pub address: AddressHash,
    /// The sign-up that the token completes; `None` if it has another purpose.
    pub sign_up: Option<SignUp>,
    /// When the token expires.
    pub tm_expire: Timestamp,
}

impl IssuedToken {
    /// Whether the token has not expired at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        now < self.tm_expire
    }

    /// Refuses a token unless it sets `agent`'s password, is valid at `now`, and was mailed after the agent's sessions
    /// and links were last ended.
    pub fn require_password_of(&self, agent: &Agent, now: Timestamp) -> Result<(), Error> {
        let sets_password = matches!(self.purpose, Purpose::PasswordReset | Purpose::Invitation);
        let is_current = self.agent == Some(agent.id) && self.epoch == Some(agent.epoch);
        if sets_password && is_current && self.is_valid(now) {
            Ok(())
        } else {
            Err(Error::TokenInvalid)
        }
    }

    /// Fails unless the token unregisters `customer`, is valid at `now`, and was mailed to the account's
    /// verified address. Also fails if the account is frozen or deleted.
    pub fn require_unregistration_of(
        &self,
        customer: &Customer,
        now: Timestamp,
    ) -> Result<(), Error> {
        let address = customer.verified_address().and_then(|address| address.hash());
        let is_meant = self.purpose == Purpose::Unregistration
            && self.customer == Some(customer.id)
            && address.as_ref() == Some(&self.address);
        let is_live = matches!(customer.status, Status::Initial | Status::Active);
        if is_meant && is_live && self.is_valid(now) { Ok(()) } else { Err(Error::TokenInvalid) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Permission, Username};

    #[test]
    fn a_token_names_what_it_is_about() {
        let (customer, agent) =
            (Id::from_uuid(Uuid::from_u128(1)), Id::from_uuid(Uuid::from_u128(2)));
        for (customer, agent) in
            [(None, None), (Some(customer), None), (Some(customer), Some(agent))]
        {
            let token = MailedToken::new(customer, agent, [7; 32]);
            let expected = PresentedToken { customer, agent, hash: token.hash() };
            assert_eq!(PresentedToken::from_text(token.expose()), Ok(expected));
        }
    }

    #[test]
    fn neither_form_of_a_token_can_be_printed() {
        let token = MailedToken::new(None, None, [7; 32]);
        let presented = PresentedToken::from_text(token.expose()).unwrap();
        for text in [format!("{token:?}"), format!("{presented:?}")] {
            assert!(!text.contains(token.expose()) && !text.contains(&token.hash()), "{text}");
        }
    }

    #[test]
    fn other_tokens_are_refused() {
        let session = token::PlainToken::session(
            Id::from_uuid(Uuid::from_u128(1)),
            Id::from_uuid(Uuid::from_u128(2)),
            super::super::username::LoginKey(3),
            [7; 32],
        );
        for text in ["", "vbm_", "vbm_ä", "äääääää", session.expose(), &"A".repeat(10_000)]
        {
            assert!(PresentedToken::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let purpose = Purpose::PasswordReset;
        let address =
            super::super::value::Email::from_text("a@example.com").unwrap().hash().unwrap();
        let tm_expire = now.plus(purpose.lifetime());
        let token = IssuedToken {
            purpose,
            customer: None,
            agent: None,
            epoch: None,
            address,
            sign_up: None,
            tm_expire,
        };
        assert!(token.is_valid(now) && !token.is_valid(tm_expire));
    }

    #[test]
    fn a_token_sets_the_password_of_its_agent_until_it_expires_or_the_epoch_increments() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let username = Username::from_text("ann@example.com").unwrap();
        let agent = |number| {
            Agent::new(Id::new(now, [number; 10]), username.clone(), Permission::NONE, now)
        };
        let token = |purpose: Purpose| IssuedToken {
            purpose,
            customer: Some(Id::new(now, [1; 10])),
            agent: Some(agent(2).id),
            epoch: Some(0),
            address: username.address().unwrap().hash().unwrap(),
            sign_up: None,
            tm_expire: now.plus(purpose.lifetime()),
        };
        let is_invalid = |result: Result<(), Error>| matches!(result, Err(Error::TokenInvalid));
        for purpose in [Purpose::PasswordReset, Purpose::Invitation] {
            let token = token(purpose);
            assert!(token.require_password_of(&agent(2), now).is_ok());
            assert!(is_invalid(token.require_password_of(&agent(2), token.tm_expire)));
            assert!(is_invalid(token.require_password_of(&agent(3), now)));
            let later = Agent { epoch: 1, ..agent(2) };
            assert!(is_invalid(token.require_password_of(&later, now)));
            let nobodys = IssuedToken { agent: None, ..token };
            assert!(is_invalid(nobodys.require_password_of(&agent(2), now)));
        }
        for purpose in [Purpose::SignUp, Purpose::EmailVerification, Purpose::Unregistration] {
            assert!(is_invalid(token(purpose).require_password_of(&agent(2), now)));
        }
    }

    #[test]
    fn a_token_unregisters_its_live_account_while_that_has_the_address_it_was_mailed_to() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let email = |text: &str| super::super::value::Email::from_text(text).unwrap();
        let account = |number, status| Customer {
            status,
            email: email("ann@example.com"),
            email_verified: true,
            ..Customer::blank(Id::new(now, [number; 10]), now)
        };
        let token = |purpose: Purpose| IssuedToken {
            purpose,
            customer: Some(account(1, Status::Active).id),
            agent: None,
            epoch: None,
            address: email("ann@example.com").hash().unwrap(),
            sign_up: None,
            tm_expire: now.plus(purpose.lifetime()),
        };
        let ours = token(Purpose::Unregistration);
        let (initial, active) = (account(1, Status::Initial), account(1, Status::Active));
        for account in [&initial, &active] {
            assert!(ours.require_unregistration_of(account, now).is_ok());
            assert!(ours.require_unregistration_of(account, ours.tm_expire).is_err());
        }
        let moved = Customer { email: email("bob@example.com"), ..active.clone() };
        let unproven = Customer { email_verified: false, ..active.clone() };
        let (frozen, deleted) = (account(1, Status::Frozen), account(1, Status::Deleted));
        for other in [account(2, Status::Active), moved, unproven, frozen, deleted] {
            assert!(ours.require_unregistration_of(&other, now).is_err(), "{other:?}");
        }
        for purpose in [Purpose::SignUp, Purpose::EmailVerification, Purpose::PasswordReset] {
            assert!(token(purpose).require_unregistration_of(&active, now).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_damaged_token_is_refused(secret: [u8; 32], position in 0_usize..98, replacement in "[0-9A-Za-z_]") {
            let token = MailedToken::new(None, None, secret).0;
            let mut damaged = token.clone();
            damaged.replace_range(position..=position, &replacement);
            prop_assume!(damaged != token);
            prop_assert!(PresentedToken::from_text(&damaged).is_err());
            prop_assert!(PresentedToken::from_text(&token[..position]).is_err());
        }
    }

    #[test]
    fn a_purpose_has_a_name_and_a_lifetime() {
        for (purpose, name, hours) in [
            (Purpose::SignUp, "sign_up", 24),
            (Purpose::EmailVerification, "email_verification", 24),
            (Purpose::PasswordReset, "password_reset", 1),
            (Purpose::Invitation, "invitation", 24),
            (Purpose::Unregistration, "unregistration", 1),
        ] {
            assert_eq!((purpose.name(), purpose.lifetime()), (name, Duration::from_hours(hours)));
        }
    }

    #[test]
    fn a_token_is_kept_by_the_hash_of_all_of_it() {
        let token = MailedToken::new(None, None, [7; 32]);
        assert!(token.expose().starts_with("vbm_") && token.expose().len() == 4 + 4 * 22 + 6);
        assert_eq!(token.hash(), sha256(token.expose()));
    }
}

//! Mail intents: requests to which the response comes by mail, such as a sign-up or a forgotten password. A
//! request only records its intent. The mail sender later looks up whose address it is, so no HTTP response
//! reveals who has an account here.

use std::time::Duration;

use super::mailed_token::Purpose;
use super::sign_up::SignUp;
use super::username::LoginKey;
use super::value::{AddressHash, Email};
use super::{Agent, Customer, Id, Status};

/// Lifetime of an intent: 24 hours. An intent that was not carried out by then is dropped.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// A request to which the response comes by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A request for an account, which is created once its address is proven.
    SignUp(SignUp),
    /// A request for another link that proves this address, for a pending sign-up or for the accounts that
    /// have the address. Anybody can send this request, without credentials.
    Resend(Email),
    /// A request for a link that proves an account's address. Dropped if the account has another address by
    /// the time the mail is sent.
    Verification {
        /// The account that has the address.
        customer: Id<Customer>,
        /// Hash of the address to be proven.
        address: AddressHash,
    },
    /// A request for a link that sets a new password in place of a forgotten one. Anybody can send this
    /// request, without credentials.
    PasswordReset {
        /// Key of the user name, shared by all names that look like it.
        login: LoginKey,
        /// Digest of the user name, which distinguishes it from names that look alike.
        digest: String,
    },
    /// A request for a link that sets the first password of an agent.
    Invitation {
        /// The agent's account.
        customer: Id<Customer>,
        /// The agent who gets the link.
        agent: Id<Agent>,
    },
    /// A request for a link that unregisters the account with this verified address. Anybody can send this
    /// request, without credentials.
    Unregistration(Email),
}

impl Intent {
    /// Returns the intent to have the account's address proven after a change from `before` (`None` if the
    /// account is new) to `after`. `None` if the address is unchanged, verified, empty or withheld, or if the
    /// account is deleted.
    #[must_use]
    pub fn to_prove(before: Option<&Customer>, after: &Customer) -> Option<Self> {
        let is_new = before.is_none_or(|before| !before.email.is_same_mailbox(&after.email));
        let is_open = after.status != Status::Deleted && !after.email_verified;
        let address = after.email.hash().filter(|_| is_new && is_open)?;
        Some(Self::Verification { customer: after.id, address })
    }

    /// Returns the purpose of the tokens that are mailed for this intent.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::SignUp(_) => Purpose::SignUp,
            Self::Resend(_) | Self::Verification { .. } => Purpose::EmailVerification,
            Self::PasswordReset { .. } => Purpose::PasswordReset,
            Self::Invitation { .. } => Purpose::Invitation,
            Self::Unregistration(_) => Purpose::Unregistration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::value::FromText as _;

    #[test]
    fn only_a_new_unverified_address_asks_for_proof() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let account = |email: &str| {
            let email = Email::from_text(email).unwrap();
            Customer { email, ..Customer::blank(Id::new(now, [1; 10]), now) }
        };
        let (ann, other) = (account("ann@example.com"), account("ANN@example.com"));
        let address = ann.email.hash().unwrap();
        let expected = Some(Intent::Verification { customer: ann.id, address });
        assert_eq!(Intent::to_prove(None, &ann), expected);
        assert_eq!(Intent::to_prove(Some(&account("bob@example.com")), &ann), expected);
        assert_eq!(Intent::to_prove(Some(&other), &ann), None, "another spelling");
        assert_eq!(Intent::to_prove(None, &account("")), None);
        let proven = Customer { email_verified: true, ..ann };
        assert_eq!(Intent::to_prove(None, &proven), None);
    }

    #[test]
    fn a_deleted_account_has_nothing_to_prove() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let email = Email::from_text("ann@example.com").unwrap();
        let blank = Customer::blank(Id::new(now, [1; 10]), now);
        let deleted = Customer { email, status: Status::Deleted, ..blank };
        assert_eq!(Intent::to_prove(None, &deleted), None);
    }

    #[test]
    fn an_intent_is_answered_by_a_token_of_its_purpose() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let customer = Id::new(now, [1; 10]);
        let email = Email::from_text("ann@example.com").unwrap();
        let address = email.hash().unwrap();
        for (intent, purpose) in [
            (Intent::Resend(email), Purpose::EmailVerification),
            (Intent::Verification { customer, address }, Purpose::EmailVerification),
            (
                Intent::PasswordReset { login: LoginKey(1), digest: String::new() },
                Purpose::PasswordReset,
            ),
            (Intent::Invitation { customer, agent: Id::new(now, [2; 10]) }, Purpose::Invitation),
        ] {
            assert_eq!(intent.purpose(), purpose);
        }
    }
}

//! Mail intents: what somebody asked for by mail. The request records it, whoever the address belongs to; the sender
//! looks up later what there is to send. So no answer tells who has an account here.

use std::time::Duration;

use super::mailed_token::Purpose;
use super::username::LoginKey;
use super::value::{AddressHash, Email, Name};
use super::{Agent, Customer, Id, Timestamp};

/// How long an intent is worth carrying out: 24 hours.
pub const LIFETIME: Duration = Duration::from_hours(24);

/// The terms that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version that the installation had; empty if it names none.
    pub version: String,
    /// When they were accepted.
    pub tm_accept: Timestamp,
}

/// A sign-up: no account until its address is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUp {
    /// The address.
    pub email: Email,
    /// The account's name; empty if none was given.
    pub name: Name,
    /// The terms that were accepted.
    pub terms: Terms,
}

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To have an account.
    SignUp(SignUp),
    /// To prove an address once more, of a pending sign-up or of accounts: anybody may ask.
    Resend(Email),
    /// To prove the address of an account, if it still has this one.
    Verification {
        /// The account.
        customer: Id<Customer>,
        /// The address.
        address: AddressHash,
    },
    /// To set a forgotten password: anybody may ask.
    PasswordReset {
        /// Key of the user name.
        login: LoginKey,
        /// Digest of the user name, which tells it from those that look alike.
        digest: String,
    },
    /// To set the first password of an agent.
    Invitation {
        /// The account.
        customer: Id<Customer>,
        /// The agent.
        agent: Id<Agent>,
    },
}

impl Intent {
    /// Returns the purpose of the tokens that it leads to.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::SignUp(_) => Purpose::SignUp,
            Self::Resend(_) | Self::Verification { .. } => Purpose::EmailVerification,
            Self::PasswordReset { .. } => Purpose::PasswordReset,
            Self::Invitation { .. } => Purpose::Invitation,
        }
    }
}

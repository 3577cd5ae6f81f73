//! What can go wrong, without a word about HTTP.

use std::time::Duration;

use uuid::Uuid;

use super::counts::PlanDifference;
use super::owned::Kind;
use super::quota::QuotaStatus;
use super::{Permission, Status, Timestamp, Violation};

/// Why a request was not fulfilled.
#[derive(Debug)]
pub enum Error {
    /// A body is larger than it may be; the limit in bytes.
    BodyTooLarge(usize),
    /// A body is not declared to be JSON.
    NotJson,
    /// A body is not JSON, or not an object. Says what is wrong with it.
    InvalidJson(String),
    /// A field of the body is refused: its name, and why.
    InvalidField(String, Violation),
    /// A parameter of the query is wrong: its name, and what it must be.
    InvalidParameter(&'static str, String),
    /// The route does not accept this query parameter.
    UnknownParameter {
        /// Its name, cut to 64 characters.
        name: String,
        /// The names that the route accepts.
        accepted: &'static [&'static str],
    },
    /// A query parameter was sent more than once: its name.
    RepeatedParameter(String),
    /// The route does not evaluate this header, which would change what the request means: its name.
    UnsupportedHeader(&'static str),
    /// The key was used for another request.
    IdempotencyKeyReused,
    /// This request has issued a token before, of the access key with this id, and nobody has it any more
    /// but who got the answer then.
    TokenAlreadyIssued(Uuid),
    /// The id in the path is not one.
    InvalidId,
    /// More than one credential was sent.
    AmbiguousCredentials,
    /// No credential was sent.
    AuthenticationRequired,
    /// The credential, or the user name and password, are not valid.
    InvalidCredentials,
    /// The caller's permission does not suffice.
    PermissionDenied(Denial),
    /// The caller's credential is valid, and the password sent with it is wrong.
    InvalidPassword,
    /// The caller's account is frozen.
    AccountFrozen {
        /// When it was frozen.
        scheduled: Option<Timestamp>,
        /// When it will be deleted.
        effective: Option<Timestamp>,
    },
    /// What the request names does not exist.
    NotFound(Entity),
    /// No route has the request's method and path.
    RouteNotFound,
    /// Another account's agent has the user name.
    UsernameTaken,
    /// Another account has the e-mail address.
    EmailTaken,
    /// The account's status does not allow the operation; `None` if a concurrent writer changed the status
    /// to one that is not known here.
    StateInvalid(Option<Status>),
    /// The account can no longer be recovered.
    GracePeriodEnded,
    /// The project's own account cannot be frozen or deleted, and needs an admin.
    LastProjectAdmin,
    /// An account's last admin cannot be deleted or lose the permission.
    LastAdmin,
    /// A key has got a new token from somebody else just now, or too many of late.
    AlreadyRotated,
    /// The account has no webhook that something could be sent to.
    NoWebhook,
    /// What is to be changed is not, or no longer, in the state that the request is for.
    EtagMismatch,
    /// The billing account pays for the account, and cannot be deleted as long as it does.
    BillingAccountInUse,
    /// The account is held and must not be erased.
    LegalHold,
    /// The plan of a deletion is not true any more: how the account differs from it.
    PlanOutdated(Box<PlanDifference>),
    /// Too many attempts at a user's password; the next may be made after this time.
    TooManyAttempts(Duration),
    /// Nothing is left of a quota.
    TooManyRequests(QuotaStatus),
    /// Something that is needed does not answer, or too many write at once. Says what, for the log.
    Unavailable(String),
    /// A mistake of ours. Says what, for the log.
    Internal(String),
}

/// Why the caller's permission does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The caller has none of the permissions that the request needs.
    Lacks {
        /// Any of these would do.
        needed: Permission,
        /// The caller's.
        has: Permission,
    },
    /// The request is about a permission that the caller's does not cover: one to grant, or one that the agent or
    /// access key to be changed has.
    Exceeds {
        /// The permission that the request is about.
        wanted: Permission,
        /// The caller's.
        has: Permission,
    },
    /// Access keys may not do this; an agent who is logged in may.
    SessionRequired,
}

/// What a request can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// The delivery of an event to the account's webhook.
    Delivery,
    /// An account.
    Customer,
    /// Something that an account owns.
    Owned(Kind),
    /// Anything about an erasure: nobody asked for one.
    Erasure,
}

impl From<Kind> for Entity {
    fn from(kind: Kind) -> Self {
        Self::Owned(kind)
    }
}

impl Error {
    /// What is wrong in a word, for those who must not see more.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
            _ => "refused",
        }
    }

    /// What the log may say of it.
    #[must_use]
    pub fn cause(&self) -> &str {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => cause,
            _ => "refused",
        }
    }

    /// The account owns no such thing of this kind.
    #[must_use]
    pub const fn not_found(kind: Kind) -> Self {
        Self::NotFound(Entity::Owned(kind))
    }

    /// Returns the refusal of the field `name`; a rule in words follows the name in the message.
    #[must_use]
    pub fn invalid_field(name: &str, violation: impl Into<Violation>) -> Self {
        Self::InvalidField(name.to_owned(), violation.into())
    }
}

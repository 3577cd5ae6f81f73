//! Errors of requests, independent of HTTP.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use super::counts::PlanDifference;
use super::hold::Holds;
use super::owned::Kind;
use super::quota::QuotaStatus;
use super::throttle::Throttle;
use super::{Permission, Status, Timestamp, Violation};

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// The body is larger than this limit, in bytes.
    BodyTooLarge(usize),
    /// The request needs a body, and has none.
    BodyMissing,
    /// The body is not declared as JSON.
    NotJson,
    /// The body is not a JSON object; contains what is wrong with it.
    InvalidJson(String),
    /// A field of the body is refused: its name, and why.
    InvalidField(String, Violation),
    /// A query parameter is invalid: its name, and the rule it breaks.
    InvalidParameter(&'static str, String),
    /// The route does not accept this query parameter.
    UnknownParameter {
        /// Name of the parameter, cut to 64 characters.
        name: String,
        /// Names of the parameters that the route accepts.
        accepted: &'static [&'static str],
    },
    /// A query parameter was sent more than once: its name.
    RepeatedParameter(String),
    /// The request has a header that would change its meaning, but that the route does not evaluate; contains
    /// the header's name.
    UnsupportedHeader(&'static str),
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// An earlier attempt of this request has returned the token of the access key with this id; the token
    /// cannot be shown again.
    TokenAlreadyIssued(Uuid),
    /// The id in the path is not a UUID.
    InvalidId,
    /// More than one credential was sent.
    AmbiguousCredentials,
    /// No credential was sent.
    AuthenticationRequired,
    /// The `Authorization` header has another scheme than `Bearer`.
    UnsupportedScheme,
    /// The token is malformed, has expired or was revoked.
    InvalidCredentials,
    /// No agent has this user name and this password.
    WrongLogin,
    /// The caller's permission does not suffice.
    PermissionDenied(Denial),
    /// The caller's credential is valid, and the password sent with it is wrong.
    InvalidPassword,
    /// The caller's account is frozen.
    AccountFrozen {
        /// When the account was frozen.
        scheduled: Option<Timestamp>,
        /// When the deletion of the account is due.
        effective: Option<Timestamp>,
        /// Whether the account's owner can recover it; otherwise only operators can.
        recoverable: bool,
    },
    /// The caller's account is suspended.
    AccountSuspended,
    /// The caller's account cannot have resources (numbers, flows, …) until its e-mail address is verified,
    /// which makes it active.
    EmailVerificationRequired,
    /// The entity that the request names does not exist.
    NotFound(Entity),
    /// The request is itself a webhook that this system sent.
    LoopDetected,
    /// No route has the request's method and path.
    RouteNotFound,
    /// Another agent, perhaps of another account, has the user name.
    UsernameTaken,
    /// Another account has reserved the e-mail address.
    EmailTaken,
    /// The account has no e-mail address that could be verified.
    EmailMissing,
    /// The token of a mailed link was used, has expired, was replaced, or is for another purpose or for an address that
    /// the account no longer has.
    TokenInvalid,
    /// The request needs mail to be sent, and this installation sends none.
    MailDisabled,
    /// The agent has no address to which a link could be mailed.
    AgentUnreachable,
    /// The account's status does not allow the operation.
    StateInvalid(Status),
    /// The grace period is over: the account cannot be recovered.
    GracePeriodEnded,
    /// The project's own account cannot be frozen, suspended or deleted, nor lose its last project admin.
    LastProjectAdmin,
    /// An account's last admin cannot be deleted or lose the permission.
    LastAdmin,
    /// The access key was rotated concurrently, or has too many valid tokens.
    AlreadyRotated,
    /// The maximum number of participants (systems that take part in erasures) is registered.
    TooManyParticipants,
    /// The participant has already reported that its part in the erasure is complete, and this answer differs
    /// from that report.
    AlreadyAcknowledged,
    /// A participant's answer names another round of the erasure than the current one; contains the current
    /// round's number.
    RoundOutdated(u64),
    /// The account has no webhook.
    NoWebhook,
    /// A precondition (`If-Match`, `If-None-Match`) does not hold.
    EtagMismatch,
    /// The billing account is in use and cannot be deleted.
    BillingAccountInUse,
    /// Holds forbid deleting the account, and deleting or overwriting what it owns. For operators only: an
    /// owner gets [`AccountPreserved`](Self::AccountPreserved).
    LegalHold(Holds),
    /// The account, or what it owns, cannot be deleted or overwritten: the error that an owner, who must not
    /// learn of holds, gets instead of [`LegalHold`](Self::LegalHold).
    AccountPreserved,
    /// The account has the maximum number of holds.
    TooManyHolds,
    /// The account owns as many items of this kind as the cap allows; contains the kind and the cap.
    CapReached(Kind, u64),
    /// The account has changed since the erasure [plan](super::erasure::Plan) was made; contains how it
    /// differs.
    PlanOutdated(Box<PlanDifference>),
    /// Operators have deleted as many accounts as they may within an hour (see [`brake`](super::brake));
    /// contains the time until the next deletion is possible.
    DeletionLimit(Duration),
    /// An operator's deletion must name an erasure [plan](super::erasure::Plan), and this one names none.
    PlanRequired,
    /// Too many password attempts; contains what they are counted by, and the delay until the next one is possible.
    TooManyAttempts(Throttle, Duration),
    /// A rate limit is exhausted; contains the limit and when it resets.
    TooManyRequests(QuotaStatus),
    /// A dependency does not respond, or concurrent writes conflict too often; contains the cause, for the
    /// log.
    Unavailable(String),
    /// A bug or broken configuration; contains the cause, for the log.
    Internal(String),
}

/// Why the caller's permission does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The caller has none of the permissions that the request needs.
    Lacks {
        /// The permissions, any one of which would suffice.
        needed: Permission,
        /// The caller's permission.
        has: Permission,
    },
    /// The request grants a permission that the caller's own does not include, or changes an agent or access
    /// key that has such a permission.
    Exceeds {
        /// The permission that is to be granted, or that the agent or access key has.
        wanted: Permission,
        /// The caller's permission.
        has: Permission,
    },
    /// Access keys may not do this; only an agent who is logged in may.
    SessionRequired,
    /// The access key is bound to a participant: it may only list what the participant is asked to erase, and
    /// acknowledge it.
    Bound,
    /// An access key rotates itself and asks for a later expiry than it has.
    OutlivesItself,
    /// The caller's permission was changed while the request was being processed.
    Changed,
}

/// An entity that a request can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A delivery of an event to the account's webhook.
    Delivery,
    /// An account.
    Customer,
    /// An item that an account owns.
    Owned(Kind),
    /// The erasure of an account.
    Erasure,
    /// A ticket: the token by which an account's former owner follows its erasure.
    Ticket,
    /// A registered participant.
    Participant,
    /// A participant's part in an erasure: what it was asked and has answered.
    Participation,
}

impl From<Kind> for Entity {
    fn from(kind: Kind) -> Self {
        Self::Owned(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause())
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::DeletionLimit(_)
            | Self::TooManyAttempts(..)
            | Self::TooManyRequests(_) => true,
            Self::BodyTooLarge(_)
            | Self::BodyMissing
            | Self::NotJson
            | Self::InvalidJson(_)
            | Self::InvalidField(..)
            | Self::InvalidParameter(..)
            | Self::UnknownParameter { .. }
            | Self::RepeatedParameter(_)
            | Self::UnsupportedHeader(_)
            | Self::IdempotencyKeyReused
            | Self::TokenAlreadyIssued(_)
            | Self::InvalidId
            | Self::AmbiguousCredentials
            | Self::AuthenticationRequired
            | Self::UnsupportedScheme
            | Self::InvalidCredentials
            | Self::WrongLogin
            | Self::PermissionDenied(_)
            | Self::InvalidPassword
            | Self::AccountFrozen { .. }
            | Self::AccountSuspended
            | Self::NotFound(_)
            | Self::RouteNotFound
            | Self::LoopDetected
            | Self::UsernameTaken
            | Self::EmailTaken
            | Self::EmailMissing
            | Self::TokenInvalid
            | Self::AgentUnreachable
            | Self::EmailVerificationRequired
            | Self::MailDisabled
            | Self::StateInvalid(_)
            | Self::GracePeriodEnded
            | Self::LastProjectAdmin
            | Self::LastAdmin
            | Self::AlreadyRotated
            | Self::TooManyParticipants
            | Self::AlreadyAcknowledged
            | Self::RoundOutdated(_)
            | Self::NoWebhook
            | Self::EtagMismatch
            | Self::BillingAccountInUse
            | Self::LegalHold(_)
            | Self::AccountPreserved
            | Self::TooManyHolds
            | Self::CapReached(..)
            | Self::PlanOutdated(_)
            | Self::PlanRequired
            | Self::Internal(_) => false,
        }
    }

    /// Returns a coarse error code that reveals no details.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
            _ => "refused",
        }
    }

    /// Returns the cause, for the log; `refused` unless the error is [`Unavailable`](Self::Unavailable) or
    /// [`Internal`](Self::Internal).
    #[must_use]
    pub fn cause(&self) -> &str {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => cause,
            _ => "refused",
        }
    }

    /// Returns the error for an owned item of this kind that does not exist.
    #[must_use]
    pub const fn not_found(kind: Kind) -> Self {
        Self::NotFound(Entity::Owned(kind))
    }

    /// Returns the error that refuses the field `name` of the body. If the violation is given as text, the
    /// message is the field's name followed by that text.
    #[must_use]
    pub fn invalid_field(name: &str, violation: impl Into<Violation>) -> Self {
        Self::InvalidField(name.to_owned(), violation.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quota::Quota;

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let wait = Duration::from_secs(1);
        let standing =
            QuotaStatus { quota: Quota::PASSWORD_ATTEMPTS, remaining: 0, resets_in: wait };
        for error in [
            Error::Unavailable("busy".to_owned()),
            Error::DeletionLimit(wait),
            Error::TooManyAttempts(Throttle::Session, wait),
            Error::TooManyRequests(standing),
        ] {
            assert!(error.retryable(), "{error:?}");
        }
        for error in [Error::Internal("bug".to_owned()), Error::EtagMismatch, Error::InvalidId] {
            assert!(!error.retryable(), "{error:?}");
        }
    }

    #[test]
    fn the_log_has_the_cause_and_a_code_reveals_none() {
        for (error, code, cause) in [
            (Error::Unavailable("throttled".to_owned()), "unavailable", "throttled"),
            (Error::Internal("no such table".to_owned()), "internal", "no such table"),
            (Error::not_found(Kind::Number), "refused", "refused"),
        ] {
            assert_eq!((error.code(), error.cause()), (code, cause));
            assert_eq!(error.to_string(), cause);
        }
    }

    #[test]
    fn what_does_not_exist_is_named_by_its_kind() {
        assert!(matches!(
            Error::not_found(Kind::Flow),
            Error::NotFound(entity) if entity == Entity::from(Kind::Flow)
        ));
        assert!(matches!(
            Error::invalid_field("name", "must be text"),
            Error::InvalidField(name, Violation::Value(rule)) if name == "name" && rule == "must be text"
        ));
    }
}

//! The table that maps every error to what a client sees of it: HTTP status, error status, reason and message.

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use super::view;
use crate::domain::error::{Denial, Entity};
use crate::domain::hold::MAX_HOLDS;
use crate::domain::owned::Kind;
use crate::domain::participant::MAX_PARTICIPANTS;
use crate::domain::quota::{Quota, QuotaKind, QuotaStatus};
use crate::domain::throttle::Throttle;
use crate::domain::{Error, Permission, Status, Violation};

/// An error as a client sees it: HTTP status, error status, reason, message and details.
pub(super) struct Description {
    pub(super) http: StatusCode,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// Seconds to wait before another try, for the header `Retry-After`.
    pub(super) retry_after: Option<u64>,
}

/// Returns the message of an error, for people.
#[must_use]
pub fn message(error: &Error) -> String {
    describe(error).message
}

/// Returns the reason of an error, for programs.
#[must_use]
pub fn reason(error: &Error) -> &'static str {
    describe(error).reason
}

pub(super) fn describe(error: &Error) -> Description {
    let (http, status, reason, message) = row(error);
    let (details, retry_after) = (details(error), retry_after(error));
    Description { http, status, reason, message, details, retry_after }
}

/// Returns the plural name of a kind of item, for messages.
const fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::AccessKey => "access keys",
        kind => kind.plural(),
    }
}

/// HTTP status code, and the error's status, reason and message.
type Row = (StatusCode, &'static str, &'static str, String);

#[expect(clippy::too_many_lines, reason = "a table with a row per error")]
fn row(error: &Error) -> Row {
    match error {
        Error::BodyTooLarge(limit) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "INVALID_ARGUMENT",
            "BODY_TOO_LARGE",
            format!("The body is too large: send at most {limit} bytes."),
        ),
        Error::NotJson => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "INVALID_ARGUMENT",
            "UNSUPPORTED_MEDIA_TYPE",
            "Send JSON in UTF-8, not compressed, with the header Content-Type: application/json.".to_owned(),
        ),
        Error::BodyMissing => {
            bad("INVALID_JSON_BODY", "The body is missing: send a JSON object, with the header Content-Type: application/json.")
        }
        Error::InvalidJson(problem) => {
            bad("INVALID_JSON_BODY", format!("The body is not valid JSON: {problem}."))
        }
        Error::InvalidField(name, rule @ Violation::Value(_)) if name == "webhook_uri" => {
            bad("INVALID_WEBHOOK_URI", format!("{name}: {rule}."))
        }
        Error::InvalidField(name, rule) => bad("INVALID_ARGUMENT", format!("{name}: {rule}.")),
        Error::InvalidParameter(name, rule) => bad_parameter(format!("{name}: {rule}.")),
        Error::UnknownParameter { name, accepted } => bad_parameter(format!(
            "{name}: unknown query parameter; accepted: {}.",
            accepted_names(accepted)
        )),
        Error::RepeatedParameter(name) => {
            bad_parameter(format!("{name}: was sent more than once; send it once."))
        }
        Error::UnsupportedHeader(name) => bad_parameter(format!(
            "{name}: this route does not evaluate the header, and the request may mean something else without it; leave it out."
        )),
        Error::InvalidId => bad("INVALID_ID", "id: must be a UUID, as an earlier answer gave it."),
        Error::AmbiguousCredentials => {
            bad("AMBIGUOUS_CREDENTIALS", "More than one credential was sent: send one, best as Authorization: Bearer.")
        }
        Error::TokenInvalid => {
            bad("TOKEN_INVALID", "token: the link is not valid any more: it was used, has expired, was replaced by a newer one, or is for an address that the account has no more; ask for another one.")
        }
        Error::IdempotencyKeyReused => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "INVALID_ARGUMENT",
            "IDEMPOTENCY_KEY_REUSED",
            "Idempotency-Key: was used for a different request within the last 24 hours; give every request a new key, and repeat a request unchanged.".to_owned(),
        ),
        Error::AuthenticationRequired => {
            unauthenticated("AUTHENTICATION_REQUIRED", "Send a token: Authorization: Bearer <token from POST /auth/login, or an access key>.")
        }
        Error::UnsupportedScheme => {
            unauthenticated("INVALID_CREDENTIALS", "Authorization: only the scheme Bearer is supported; send Authorization: Bearer <token from POST /auth/login, or an access key>.")
        }
        Error::InvalidCredentials => {
            unauthenticated("INVALID_CREDENTIALS", "The token is malformed, has expired or was revoked: log in again, or use another access key.")
        }
        Error::WrongLogin => unauthenticated("INVALID_CREDENTIALS", "The user name or the password is wrong."),
        Error::InvalidPassword => {
            denied("INVALID_PASSWORD", "The password is wrong. The session stays valid; further attempts are limited.")
        }
        Error::PermissionDenied(denial) => denied("PERMISSION_DENIED", denial_message(*denial)),
        Error::AccountFrozen { recoverable: false, .. } => {
            denied("ACCOUNT_FROZEN", "The account was frozen by the operator of this service and will be deleted: contact support if you want to keep it.")
        }
        Error::AccountSuspended => {
            denied("ACCOUNT_SUSPENDED", "The account is suspended: contact support. You can only log in, and unregister it with a grace period, with POST /auth/unregister.")
        }
        Error::AccountFrozen { recoverable: true, .. } => {
            denied("ACCOUNT_FROZEN", "The account is frozen and will be deleted: recover it with DELETE /auth/unregister, or let it go.")
        }
        Error::EmailVerificationRequired => {
            denied("EMAIL_VERIFICATION_REQUIRED", "The account's e-mail address has not been verified, which resources need here: ask support to verify it.")
        }
        Error::MailDisabled => {
            denied("MAIL_DISABLED", "This installation sends no mail, which this needs: ask its operator, who can create accounts, verify addresses and set passwords without it.")
        }
        Error::NotFound(Entity::Customer) => not_found("CUSTOMER_NOT_FOUND", "There is no customer with this id."),
        Error::NotFound(Entity::Owned(kind)) => {
            not_found(kind.not_found(), format!("There is no {} with this id in the account.", kind.singular()))
        }
        Error::NotFound(Entity::Delivery) => {
            not_found("WEBHOOK_DELIVERY_NOT_FOUND", "There is no delivery with this id in the account's log, which keeps the deliveries of some months only.")
        }
        Error::NotFound(Entity::Erasure) => {
            not_found("ERASURE_NOT_FOUND", "No erasure of this account has been requested.")
        }
        Error::NotFound(Entity::Ticket) => {
            not_found("TICKET_NOT_FOUND", "There is no such ticket: send what follows /v1.0/erasures/ in the Link of POST /auth/unregister, or #ticket= in the last mail, all of it.")
        }
        Error::NotFound(Entity::Participant) => {
            not_found("PARTICIPANT_NOT_FOUND", "No participant has this name: GET /v1.0/participants lists them.")
        }
        Error::NotFound(Entity::Participation) => {
            not_found("PARTICIPATION_NOT_FOUND", "This erasure does not ask this participant, or not yet: GET /v1.0/customers/{id}/erasure lists those that it does.")
        }
        Error::RouteNotFound => {
            not_found("ROUTE_NOT_FOUND", "No route has this method and path: check both against the list of endpoints.")
        }
        Error::LoopDetected => (
            StatusCode::LOOP_DETECTED,
            "FAILED_PRECONDITION",
            "LOOP_DETECTED",
            "The request is a webhook of this service: set webhook_uri to a receiver of your own.".to_owned(),
        ),
        Error::TokenAlreadyIssued(_) => {
            exists("TOKEN_ALREADY_ISSUED", "This request was fulfilled before, and only that answer showed the token: if it is lost, rotate the access key in details with a new Idempotency-Key, or delete it.")
        }
        Error::UsernameTaken => exists("USERNAME_TAKEN", "username: is taken; choose another."),
        Error::EmailTaken => exists("EMAIL_TAKEN", "email: another account has reserved this address; use another one."),
        Error::EmailMissing => {
            conflict("EMAIL_MISSING", "email_verified: the account has no e-mail address; set email first, with PUT /v1.0/customers/{id}.")
        }
        Error::AgentUnreachable => {
            conflict("EMAIL_MISSING", "There is no address to mail the agent a link to: the user name is none, and a link for an admin goes to the account's e-mail address only once it is verified.")
        }
        Error::StateInvalid(status) => conflict("STATE_INVALID", wrong_status(*status)),
        Error::GracePeriodEnded => {
            conflict("GRACE_PERIOD_ENDED", "The grace period has ended: the account can no longer be recovered.")
        }
        Error::LastProjectAdmin => {
            conflict("LAST_PROJECT_ADMIN", "The project's own account cannot be frozen or deleted, and keeps a project admin: appoint another one first.")
        }
        Error::LastAdmin => conflict("LAST_ADMIN", "An account keeps an admin: make another agent an admin first."),
        Error::NoWebhook => {
            conflict("WEBHOOK_NOT_CONFIGURED", "The account has no webhook: set webhook_uri and webhook_method first. If the receiver answered 410, set webhook_uri again.")
        }
        Error::AlreadyRotated => {
            conflict("ALREADY_ROTATED", "The access key was rotated concurrently or too often: use the latest token, wait until older ones expire, or end them with overlap 0.")
        }
        Error::EtagMismatch => (
            StatusCode::PRECONDITION_FAILED,
            "FAILED_PRECONDITION",
            "ETAG_MISMATCH",
            "If-Match or If-None-Match does not hold for the current state: get it again, and decide on what it is now.".to_owned(),
        ),
        Error::BillingAccountInUse => {
            conflict("BILLING_ACCOUNT_IN_USE", "The billing account pays for the account: set another billing_account_id first, or all zeros for none.")
        }
        Error::LegalHold(_) => {
            conflict("LEGAL_HOLD", "The account is held: until the holds in details are lifted, with DELETE /v1.0/customers/{id}/holds/{name}, it is not deleted, and its profile, agents and resources are neither deleted nor overwritten.")
        }
        Error::AccountPreserved => {
            conflict("ACCOUNT_PRESERVED", "At the moment, neither the account nor its profile, agents and resources can be deleted or overwritten. Access keys and sessions can be revoked, passwords changed, and the account can be unregistered with a grace period; for more, contact support.")
        }
        Error::TooManyHolds => conflict(
            "TOO_MANY_HOLDS",
            format!("The account has {MAX_HOLDS} holds, which is the limit: lift one first."),
        ),
        Error::TooManyParticipants => conflict(
            "TOO_MANY_PARTICIPANTS",
            format!("There are {MAX_PARTICIPANTS} participants, which is the limit: delete one first."),
        ),
        Error::AlreadyAcknowledged => {
            conflict("ALREADY_ACKNOWLEDGED", "The participant has completed, which is final, and said otherwise of what it found, deleted and retained: GET /v1.0/customers/{id}/erasure shows its answer.")
        }
        Error::RoundOutdated(_) => {
            conflict("ROUND_OUTDATED", "round: the erasure is in the round that details say: the account came back with a restore and is erased again. Delete again what came back with it, and answer to that round.")
        }
        Error::CapReached(kind, cap) => conflict(
            "RESOURCE_LIMIT_EXCEEDED",
            format!("An account can have {cap} {}, and this one does: delete one first, or ask support for more.", in_words(*kind)),
        ),
        Error::PlanOutdated(_) => {
            conflict("PLAN_OUTDATED", "plan: the account has changed since, as details say; make another plan with POST /v1.0/customers/{id}/erasure/plan.")
        }
        Error::PlanRequired => (
            StatusCode::PRECONDITION_REQUIRED,
            "FAILED_PRECONDITION",
            "PLAN_REQUIRED",
            "plan: is missing, and required here; make a plan with POST /v1.0/customers/{id}/erasure/plan, and send its digest.".to_owned(),
        ),
        Error::DeletionLimit(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "RESOURCE_EXHAUSTED",
            "DELETION_LIMIT",
            "Operators have deleted as many customers as they may within an hour; the customer is unchanged. Wait as long as Retry-After says, or freeze the customer now.".to_owned(),
        ),
        Error::TooManyRequests(QuotaStatus { quota, .. }) => exhausted(used_up(*quota)),
        Error::TooManyAttempts(Throttle::Session, _) => {
            exhausted("Too many attempts at the password in this session".to_owned())
        }
        Error::TooManyAttempts(..) => exhausted("Too many attempts with this user name".to_owned()),
        Error::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "SERVICE_UNAVAILABLE",
            "The service is busy; the request may be right: try again.".to_owned(),
        ),
        Error::Internal(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "INTERNAL",
            "Something went wrong on our side; the request id finds it in the log.".to_owned(),
        ),
    }
}

fn bad(reason: &'static str, message: impl Into<String>) -> Row {
    (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", reason, message.into())
}

fn bad_parameter(message: String) -> Row {
    bad("INVALID_REQUEST_PARAMETER", message)
}

fn unauthenticated(reason: &'static str, message: &str) -> Row {
    (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", reason, message.to_owned())
}

fn denied(reason: &'static str, message: impl Into<String>) -> Row {
    (StatusCode::FORBIDDEN, "PERMISSION_DENIED", reason, message.into())
}

fn not_found(reason: &'static str, message: impl Into<String>) -> Row {
    (StatusCode::NOT_FOUND, "NOT_FOUND", reason, message.into())
}

fn exists(reason: &'static str, message: &str) -> Row {
    (StatusCode::CONFLICT, "ALREADY_EXISTS", reason, message.to_owned())
}

fn conflict(reason: &'static str, message: impl Into<String>) -> Row {
    (StatusCode::CONFLICT, "FAILED_PRECONDITION", reason, message.into())
}

fn exhausted(what: String) -> Row {
    let message = format!("{what}: wait as long as Retry-After says.");
    (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", message)
}

/// Returns the message that says which status the account has and what would help.
fn wrong_status(status: Status) -> String {
    match status {
        Status::Initial | Status::Active => {
            "The account is not frozen, and only a frozen account can be recovered."
        }
        Status::Frozen => {
            "The account is frozen, which does not allow this: recover the account first."
        }
        Status::Deleted => {
            "The account is deleted: nothing in it can be changed, and it cannot be recovered."
        }
    }
    .to_owned()
}

fn details(error: &Error) -> Option<Value> {
    match error {
        Error::AccountFrozen { scheduled, effective, recoverable } => {
            let mut details = json!({
                "deletion_scheduled_at": scheduled,
                "deletion_effective_at": effective,
            });
            if *recoverable {
                details["recovery_endpoint"] = json!("DELETE /auth/unregister");
            }
            Some(details)
        }
        Error::LegalHold(holds) => Some(json!({ "holds": view::placed_holds(holds) })),
        Error::PlanOutdated(difference) => Some(json!({
            "account_changed": difference.account_changed,
            "resources": difference.counts.iter().map(|(kind, (planned, found))| {
                (kind.plural().to_owned(), json!({ "planned": planned, "found": found }))
            }).collect::<serde_json::Map<_, _>>(),
        })),
        Error::RoundOutdated(round) => Some(json!({ "round": round })),
        Error::TokenAlreadyIssued(id) => Some(json!({ "id": id })),
        Error::InvalidField(name, _) => Some(json!({ "field": name })),
        Error::TokenInvalid => Some(json!({ "field": "token" })),
        Error::InvalidParameter(name, _) | Error::UnsupportedHeader(name) => {
            Some(json!({ "field": name }))
        }
        Error::UnknownParameter { name, .. } | Error::RepeatedParameter(name) => {
            Some(json!({ "field": name }))
        }
        Error::TooManyAttempts(throttle, _) => Some(json!({
            "limited_by": match throttle {
                Throttle::Username | Throttle::KnownNetwork => "username",
                Throttle::Session => "session",
            },
        })),
        Error::TooManyRequests(standing) => Some(json!({
            "limited_by": match standing.quota.kind {
                QuotaKind::Requests | QuotaKind::TakenUsernames | QuotaKind::AddressChanges => "customer",
                QuotaKind::InvalidTokens
                | QuotaKind::PasswordAttempts
                | QuotaKind::MailRequests
                | QuotaKind::Tickets => "ip",
                // This limit leads to an error only if an admin requests a link for an agent. Otherwise nothing is
                // mailed, and the caller sees no error.
                QuotaKind::MailsPerAddress => "agent",
            },
        })),
        _ => None,
    }
}

fn accepted_names(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Returns the message that says why the permission was denied, and what would be needed.
fn denial_message(denial: Denial) -> String {
    match denial {
        Denial::Lacks { needed, has } => {
            format!(
                "This needs the permission {}; yours is {}.",
                named(needed, " or "),
                named(has, " + ")
            )
        }
        Denial::Exceeds { wanted, has } => {
            format!(
                "The permission {} exceeds yours, which is {}: nobody can grant, or change who has, more than they have.",
                named(wanted, " + "),
                named(has, " + ")
            )
        }
        Denial::SessionRequired => {
            "An access key may not do this: log in as an agent with POST /auth/login.".to_owned()
        }
        Denial::OutlivesItself => {
            "An access key may not prolong itself: leave out expire or send less, or log in as an agent with POST /auth/login.".to_owned()
        }
        Denial::Bound => {
            "This access key is bound to a participant: it lists that participant's open requests and acknowledges them, and nothing else.".to_owned()
        }
        Denial::Changed => {
            "Your permission was changed while the request was under way, so nothing was done: look at it with GET /v1.0/me.".to_owned()
        }
    }
}

/// Returns the permission's bits with their names, separated by `between`, such as `32 (admin) or 64
/// (manager)`.
fn named(permission: Permission, between: &str) -> String {
    let bits: Vec<_> = permission.bits().map(|(bit, name)| format!("{bit} ({name})")).collect();
    if bits.is_empty() { "0 (none)".to_owned() } else { bits.join(between) }
}

fn used_up(Quota { kind, limit, .. }: Quota) -> String {
    let seconds = kind.window().as_secs();
    match kind {
        QuotaKind::Requests => format!("The account has sent {limit} requests within {seconds} s"),
        QuotaKind::InvalidTokens => {
            format!("Your network has sent {limit} tokens that are not valid within {seconds} s")
        }
        QuotaKind::PasswordAttempts => {
            format!("Your network has made {limit} password attempts within {seconds} s")
        }
        QuotaKind::MailRequests => {
            format!("Your network has sent {limit} requests for mail within {seconds} s")
        }
        QuotaKind::MailsPerAddress => {
            format!("The agent was mailed {limit} links within {seconds} s")
        }
        QuotaKind::TakenUsernames => {
            format!(
                "The account has asked for {limit} taken user names within {seconds} s, so it can create no agents for now"
            )
        }
        QuotaKind::AddressChanges => {
            format!("The account has changed its e-mail address {limit} times within {seconds} s")
        }
        QuotaKind::Tickets => {
            format!("Your network has sent {limit} requests with tickets within {seconds} s")
        }
    }
}

fn retry_after(error: &Error) -> Option<u64> {
    let seconds = match error {
        Error::TooManyAttempts(_, wait) | Error::DeletionLimit(wait) => {
            wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
        }
        Error::TooManyRequests(status) => status.resets_in.as_secs().max(1),
        _ => 1,
    };
    error.retryable().then_some(seconds)
}

//! The one table from an error to what a client sees of it.

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::domain::error::{Denial, Entity};
use crate::domain::quota::{Quota, QuotaKind, QuotaStatus};
use crate::domain::{Error, Permission, Violation};

/// What a client sees of an error.
pub(super) struct Description {
    pub(super) http: StatusCode,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// Seconds after which another try makes sense.
    pub(super) retry_after: Option<u64>,
}

/// What a person is told of an error.
#[must_use]
pub fn message(error: &Error) -> String {
    describe(error).message
}

pub(super) fn describe(error: &Error) -> Description {
    use StatusCode as Http;

    let (http, status, reason, message) = match error {
        Error::BodyTooLarge(limit) => {
            (Http::PAYLOAD_TOO_LARGE, "INVALID_ARGUMENT", "BODY_TOO_LARGE", format!("The body is too large: send at most {limit} bytes."))
        }
        Error::NotJson => {
            (Http::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE", "Send JSON in UTF-8, not compressed, with the header Content-Type: application/json.".to_owned())
        }
        Error::InvalidJson(problem) => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_JSON_BODY", format!("The body is not valid JSON: {problem}.")),
        Error::InvalidField(name, rule @ Violation::Value(_)) if name == "webhook_uri" => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_WEBHOOK_URI", format!("{name}: {rule}.")),
        Error::InvalidField(name, rule) => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_ARGUMENT", format!("{name}: {rule}.")),
        Error::InvalidParameter(name, rule) => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_REQUEST_PARAMETER", format!("{name}: {rule}.")),
        Error::UnknownParameter { name, accepted } => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_REQUEST_PARAMETER", format!("{name}: unknown query parameter; accepted: {}.", accepted_names(accepted))),
        Error::RepeatedParameter(name) => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_REQUEST_PARAMETER", format!("{name}: was sent more than once; send it once.")),
        Error::UnsupportedHeader(name) => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_REQUEST_PARAMETER", format!("{name}: this route does not evaluate the header, and the request may mean something else without it; leave it out.")),
        Error::InvalidId => (Http::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_ID", "id: must be a UUID, as an earlier answer gave it.".to_owned()),
        Error::IdempotencyKeyReused => (Http::UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key: was used for another request within 24 hours; give every request a new one, and repeat a request unchanged.".to_owned()),
        Error::TokenAlreadyIssued(_) => (Http::CONFLICT, "ALREADY_EXISTS", "TOKEN_ALREADY_ISSUED", "This request was fulfilled before, and its token was in that answer only: if that was lost, rotate the key in details with a new Idempotency-Key, or delete it.".to_owned()),
        Error::AmbiguousCredentials => {
            (Http::BAD_REQUEST, "INVALID_ARGUMENT", "AMBIGUOUS_CREDENTIALS", "More than one credential was sent: send one, best as Authorization: Bearer.".to_owned())
        }
        Error::AuthenticationRequired => {
            (Http::UNAUTHORIZED, "UNAUTHENTICATED", "AUTHENTICATION_REQUIRED", "Send a token: Authorization: Bearer <token from POST /auth/login, or an access key>.".to_owned())
        }
        Error::InvalidCredentials => {
            (Http::UNAUTHORIZED, "UNAUTHENTICATED", "INVALID_CREDENTIALS", "The credentials are not valid, or no longer: log in again, or use another key.".to_owned())
        }
        Error::InvalidPassword => (Http::FORBIDDEN, "PERMISSION_DENIED", "INVALID_PASSWORD", "The password is wrong. The session stays valid; wrong passwords are counted.".to_owned()),
        Error::PermissionDenied(denial) => (Http::FORBIDDEN, "PERMISSION_DENIED", "PERMISSION_DENIED", denied(*denial)),
        Error::AccountFrozen { .. } => {
            (Http::FORBIDDEN, "PERMISSION_DENIED", "ACCOUNT_FROZEN", "The account is frozen and will be deleted: recover it with DELETE /auth/unregister, or let it go.".to_owned())
        }
        Error::NotFound(Entity::Customer) => (Http::NOT_FOUND, "NOT_FOUND", "CUSTOMER_NOT_FOUND", "There is no customer with this id.".to_owned()),
        Error::NotFound(Entity::Owned(kind)) => (Http::NOT_FOUND, "NOT_FOUND", kind.not_found(), format!("There is no {} with this id in the account.", kind.singular())),
        Error::NotFound(Entity::Delivery) => (Http::NOT_FOUND, "NOT_FOUND", "WEBHOOK_DELIVERY_NOT_FOUND", "There is no delivery with this id in the account's log; it goes back 7 days.".to_owned()),
        Error::NotFound(Entity::Erasure) => (Http::NOT_FOUND, "NOT_FOUND", "ERASURE_NOT_FOUND", "Nobody has asked for this account to be erased.".to_owned()),
        Error::RouteNotFound => (Http::NOT_FOUND, "NOT_FOUND", "ROUTE_NOT_FOUND", "There is no such method and path: check both against the list of endpoints.".to_owned()),
        Error::UsernameTaken => (Http::CONFLICT, "ALREADY_EXISTS", "USERNAME_TAKEN", "username: is taken; choose another.".to_owned()),
        Error::EmailTaken => (Http::CONFLICT, "ALREADY_EXISTS", "EMAIL_TAKEN", "email: another account has this address.".to_owned()),
        Error::StateInvalid(_) => (Http::CONFLICT, "FAILED_PRECONDITION", "STATE_INVALID", "The account's status does not allow this.".to_owned()),
        Error::GracePeriodEnded => (Http::CONFLICT, "FAILED_PRECONDITION", "GRACE_PERIOD_ENDED", "The grace period has ended: the account can no longer be recovered.".to_owned()),
        Error::LastProjectAdmin => (Http::CONFLICT, "FAILED_PRECONDITION", "LAST_PROJECT_ADMIN", "The project's own account cannot be frozen or deleted, and always has a project admin: appoint another one first.".to_owned()),
        Error::LastAdmin => (Http::CONFLICT, "FAILED_PRECONDITION", "LAST_ADMIN", "An account always has an admin: make another agent an admin first.".to_owned()),
        Error::NoWebhook => (Http::CONFLICT, "FAILED_PRECONDITION", "WEBHOOK_NOT_CONFIGURED", "Webhooks are sent nowhere: set webhook_uri and webhook_method first. If the receiver said that it is gone (410), set webhook_uri again.".to_owned()),
        Error::AlreadyRotated => (Http::CONFLICT, "FAILED_PRECONDITION", "ALREADY_ROTATED", "The key has just got a new token: use that one, or wait until the old ones end, or end them with overlap 0.".to_owned()),
        Error::EtagMismatch => (Http::PRECONDITION_FAILED, "FAILED_PRECONDITION", "ETAG_MISMATCH", "It is not in the state that If-Match or If-None-Match asks for: get it again, and decide on what it is now.".to_owned()),
        Error::BillingAccountInUse => (Http::CONFLICT, "FAILED_PRECONDITION", "BILLING_ACCOUNT_IN_USE", "The billing account pays for the account: set another billing_account_id first, or all zeros for none.".to_owned()),
        Error::LegalHold => (Http::CONFLICT, "FAILED_PRECONDITION", "LEGAL_HOLD", "The account is held and must not be deleted: lift the hold first, with DELETE /v1.0/customers/{id}/hold.".to_owned()),
        Error::PlanOutdated(_) => (Http::CONFLICT, "FAILED_PRECONDITION", "PLAN_OUTDATED", "plan: is not true any more; see the difference in details, and make another with POST /v1.0/customers/{id}/erasure/plan.".to_owned()),
        Error::TooManyRequests(QuotaStatus { quota, .. }) => (Http::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", format!("{}: wait as long as Retry-After says.", used_up(*quota))),
        Error::TooManyAttempts(_) => (Http::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "Too many attempts with this user name: wait as long as Retry-After says.".to_owned()),
        Error::Unavailable(_) => (Http::SERVICE_UNAVAILABLE, "UNAVAILABLE", "SERVICE_UNAVAILABLE", "The service is busy; nothing is known to be wrong with the request: try again.".to_owned()),
        Error::Internal(_) => (Http::INTERNAL_SERVER_ERROR, "INTERNAL", "INTERNAL", "Something went wrong on our side; the request id finds it in the log.".to_owned()),
    };
    Description {
        http,
        status,
        reason,
        message,
        details: details(error),
        retry_after: retry_after(error),
    }
}

fn details(error: &Error) -> Option<Value> {
    match error {
        Error::AccountFrozen { scheduled, effective } => Some(json!({
            "deletion_scheduled_at": scheduled,
            "deletion_effective_at": effective,
            "recovery_endpoint": "DELETE /auth/unregister",
        })),
        Error::PlanOutdated(difference) => Some(json!({
            "account_changed": difference.account_changed,
            "resources": difference.counts.iter().map(|(kind, (planned, found))| {
                (kind.plural().to_owned(), json!({ "planned": planned, "found": found }))
            }).collect::<serde_json::Map<_, _>>(),
        })),
        Error::TokenAlreadyIssued(id) => Some(json!({ "id": id })),
        Error::InvalidField(name, _) => Some(json!({ "field": name })),
        Error::InvalidParameter(name, _) | Error::UnsupportedHeader(name) => {
            Some(json!({ "field": name }))
        }
        Error::UnknownParameter { name, .. } | Error::RepeatedParameter(name) => {
            Some(json!({ "field": name }))
        }
        Error::TooManyAttempts(_) => Some(json!({ "limited_by": "username" })),
        Error::TooManyRequests(standing) => Some(json!({
            "limited_by": match standing.quota.kind {
                QuotaKind::Requests => "customer",
                QuotaKind::InvalidTokens | QuotaKind::PasswordAttempts => "ip",
            },
        })),
        _ => None,
    }
}

fn accepted_names(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Says which permission is needed and which the caller has.
fn denied(denial: Denial) -> String {
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
    }
}

/// The permission's bits with their names, such as `32 (admin) or 64 (manager)`.
fn named(permission: Permission, between: &str) -> String {
    let bits: Vec<_> = permission.bits().map(|(bit, name)| format!("{bit} ({name})")).collect();
    if bits.is_empty() { "0 (none)".to_owned() } else { bits.join(between) }
}

fn used_up(Quota { kind, limit }: Quota) -> String {
    let seconds = kind.window().as_secs();
    match kind {
        QuotaKind::Requests => format!("The account has made its {limit} requests of {seconds} s"),
        QuotaKind::InvalidTokens => {
            format!("Your network has sent {limit} tokens that are not valid within {seconds} s")
        }
        QuotaKind::PasswordAttempts => {
            format!("Your network has made its {limit} attempts at passwords of {seconds} s")
        }
    }
}

fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::TooManyAttempts(wait) => {
            Some(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
        }
        Error::TooManyRequests(standing) => Some(standing.resets_in.as_secs().max(1)),
        Error::Unavailable(_) => Some(1),
        _ => None,
    }
}

//! Replies to requests: status, headers and body.

use std::borrow::Cow;
use std::time::Duration;

use lambda_http::Body;
use lambda_http::http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use super::Request;
use super::conditional::ETag;
use super::error::describe;
use super::page_file::PageFile;
use super::view::Tagged;
use crate::domain::quota::QuotaStatus;
use crate::domain::{Error, Ticket};

const JSON: &str = "application/json";

/// Value of the header `Deprecation` (RFC 9745) if a token was sent in the URL: deprecated since 1 January
/// 2026.
const DEPRECATION: &str = "@1767225600";
/// Value of the header `Link` that names the reason for this deprecation: URLs are logged and cached.
const DEPRECATION_LINK: &str = "<https://www.rfc-editor.org/rfc/rfc9700.html#section-4.3.2>; rel=\"deprecation\"; type=\"text/html\"";

/// A reply to a request: status, headers and body.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    reason: &'static str,
    retry_after: Option<u64>,
    refused_by: Option<QuotaStatus>,
    max_age: Option<Duration>,
    etag: Option<String>,
    /// Value of the header `Link`, to a resource that belongs to the reply.
    link: Option<String>,
    content_type: &'static str,
    /// Value of the header `Content-Security-Policy`; `None` for a reply that no browser shows as a page.
    policy: Option<Cow<'static, str>>,
    body: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: View<'a>,
}

#[derive(Serialize)]
struct View<'a> {
    status: &'static str,
    reason: &'static str,
    message: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<[Value; 1]>,
}

impl Reply {
    /// Returns a 200 with `body` as JSON.
    pub fn ok(body: impl Serialize) -> Result<Self, Error> {
        let body =
            serde_json::to_string(&body).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            status: StatusCode::OK,
            reason: "",
            retry_after: None,
            refused_by: None,
            max_age: None,
            etag: None,
            link: None,
            content_type: JSON,
            policy: None,
            body,
        })
    }

    /// Returns 200 with an empty object, `{}`.
    pub fn empty() -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Empty {}

        Self::ok(Empty {})
    }

    /// Returns 200 with a static file: a page, or a script that a page loads.
    #[must_use]
    pub fn file(file: PageFile) -> Self {
        Self {
            status: StatusCode::OK,
            reason: "",
            retry_after: None,
            refused_by: None,
            max_age: file.max_age,
            etag: None,
            link: None,
            content_type: file.content_type,
            policy: Some(file.policy),
            body: file.text.into_owned(),
        }
    }

    /// Returns 200 with a representation of a resource, and its entity tag.
    pub fn state(shown: impl Tagged) -> Result<Self, Error> {
        let etag = Some(ETag::of(&shown)?.quoted());
        Ok(Self { etag, ..Self::ok(shown)? })
    }

    /// Returns the [state](Self::state), or 304 without a body if the request's `If-None-Match` lists its
    /// entity tag. Fails if the request's `If-Match` does not.
    pub fn state_unless_known(request: &Request, shown: impl Tagged) -> Result<Self, Error> {
        let (conditions, tag) = (request.preconditions()?, ETag::of(&shown)?);
        if !conditions.takes(&tag) {
            return Err(Error::EtagMismatch);
        }
        let reply = Self::state(shown)?;
        if conditions.knows(&tag) {
            return Ok(Self { status: StatusCode::NOT_MODIFIED, body: String::new(), ..reply });
        }
        Ok(reply)
    }

    /// Returns the reply with a `Link` to the status of the erasure that the ticket belongs to (RFC 8631).
    #[must_use]
    pub fn with_ticket(self, ticket: &Ticket) -> Self {
        Self { link: Some(format!("<{}>; rel=\"status\"", ticket.path())), ..self }
    }

    /// Returns the reply with a header that lets any cache keep it for `max_age`. Without this, no cache may
    /// keep it.
    #[must_use]
    pub fn cacheable(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Returns the reply for an error. Its body has the same form for every error of every route.
    #[must_use]
    pub fn error(error: &Error, request_id: &str) -> Self {
        let description = describe(error);
        let envelope = Envelope {
            error: View {
                status: description.status,
                reason: description.reason,
                message: &description.message,
                request_id,
                details: description.details.map(|details| [details]),
            },
        };
        Self {
            status: description.http,
            reason: description.reason,
            retry_after: description.retry_after,
            refused_by: match error {
                Error::TooManyRequests(standing) => Some(*standing),
                _ => None,
            },
            max_age: None,
            etag: None,
            link: None,
            content_type: JSON,
            policy: None,
            body: serde_json::to_string(&envelope).unwrap_or_default(),
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns the error's reason, a constant that client programs can compare; empty on success.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// Returns the HTTP response, with the headers that every response has, and with `statuses`: what is left
    /// of the rate limits that the request counted against.
    #[must_use]
    pub fn into_response(
        self,
        request_id: &str,
        has_token_in_url: bool,
        statuses: &[QuotaStatus],
    ) -> Response<Body> {
        let mut response = Response::new(Body::Text(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(self.content_type));
        if let Some(policy) = self.policy.and_then(|policy| policy.as_ref().try_into().ok()) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        if let Some(etag) = self.etag.and_then(|etag| etag.try_into().ok()) {
            headers.insert(header::ETAG, etag);
        }
        if let Some(link) = self.link.and_then(|link| link.try_into().ok()) {
            headers.append(header::LINK, link);
        }
        headers.insert(header::CACHE_CONTROL, cache_control(self.max_age));
        headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
        if let Ok(id) = header::HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        if has_token_in_url {
            headers.insert("deprecation", header::HeaderValue::from_static(DEPRECATION));
            headers.append(header::LINK, header::HeaderValue::from_static(DEPRECATION_LINK));
        }
        for (name, value) in rate_limit(statuses.iter().chain(&self.refused_by)) {
            headers.insert(name, value);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Returns the header fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-09).
fn rate_limit<'a>(
    statuses: impl Iterator<Item = &'a QuotaStatus>,
) -> impl Iterator<Item = (&'static str, header::HeaderValue)> {
    let (policies, left): (Vec<_>, Vec<_>) = statuses
        .map(|QuotaStatus { quota, remaining, resets_in }| {
            let (name, window) = (quota.kind.name(), quota.kind.window().as_secs());
            let policy = format!("\"{name}\";q={};w={window}", quota.limit);
            (policy, format!("\"{name}\";r={remaining};t={}", resets_in.as_secs()))
        })
        .unzip();
    let fields = [("ratelimit-policy", policies), ("ratelimit", left)].into_iter();
    let fields = fields.filter(|(_, items)| !items.is_empty());
    fields.filter_map(|(name, items)| Some((name, items.join(", ").try_into().ok()?)))
}

fn cache_control(max_age: Option<Duration>) -> header::HeaderValue {
    let cacheable = max_age.map(|age| format!("public, max-age={}", age.as_secs()));
    let value = cacheable.and_then(|value| value.try_into().ok());
    value.unwrap_or(header::HeaderValue::from_static("no-store"))
}

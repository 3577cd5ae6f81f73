//! The demonstration's webhook receiver: a route of the local stack that accepts every request. Accounts
//! whose webhook is to fail have the URI of a host that does not exist.

use axum::{Router, http::StatusCode, routing::any};

/// Returns the route that accepts every webhook.
pub(super) fn router() -> Router {
    Router::new().route("/demo/webhooks/{host}", any(async || StatusCode::NO_CONTENT))
}

/// Returns the webhook URI of the company with the host name `host`, on the stack at `url`.
pub(super) fn uri(url: &str, host: &str) -> String {
    format!("{url}/demo/webhooks/{host}")
}

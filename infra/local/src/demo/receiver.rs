//! The receiver of the webhooks that can be delivered: a route of the stack itself.

use axum::{Router, http::StatusCode, routing::any};

/// Returns the route that accepts every webhook.
pub(super) fn router() -> Router {
    Router::new().route("/demo/webhooks/{host}", any(async || StatusCode::NO_CONTENT))
}

/// Returns the webhook URI of the company with the host name `host`, on the stack at `url`.
pub(super) fn uri(url: &str, host: &str) -> String {
    format!("{url}/demo/webhooks/{host}")
}

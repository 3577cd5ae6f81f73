//! The receiver of those webhooks that work: a route of the stack itself.

use axum::{Router, http::StatusCode, routing::any};

/// Accepts every webhook.
pub(super) fn router() -> Router {
    Router::new().route("/demo/webhooks/{host}", any(async || StatusCode::NO_CONTENT))
}

/// Where the webhooks of a company go on the stack at `url`.
pub(super) fn uri(url: &str, host: &str) -> String {
    format!("{url}/demo/webhooks/{host}")
}

//! Accepts only requests that are addressed to a loopback host name. This protects the stack from DNS
//! rebinding, in which a web page makes its own host name resolve to this machine.

use axum::{
    Json,
    extract::Request,
    http::{StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Refuses a request whose `Host` header is malformed or does not name a loopback host. AWS refuses such
/// requests too, because it routes by `Host`.
pub(crate) async fn refuse_others(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match host.and_then(authority) {
        Some(host) if is_loopback(host.host()) => next.run(request).await,
        Some(_) => refusal(StatusCode::FORBIDDEN, "The stack answers as 127.0.0.1 and localhost"),
        None => refusal(StatusCode::BAD_REQUEST, "Bad Request"),
    }
}

fn is_loopback(host: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(host))
}

/// Parses a `Host` header into host and port; `None` if it is malformed.
fn authority(text: &str) -> Option<Authority> {
    let host: Authority = text.parse().ok()?;
    (host.port().is_some() == host.port_u16().is_some()).then_some(host)
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}

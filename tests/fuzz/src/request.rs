//! Requests, as the gateway passes them on.

use http::header::HeaderValue;
use http::{HeaderName, Method, Uri};
use lambda_http::{Body, RequestExt as _};
use pure::http::{Accepts, Request};

/// Returns a GET with this query; `None` if it is not valid in a URI.
pub(crate) fn with_query(query: &str, accepts: Accepts) -> Option<Request> {
    let uri: Uri = format!("/v1.0/customers?{query}").parse().ok()?;
    let mut request = lambda_http::Request::default();
    *request.uri_mut() = uri;
    Some(Request::new(request.with_raw_http_path("/v1.0/customers"), accepts))
}

/// Returns a POST with these headers; `None` if a value is not valid in a header.
pub(crate) fn with_headers(headers: &[(&'static str, &[u8])]) -> Option<Request> {
    let mut request = lambda_http::Request::default();
    *request.method_mut() = Method::POST;
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).ok()?;
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    let accepts = Accepts { preconditions: true, ..Accepts::default() };
    Some(Request::new(request.with_raw_http_path("/v1.0/customers"), accepts))
}

/// Returns a request with this body and `Content-Type: application/json`.
pub(crate) fn with_body(body: &[u8]) -> Request {
    let mut request = lambda_http::Request::new(Body::Binary(body.to_vec()));
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    Request::new(request, Accepts::default())
}

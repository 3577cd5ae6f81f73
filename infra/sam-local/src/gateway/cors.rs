//! Cross-origin requests (CORS), handled as API Gateway handles them for an HTTP API.
//!
//! The gateway itself responds to a preflight request, and no function runs: the response is a 204, which has
//! the headers that allow the request only if the origin is allowed. In responses to other requests, the
//! gateway removes the CORS headers that the function set, and adds its own if the origin is allowed.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::template::Cors;

/// Returns the response to a preflight request; `None` if the request is not a preflight.
pub(super) fn preflight(cors: &Cors, request: &Parts) -> Option<Response> {
    let asks = request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = request.headers.get(header::ORIGIN)?;
    if request.method != Method::OPTIONS || !asks {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    if allow_origin(cors, origin, headers) {
        set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.methods.join(","));
        set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers.join(","));
        let max_age = cors.max_age.map(|seconds| seconds.to_string()).unwrap_or_default();
        set(headers, header::ACCESS_CONTROL_MAX_AGE, &max_age);
    }
    Some(response)
}

/// Replaces the CORS headers of a function's response with the gateway's own.
pub(super) fn apply(cors: &Cors, request: &Parts, response: &mut Response) {
    let headers = response.headers_mut();
    let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
    let own: Vec<_> = headers.keys().filter(|name| is_cors(name)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    if let Some(origin) = request.headers.get(header::ORIGIN)
        && allow_origin(cors, origin, headers)
    {
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.exposed.join(","));
    }
}

/// Adds the headers that allow `origin`. Returns false, and adds none, if the origin is not allowed.
fn allow_origin(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) -> bool {
    let text = origin.to_str().unwrap_or_default();
    let matches = |allowed: &String| match allowed.as_str() {
        "*" => true,
        "https://*" | "http://*" => text.starts_with(allowed.trim_end_matches('*')),
        exact => exact == text,
    };
    if !cors.origins.iter().any(matches) {
        return false;
    }
    let everyone = cors.origins.iter().any(|allowed| allowed == "*");
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, if everyone { "*" } else { text });
    if cors.credentials {
        set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    true
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, preflight};
    use crate::template::Cors;
    use axum::{
        http::{HeaderMap, Request, request::Parts},
        response::{IntoResponse, Response},
    };

    fn cors() -> Cors {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Cors {
            origins: list(&["https://a.example", "http://*"]),
            methods: list(&["GET", "PUT"]),
            headers: list(&["authorization", "x-a"]),
            exposed: list(&["x-b"]),
            max_age: Some(60),
            credentials: false,
        }
    }

    fn request(method: &str, origin: Option<&str>, asks: Option<&str>) -> Parts {
        let mut request = Request::builder().method(method);
        for (name, value) in [("origin", origin), ("access-control-request-method", asks)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(()).unwrap().into_parts().0
    }

    fn cors_headers(headers: &HeaderMap) -> Vec<String> {
        let names = headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-"));
        let mut lines: Vec<_> =
            names.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_is_answered_with_what_is_allowed() {
        let asked = request("OPTIONS", Some("https://a.example"), Some("PUT"));
        let answer = preflight(&cors(), &asked).unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(
            cors_headers(answer.headers()),
            [
                "access-control-allow-headers: authorization,x-a",
                "access-control-allow-methods: GET,PUT",
                "access-control-allow-origin: https://a.example",
                "access-control-max-age: 60",
            ]
        );
    }

    #[test]
    fn a_preflight_of_another_origin_is_answered_without_permission() {
        let asked = request("OPTIONS", Some("https://evil.example"), Some("PUT"));
        let answer = preflight(&cors(), &asked).unwrap();
        assert_eq!(answer.status(), 204);
        assert!(cors_headers(answer.headers()).is_empty());
    }

    #[test]
    fn a_request_that_is_no_preflight_goes_to_its_route() {
        let origin = Some("https://a.example");
        for asked in [
            request("GET", origin, Some("PUT")),
            request("OPTIONS", origin, None),
            request("OPTIONS", None, Some("PUT")),
        ] {
            assert!(preflight(&cors(), &asked).is_none(), "{asked:?}");
        }
    }

    #[test]
    fn an_answer_has_the_cors_headers_of_the_gateway_only() {
        let answer = |cors: &Cors, origin: Option<&str>| {
            let own = [("access-control-allow-origin", "*"), ("x-b", "1")];
            let mut response: Response = (own, "").into_response();
            apply(cors, &request("GET", origin, None), &mut response);
            assert_eq!(response.headers()["x-b"], "1");
            cors_headers(response.headers())
        };
        let exposed = "access-control-expose-headers: x-b";
        let allowed = |origin: &str| format!("access-control-allow-origin: {origin}");
        assert_eq!(answer(&cors(), None), [""; 0]);
        assert_eq!(answer(&cors(), Some("https://b.example")), [""; 0]);
        for origin in ["https://a.example", "http://b.example:3000"] {
            assert_eq!(answer(&cors(), Some(origin)), [allowed(origin).as_str(), exposed]);
        }
        let open = Cors { origins: vec!["*".to_owned()], credentials: true, ..cors() };
        let credentials = "access-control-allow-credentials: true";
        assert_eq!(answer(&open, Some("https://b.example")), [credentials, &allowed("*"), exposed]);
    }
}

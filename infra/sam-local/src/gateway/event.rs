//! Converts an HTTP request to the event that is passed to the function, in API Gateway's payload format 2.0.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use axum::http::{HeaderMap, HeaderName, Version, request::Parts};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::route::{Found, decode};
use crate::{aws::ACCOUNT, clock::unique_id};

/// An incoming request.
pub(super) struct Incoming<'a> {
    /// Request id, assigned by the gateway. The response header `apigw-requestid` shows it, as does the
    /// access log on AWS.
    pub(super) id: &'a str,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) source: IpAddr,
    pub(super) now: Timestamp,
}

impl Incoming<'_> {
    pub(super) fn event(&self, route: &Found<'_>) -> Value {
        let query = self.parts.uri.query().unwrap_or_default();
        let mut event = json!({
            "version": "2.0",
            "routeKey": route.key,
            "rawPath": self.path(),
            "rawQueryString": query,
            "headers": self.headers(),
            "requestContext": self.context(route),
            "isBase64Encoded": false,
        });
        // API Gateway omits fields without a value.
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                event[key] = value;
            }
        };
        add("cookies", self.cookies());
        add("queryStringParameters", query_parameters(query));
        add("pathParameters", path_parameters(route));
        match self.text() {
            _ if self.body.is_empty() => {}
            Some(text) => add("body", Some(text.into())),
            None => {
                add("body", Some(STANDARD.encode(self.body).into()));
                add("isBase64Encoded", Some(true.into()));
            }
        }
        event
    }

    /// Returns the path in the form that HTTP APIs pass to functions: percent-decoded, and cut off at an
    /// encoded `?`.
    fn path(&self) -> String {
        let path = decode(self.parts.uri.path());
        path.split('?').next().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    /// Returns the headers by name: those of the request except cookies, and those that API Gateway adds.
    /// Repeated headers are joined by commas.
    fn headers(&self) -> BTreeMap<&str, String> {
        let headers = &self.parts.headers;
        let names = headers.keys().filter(|name| *name != HeaderName::from_static("cookie"));
        let mut joined: BTreeMap<_, _> =
            names.map(|name| (name.as_str(), values(headers, name).join(","))).collect();
        let forwarded = joined.get("x-forwarded-for").map(|earlier| format!("{earlier}, "));
        let forwarded = forwarded.unwrap_or_default() + &self.source.to_string();
        joined.insert("x-forwarded-for", forwarded);
        joined.insert("x-forwarded-proto", "https".into());
        joined.insert("x-forwarded-port", "443".into());
        joined.insert("x-amzn-trace-id", format!("Root=1-{}", unique_id().replace('-', "")));
        joined.entry("content-length").or_insert_with(|| self.body.len().to_string());
        joined
    }

    fn cookies(&self) -> Option<Value> {
        let lines = self.parts.headers.get_all("cookie");
        let cookies: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
            .flat_map(|line| line.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
            .filter(|cookie| !cookie.is_empty())
            .collect();
        (!cookies.is_empty()).then(|| cookies.into())
    }

    fn context(&self, route: &Found<'_>) -> Value {
        let host = self.header("host").unwrap_or_default();
        let domain = host.split(':').next().unwrap_or_default();
        let time = self.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        json!({
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": self.parts.method.as_str(),
                "path": self.path(),
                "protocol": protocol(self.parts.version),
                "sourceIp": self.source,
                "userAgent": self.header("user-agent").unwrap_or_default(),
            },
            "requestId": self.id,
            "routeKey": route.key,
            "stage": "$default",
            "time": time,
            "timeEpoch": self.now.as_millisecond(),
        })
    }

    /// Returns the body as text; `None` if its content type is not text, or it is not UTF-8.
    fn text(&self) -> Option<&str> {
        let content_type = self.header("content-type")?.to_ascii_lowercase();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_text = content_type.starts_with("text/")
            || matches!(
                content_type,
                "application/json" | "application/xml" | "application/javascript"
            );
        is_text.then(|| std::str::from_utf8(self.body).ok()).flatten()
    }
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

fn path_parameters(route: &Found<'_>) -> Option<Value> {
    let parameters = route.parameters.iter().map(|(name, value)| ((*name).to_owned(), value));
    let parameters: BTreeMap<_, _> = parameters.collect();
    (!parameters.is_empty()).then(|| json!(parameters))
}

/// Returns the decoded query parameters by name. Repeated parameters are joined by commas.
fn query_parameters(query: &str) -> Option<Value> {
    let mut parameters = BTreeMap::<String, Vec<String>>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decode(&text.replace('+', " ")).into_owned();
        parameters.entry(plain(name)).or_default().push(plain(value));
    }
    let joined: Map<_, _> =
        parameters.into_iter().map(|(name, values)| (name, values.join(",").into())).collect();
    (!joined.is_empty()).then_some(Value::Object(joined))
}

#[cfg(test)]
mod tests {
    use super::{Found, Incoming};
    use axum::http::Request;
    use serde_json::{Value, json};

    fn event(request: axum::http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let found =
            Found { key: "PUT /pets/{id}", function: "Fn", parameters: vec![("id", "a b".into())] };
        let source = [127, 0, 0, 1].into();
        let now = "2026-11-20T10:07:30.5Z".parse().unwrap();
        Incoming { id: "JKJaXmPLvHcESHA=", parts: &parts, body, source, now }.event(&found)
    }

    #[test]
    fn the_event_is_payload_format_2() {
        let request = Request::put("/pets/a%20b?x=1&y=%C3%A9+z&x=2&flag")
            .header("Host", "localhost:3000")
            .header("Cookie", "a=1; b=2")
            .header("X-Many", "1")
            .header("X-Many", "2")
            .header("User-Agent", "test")
            .header("Content-Type", "application/json; charset=utf-8");
        let event = event(request, b"{}");
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["routeKey"], "PUT /pets/{id}");
        assert_eq!(event["rawPath"], "/pets/a b");
        assert_eq!(event["rawQueryString"], "x=1&y=%C3%A9+z&x=2&flag");
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!(event["headers"]["x-many"], "1,2");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["queryStringParameters"], json!({"x": "1,2", "y": "é z", "flag": ""}));
        assert_eq!(event["pathParameters"], json!({"id": "a b"}));
        assert_eq!(event["body"], "{}");
        assert_eq!(event["isBase64Encoded"], false);
        let context = &event["requestContext"];
        assert_eq!(context["http"]["sourceIp"], "127.0.0.1");
        assert_eq!(context["http"]["userAgent"], "test");
        assert_eq!(context["http"]["protocol"], "HTTP/1.1");
        assert_eq!(context["domainName"], "localhost");
        assert_eq!(context["stage"], "$default");
        assert_eq!(context["time"], "20/Nov/2026:10:07:30 +0000");
        assert_eq!(context["timeEpoch"], 1_795_169_250_500_i64);
    }

    #[test]
    fn absent_fields_are_omitted_and_binary_bodies_encoded() {
        let plain = event(Request::put("/pets/a%3Fb"), b"");
        for key in ["body", "cookies", "queryStringParameters"] {
            assert_eq!(plain.get(key), None);
        }
        assert_eq!(plain["rawPath"], "/pets/a");
        assert_eq!(plain["rawQueryString"], "");
        for (content_type, body) in [("application/octet-stream", "a"), ("text/plain", "\u{0}")] {
            let bytes = if content_type == "text/plain" { &[0xff][..] } else { body.as_bytes() };
            let event = event(Request::put("/").header("content-type", content_type), bytes);
            assert_eq!(event["isBase64Encoded"], true);
        }
    }
}

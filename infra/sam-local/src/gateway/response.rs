//! Converts a function's answer to an HTTP response.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

/// A function's answer in payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Converts a function's answer to the HTTP response for the request with the gateway's request id `id`;
/// `None` if API Gateway would reject the answer as malformed.
pub(super) fn from_function(answer: &[u8], id: &str) -> Option<Response> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let answer = if value.get("statusCode").is_some() {
        serde_json::from_value(value).ok()?
    } else {
        // An answer without a status is the body.
        let body = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Answer {
            status_code: 200,
            headers: BTreeMap::new(),
            cookies: Vec::new(),
            body: Some(body),
            is_base64_encoded: false,
        }
    };
    answer.response(id)
}

impl Answer {
    fn response(self, id: &str) -> Option<Response> {
        let body = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.into() };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status_code).ok()?;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = HeaderName::try_from(name).ok()?;
            // The length is computed from the body.
            if name != header::CONTENT_LENGTH {
                headers.insert(name, HeaderValue::try_from(value).ok()?);
            }
        }
        for cookie in self.cookies {
            headers.append(header::SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
        }
        headers.insert("apigw-requestid", HeaderValue::try_from(id).ok()?);
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::from_function;

    #[test]
    fn an_answer_in_format_2_becomes_a_response() {
        let answer = br#"{"statusCode":201,"headers":{"X-A":"1","Content-Length":"9"},
            "cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true}"#;
        let response = from_function(answer, "id").unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-a"], "1");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers().get("content-length"), None);
        assert_eq!(from_function(br#"{"id":1}"#, "id").unwrap().status(), 200);
    }

    #[test]
    fn an_answer_that_the_gateway_cannot_read_is_refused() {
        for answer in ["", "{", r#"{"statusCode":"x"}"#, r#"{"statusCode":200,"body":{}}"#] {
            assert!(from_function(answer.as_bytes(), "id").is_none(), "{answer}");
        }
    }
}

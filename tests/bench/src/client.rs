//! An HTTP client of the local stack's API.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::Result;

/// Calls the HTTP API of a local stack. Clones share a connection pool.
#[derive(Clone)]
pub(crate) struct Api {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    /// Returns a client of the stack at `url`.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Returns a client of the same stack that connects from the loopback address `address` (127.0.0.0/8).
    pub(crate) fn at_address(&self, address: Ipv4Addr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(address.into()));
        Self {
            url: self.url.clone(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Sends a request and returns the status and body of the answer. If `token` is empty, sends no
    /// `authorization` header.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes)> {
        self.call_with(method, path, token, &[], body).await
    }

    /// Sends a request as [`Api::call`] does, with these additional headers.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(u16, Bytes)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.client.request(request.body(Full::from(body))?).await?;
        Ok((answer.status().as_u16(), answer.into_body().collect().await?.to_bytes()))
    }

    /// Posts `body` and returns the answer. Fails unless the status is a success.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.call(Method::POST, path, token, Some(body)).await?;
        if !(200..300).contains(&status) {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Logs in and returns the session's token.
    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Result<String> {
        let body = json!({"username": username, "password": password});
        let session = self.post("/auth/login", "", &body).await?;
        Ok(session["token"].as_str().ok_or("no token")?.to_owned())
    }

    /// Logs in as an operator (a project admin) of the local stack, and returns the session's token.
    pub(crate) async fn log_in_as_operator(&self) -> Result<String> {
        self.log_in(local::USERNAME, local::PASSWORD).await
    }
}

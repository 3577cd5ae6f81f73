//! An HTTP client of the API, through which the demonstration plays operators and customers.

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, header, request},
};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use sam_local::{Error, OWNER, Stack};
use serde_json::{Value, json};

/// Sends requests to a stack.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Body>,
    url: String,
    database_url: String,
}

impl Client {
    /// Returns a client of this stack.
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Self { http, url: stack.url().to_owned(), database_url: stack.database_url().to_owned() }
    }

    /// Returns the URL at which the stack listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and returns the body of the response. Sends no bearer token if `token` is empty, and
    /// no body if `body` is null. Fails if the status of the response is an error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Value, Error> {
        let mut request =
            Request::builder().method(method.clone()).uri(format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.exchange(request, body)
            .await
            .map_err(|why| Error::new(format!("{method} {path}: {why}")))
    }

    /// Sends a `GET` request, and returns the body of the answer.
    pub async fn get(&self, path: &str, token: &str) -> Result<Value, Error> {
        self.send(Method::GET, path, token, Value::Null).await
    }

    /// Sends a `POST` request, and returns the body of the answer.
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Result<Value, Error> {
        self.send(Method::POST, path, token, body).await
    }

    /// Sends a `PUT` request, and returns the body of the answer.
    pub async fn put(&self, path: &str, token: &str, body: Value) -> Result<Value, Error> {
        self.send(Method::PUT, path, token, body).await
    }

    /// Sends a `DELETE` request, and returns the body of the answer.
    pub async fn delete(&self, path: &str, token: &str) -> Result<Value, Error> {
        self.send(Method::DELETE, path, token, Value::Null).await
    }

    /// Logs in, and returns the session's token.
    pub async fn log_in(&self, username: &str, password: &str) -> Result<String, Error> {
        let body = json!({"username": username, "password": password});
        Ok(text(&self.post("/auth/login", "", body).await?, "token"))
    }

    /// Puts an item into a table directly, as the owner of the AWS account can, instead of through the API.
    pub(super) async fn put_item(&self, table: &str, item: Value) -> Result<(), Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.database_url)
            .header("x-amz-target", "DynamoDB_20120810.PutItem")
            .header(header::AUTHORIZATION, format!("AWS4-HMAC-SHA256 Credential={OWNER}/"));
        let body = json!({"TableName": table, "Item": item});
        let answer = self.exchange(request, body).await;
        answer.map(drop).map_err(|why| Error::new(format!("PutItem: {why}")))
    }

    async fn exchange(&self, request: request::Builder, body: Value) -> Result<Value, String> {
        let message = |error: &dyn std::error::Error| error.to_string();
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(|error| message(&error))?;
        let answer = self.http.request(request).await.map_err(|error| message(&error))?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await;
        let body = body.map_err(|error| message(&error))?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body).unwrap_or_default());
        }
        Err(format!("{status} {}", String::from_utf8_lossy(&body)))
    }
}

/// Returns a text field of a response body; empty if there is none.
pub(super) fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_default().to_owned()
}

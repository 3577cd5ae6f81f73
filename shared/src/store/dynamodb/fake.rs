//! A DynamoDB that answers from a script, in place of the SDK's connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::tables::Store;

/// `ClientRequestToken` that the SDK puts into a transaction that has none.
pub(crate) const TOKEN_OF_THE_SDK: &str = "made-by-the-sdk";

/// A fake DynamoDB: the scripted answers that it gives, and the requests that it received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<(u16, Value)>,
    requests: Vec<(String, Value)>,
}

impl Fake {
    /// Returns a store and the fake behind it, which gives these answers in turn and then repeats the last
    /// one.
    pub(crate) fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> (Store, Self) {
        let state = State { answers: answers.into_iter().collect(), requests: Vec::new() };
        let fake = Self(Arc::new(Mutex::new(state)));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .allow_no_auth()
            .retry_config(RetryConfig::disabled())
            .http_client(fake.clone())
            .idempotency_token_provider(TOKEN_OF_THE_SDK)
            .build();
        let names = ["accounts", "outbox", "erasures"].map(str::to_owned);
        let [accounts, outbox, erasures] = names;
        (Store::new(Client::from_conf(config), accounts, outbox, erasures), fake)
    }

    /// The operations that were called.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.iter().map(|(operation, _)| operation.clone()).collect()
    }

    /// Returns the body of the request with this number, counted from 0.
    pub(crate) fn body(&self, number: usize) -> Value {
        self.0.lock().unwrap().requests[number].1.clone()
    }
}

/// Returns the answer to a successful write.
pub(crate) fn written() -> (u16, Value) {
    (200, json!({}))
}

/// Returns the answer to a transaction that was cancelled for these reasons, one per action.
pub(crate) fn cancelled(reasons: &[Value]) -> (u16, Value) {
    let error = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    (400, json!({"__type": error, "message": "cancelled", "CancellationReasons": reasons}))
}

/// The cancellation reason with this code.
pub(crate) fn reason(code: &str) -> Value {
    json!({"Code": code})
}

/// Returns the answer to a single write of an item that a transaction is writing at the same moment: a conflict.
pub(crate) fn held() -> (u16, Value) {
    let error = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
    (400, json!({"__type": error, "message": "held"}))
}

impl HttpClient for Fake {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
        let mut state = self.0.lock().unwrap();
        state.requests.push((operation, body));
        let (status, answer) = match state.answers.len() {
            1 => state.answers[0].clone(),
            _ => state.answers.pop_front().unwrap(),
        };
        let status = StatusCode::try_from(status).unwrap();
        let answer = SdkBody::from(answer.to_string());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, answer)))
    }
}

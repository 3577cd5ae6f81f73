//! The event bus (EventBridge) in this process: it remembers the requests to participants that it accepted, and fails
//! on demand.

use std::sync::{Arc, Mutex};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use serde_json::{Value, json};

/// A request to a participant to erase what it keeps for a customer (event `erasure_requested`), as the bus has
/// accepted it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    pub(crate) customer: String,
    pub(crate) participant: String,
    pub(crate) round: u64,
}

/// A kind of failure that a test can switch on in the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusFault {
    /// Every call returns an error and has no effect.
    Failing,
    /// Every call succeeds, but reports each of its entries as refused.
    Refusing,
    /// Every call takes effect, but returns an error.
    Lossy,
}

/// The event bus of one [`World`](crate::world::World).
#[derive(Clone, Debug, Default)]
pub(crate) struct Bus {
    fault: Arc<Mutex<Option<BusFault>>>,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Bus {
    pub(crate) fn set_fault(&self, fault: Option<BusFault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Returns and forgets the requests to participants that the bus has accepted since the last call.
    pub(crate) fn take_questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.questions.lock().unwrap())
    }

    fn put(&self, body: &[u8]) -> (u16, Value) {
        let fault = *self.fault.lock().unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        let put = |entry: &Value| {
            if fault == Some(BusFault::Refusing) {
                return json!({"ErrorCode": "ThrottlingException"});
            }
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            let named = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
            let question = Question {
                customer: named("customer_id"),
                participant: named("participant"),
                round: detail["round"].as_u64().unwrap_or_default(),
            };
            if fault != Some(BusFault::Failing) && entry["DetailType"] == "erasure_requested" {
                self.questions.lock().unwrap().push(question);
            }
            json!({"EventId": "accepted"})
        };
        let results: Vec<_> = body["Entries"].as_array().unwrap().iter().map(put).collect();
        match fault {
            Some(BusFault::Failing | BusFault::Lossy) => {
                (500, json!({"__type": "InternalException"}))
            }
            _ => (200, json!({"FailedEntryCount": 0, "Entries": results})),
        }
    }
}

impl HttpConnector for Bus {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        answer(self.put(request.body().bytes().unwrap()))
    }
}

/// Returns an EventBridge client that sends each call to `connector`, once and without retries.
pub(crate) fn client(connector: impl HttpConnector + Clone + 'static) -> Client {
    let config = aws_sdk_eventbridge::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone())));
    Client::from_conf(config.build())
}

pub(crate) fn answer((status, body): (u16, Value)) -> HttpConnectorFuture {
    let status = StatusCode::try_from(status).unwrap();
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body.to_string().into())))
}

//! A substitute for `DynamoDB` that only records the items that transactions put. They are then loaded into
//! the local tables many at a time, which is far quicker than writing them one by one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// Items by their tables' names.
type Items = BTreeMap<String, Vec<Value>>;

/// Records all items that transactions put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Items>>);

impl Recorder {
    /// Returns an HTTP client for the SDK that answers every transaction with success.
    pub(crate) fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    /// Returns the items put since the last call.
    pub(crate) fn take(&self) -> Items {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, body: &[u8]) {
        let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
        let legs = request["TransactItems"].as_array_mut();
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for put in legs.into_iter().flatten().map(|leg| &mut leg["Put"]) {
            let table = put["TableName"].as_str().unwrap_or_default().to_owned();
            items.entry(table).or_default().push(put["Item"].take());
        }
    }
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.record(request.body().bytes().unwrap_or_default());
        let response = HttpResponse::try_from(http::Response::new(SdkBody::from("{}")));
        HttpConnectorFuture::ready(
            response.map_err(|error| ConnectorError::other(error.into(), None)),
        )
    }
}

//! A webhook receiver: an HTTP server on loopback.

use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::harness::{Tenure, contended, options_with};

/// A webhook request that the receiver got.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The status and headers of the receiver's responses.
type Answer = Arc<Mutex<(StatusCode, HeaderMap)>>;

/// A path at which receivers never respond.
pub(crate) const DEAD: &str = "/dead";

pub(crate) struct Receiver {
    url: String,
    answer: Answer,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

/// Starts a stack that allows webhooks to loopback, and whose transactions lock their items for a while.
pub(crate) async fn tenure() -> Tenure {
    let mut options = options_with("WebhookAllowLoopback", "true");
    // Retries take days, and afterwards the sessions of the accounts are still needed.
    options.parameters.insert("SessionIdleHours".to_owned(), "168".to_owned());
    Tenure::start_with(contended(options)).await
}

impl Receiver {
    /// Starts a receiver that responds with 200.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answer, arrivals) = (Answer::default(), Arc::<Mutex<Vec<Arrival>>>::default());
        let (status, seen) = (Arc::clone(&answer), Arc::clone(&arrivals));
        let receive = async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let path = head.uri.path().to_owned();
            seen.lock().unwrap().push(Arrival {
                method: head.method,
                path,
                headers: head.headers,
                body,
            });
            if head.uri.path() == DEAD {
                pending::<()>().await;
            }
            status.lock().unwrap().clone()
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(receive)).into_future());
        Self { url, answer, arrivals }
    }

    /// Returns the URL of a path of this receiver.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Sets the status of all further responses, without a `Retry-After`.
    pub(crate) fn answer(&self, status: u16) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    }

    /// Sets the status and the `Retry-After` of all further responses.
    pub(crate) fn answer_retry_after(&self, status: u16, value: &str) {
        self.answer(status);
        self.answer.lock().unwrap().1.insert(RETRY_AFTER, value.parse().unwrap());
    }

    /// Returns the webhooks received at a path, oldest first.
    pub(crate) fn arrivals(&self, path: &str) -> Vec<Arrival> {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.iter().filter(|arrival| arrival.path == path).cloned().collect()
    }
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether one of the signatures equals the one that an independent library computes with this secret.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let (id, seconds) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let wanted = Webhook::new(secret).unwrap().sign(id, seconds.parse().unwrap(), &self.body);
        let wanted = wanted.unwrap();
        self.header("webhook-signature").split(' ').any(|signature| signature == wanted)
    }
}

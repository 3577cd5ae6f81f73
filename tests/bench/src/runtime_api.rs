//! A local server of Lambda's Runtime API, for one process of a function.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Result;
use crate::world::now;

/// How long the benchmark waits for a process.
const PATIENCE: Duration = Duration::from_mins(15);

/// The Runtime API of one process.
pub(crate) struct RuntimeApi {
    /// Address of the server: the value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
    answered: mpsc::UnboundedReceiver<Answered>,
    server: JoinHandle<()>,
}

/// A process's pending request for its next event.
pub(crate) struct Asked {
    pub(crate) at: Instant,
    event: oneshot::Sender<Event>,
}

/// Answer of the process to an event.
pub(crate) struct Answered {
    pub(crate) at: Instant,
    pub(crate) body: Bytes,
    pub(crate) is_error: bool,
}

struct Event {
    payload: String,
    deadline_ms: u64,
}

#[derive(Clone)]
struct Lines {
    asked: mpsc::UnboundedSender<Asked>,
    answered: mpsc::UnboundedSender<Answered>,
}

impl RuntimeApi {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (answers, answered) = mpsc::unbounded_channel();
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(error_in_init))
            .layer(DefaultBodyLimit::max(8 * 1024 * 1024))
            .with_state(Lines { asked: asks, answered: answers });
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, asked, answered, server })
    }

    /// Waits until the process asks for an event.
    pub(crate) async fn asked(&mut self) -> Result<Asked> {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await?;
        asked.ok_or_else(|| "the runtime API has ended".into())
    }

    /// Waits for the process's answer to the event that it was given.
    pub(crate) async fn answered(&mut self) -> Result<Answered> {
        let answered = tokio::time::timeout(PATIENCE, self.answered.recv()).await?;
        answered.ok_or_else(|| "the runtime API has ended".into())
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Asked {
    /// Gives the process the event, with a deadline `timeout` from now.
    pub(crate) fn give(self, payload: &Value, timeout: Duration) -> Result<()> {
        let deadline_ms = u64::try_from(now()?.plus(timeout).millis())?;
        let event = Event { payload: payload.to_string(), deadline_ms };
        self.event.send(event).map_err(|_| "the process has ended".into())
    }
}

async fn next(State(lines): State<Lines>) -> Response {
    let (event, given) = oneshot::channel();
    let asked = Asked { at: Instant::now(), event };
    if lines.asked.send(asked).is_err() {
        return StatusCode::GONE.into_response();
    }
    let Ok(Event { payload, deadline_ms }) = given.await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ];
    (headers, payload).into_response()
}

async fn response(State(lines): State<Lines>, Path(_): Path<String>, body: Bytes) -> Response {
    accept(&lines, body, false)
}

async fn error(State(lines): State<Lines>, Path(_): Path<String>, body: Bytes) -> Response {
    accept(&lines, body, true)
}

async fn error_in_init(State(lines): State<Lines>, body: Bytes) -> Response {
    accept(&lines, body, true)
}

fn accept(lines: &Lines, body: Bytes, is_error: bool) -> Response {
    let _ = lines.answered.send(Answered { at: Instant::now(), body, is_error });
    (StatusCode::ACCEPTED, json!({"status": "OK"}).to_string()).into_response()
}

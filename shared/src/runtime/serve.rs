//! The edge: what Lambda calls.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use lambda_http::{Body, IntoResponse, RequestExt as _, Response};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Endpoint, crash};
use crate::app::Build;
use crate::domain::Error;
use crate::domain::quota::QuotaStatus;
use crate::http::{self, Reply, Request};
use crate::password;
use crate::patience;
use crate::platform::clock::{Deadline, time_until};
use crate::platform::log::{self, Cause, LogEntry};

/// How long a reply waits for what was done beside it.
const SETTLE: Duration = Duration::from_secs(1);

/// Runs an endpoint. Every error, and a panic too, becomes a reply here and is logged here, once: an
/// error that went further would become the gateway's own, without a request id.
pub fn serve<P: Build>(endpoint: Endpoint<P>) -> super::Result {
    let parts = start::<P>()?;
    let endpoint: &'static Endpoint<P> = Box::leak(Box::new(endpoint));
    let answer = move |request: lambda_http::Request| async move {
        let (left, invocation) = (time_left(&request), invocation(&request));
        let request = endpoint.request(request);
        let standings = request.standings();
        let asked = Arc::new(Asked::of(&request));
        crash::would_answer(invocation, {
            let asked = Arc::clone(&asked);
            move || asked.answer(Err(Error::Internal("panic".to_owned())), &[])
        });
        let work = async {
            let outcome = patience::scope(left, endpoint.answer(parts, request)).await;
            let _ = tokio::time::timeout(SETTLE, parts.settle()).await;
            outcome
        };
        let outcome = tokio::time::timeout(left, work).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(Error::Unavailable("the time is up".to_owned())));
        let standings = standings.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, Infallible>(Answered(asked.answer(outcome, &standings)))
    };
    listen_for_requests(parts.prepare(), Box::new(move |request| Box::pin(answer(request))))
}

/// What is known of a request, whatever becomes of it.
struct Asked {
    id: String,
    route: String,
    has_token_in_url: bool,
    started: Instant,
    /// Hashes of this process before it.
    hashed: u64,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            id: request.id().to_owned(),
            route: request.route().to_owned(),
            has_token_in_url: request.has_token_in_url(),
            started: Instant::now(),
            hashed: password::computed(),
        }
    }

    /// The answer, which the log tells of.
    fn answer(&self, outcome: Result<Reply, Error>, standings: &[QuotaStatus]) -> Response<Body> {
        if let Err(error @ (Error::Internal(_) | Error::Unavailable(_))) = &outcome {
            LogEntry::RequestFailed { request_id: &self.id, cause: Cause(error) }.log();
        }
        let reply = outcome.unwrap_or_else(|error| Reply::error(&error, &self.id));
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        LogEntry::Request {
            request_id: &self.id,
            route: &self.route,
            status: reply.status(),
            reason: reply.reason(),
            duration_ms,
            hashes: password::computed() - self.hashed,
        }
        .log();
        reply.into_response(&self.id, self.has_token_in_url, standings)
    }
}

/// An answer as it is: `lambda_http` would look for what its text may be encoded in, with the tables of all
/// encodings there are.
struct Answered(Response<Body>);

impl IntoResponse for Answered {
    fn into_response(self) -> BoxFuture<'static, Response<Body>> {
        Box::pin(ready(self.0))
    }
}

/// The `main` of an endpoint that hashes passwords. What a hash needs most, its memory, is there before the first
/// request, and is mimalloc's: that asks for huge pages, which are got sooner and found sooner.
#[macro_export]
macro_rules! hashing_main {
    ($endpoint:ident) => {
        // A test has more than one endpoint in it, and can have one allocator.
        #[cfg(not(test))]
        #[global_allocator]
        static ALLOCATOR: $crate::runtime::MiMalloc = $crate::runtime::MiMalloc;

        fn main() -> $crate::runtime::Result {
            $crate::password::prepare();
            $crate::runtime::serve($endpoint())
        }
    };
}

/// Runs a function that something other than the API calls. An error makes Lambda try again, where
/// the caller waits for no answer.
pub fn serve_event<P, E, R, H, F>(handle: H) -> super::Result
where
    P: Build,
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    H: Fn(&'static P, E, Deadline) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<R, Error>> + Send + 'static,
{
    let parts = start::<P>()?;
    let answer = move |event: LambdaEvent<Value>| async move {
        let deadline = Deadline::at(event.context.deadline);
        let request_id = event.context.request_id;
        let outcome = match http::event(event.payload) {
            Ok(event) => handle(parts, event, deadline).await,
            Err(error) => Err(error),
        };
        parts.settle().await;
        let result = outcome.and_then(|result| {
            serde_json::to_value(result).map_err(|error| Error::Internal(error.to_string()))
        });
        result.map_err(|error| {
            LogEntry::EventFailed { request_id: &request_id, cause: Cause(&error) }.log();
            http::message(&error)
        })
    };
    listen_for_events(parts.prepare(), Box::new(move |event| Box::pin(answer(event))))
}

/// What answers a call. Boxed, so that the runtime behind it is compiled once and not for every function.
type Answer<C, R, E> = Box<dyn Fn(C) -> BoxFuture<'static, Result<R, E>> + Send + Sync>;

fn listen_for_requests(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<lambda_http::Request, Answered, Infallible>,
) -> super::Result {
    block_on(prepared, lambda_http::run(lambda_http::service_fn(answer)))
}

fn listen_for_events(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<LambdaEvent<Value>, Value, String>,
) -> super::Result {
    block_on(prepared, lambda_runtime::run(service_fn(answer)))
}

/// What Lambda calls this call.
fn invocation(request: &lambda_http::Request) -> String {
    let context = request.lambda_context_ref();
    context.map(|context| context.request_id.clone()).unwrap_or_default()
}

/// How long the handler may take: as long as the function has, less what it takes to say so.
fn time_left(request: &lambda_http::Request) -> Duration {
    const TO_ANSWER: Duration = Duration::from_millis(500);
    /// Outside Lambda there is no deadline.
    const AT_MOST: Duration = Duration::from_secs(29);
    let deadline = request.lambda_context_ref().map(|context| context.deadline);
    deadline.map_or(AT_MOST, |deadline| time_until(deadline).saturating_sub(TO_ANSWER).min(AT_MOST))
}

fn start<P: Build>() -> Result<&'static P, String> {
    log::start();
    crash::watch();
    let parts = P::build().map_err(|error| {
        LogEntry::CannotStart { cause: Cause(&error) }.log();
        error.cause().to_owned()
    })?;
    Ok(Box::leak(Box::new(parts)))
}

/// A Lambda process has one request at a time.
fn block_on<E: Into<lambda_runtime::Error>>(
    prepared: BoxFuture<'static, ()>,
    run: impl Future<Output = Result<(), E>>,
) -> super::Result {
    /// Whatever is not prepared by then is left to the first request.
    const PATIENCE: Duration = Duration::from_secs(1);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let _ = tokio::time::timeout(PATIENCE, prepared).await;
            run.await
        })
        .map_err(Into::into)
}

//! Turns Lambda's invocations into calls of handlers, and every outcome into a response.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use lambda_http::{Body, IntoResponse, RequestExt as _, Response};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Endpoint, crash};
use crate::app::Build;
use crate::domain::front::Front;
use crate::domain::quota::QuotaStatus;
use crate::domain::{Actor, Error};
use crate::http::{self, Reply, Request};
use crate::password;
use crate::patience;
use crate::platform::clock::{Deadline, time_until};
use crate::platform::config;
use crate::platform::log::{self, Cause, LogEntry};

/// Maximum time that a response waits for background writes to end.
const SETTLE: Duration = Duration::from_secs(1);

/// Serves an endpoint. Turns every error, and every panic, into a response and logs it once. An error that
/// was returned to Lambda instead would reach the client as the gateway's generic 500, without a request id.
pub fn serve<P: Build>(endpoint: Endpoint<P>) -> super::Result {
    let parts = start::<P>()?;
    let front = front()?;
    let endpoint: &'static Endpoint<P> = Box::leak(Box::new(endpoint));
    let answer = move |request: lambda_http::Request| async move {
        let (left, invocation) = (time_left(&request), invocation(&request));
        let request = received(endpoint, front, request);
        let statuses = request.quota_statuses();
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
        let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, Infallible>(Answered(asked.answer(outcome, &statuses)))
    };
    listen_for_requests(parts.prepare(), Box::new(move |request| Box::pin(answer(request))))
}

/// Facts about a request that its log line and its answer need, whatever the outcome.
struct Asked {
    id: String,
    client_id: Option<String>,
    route: String,
    /// Who sent the request, once that is known.
    actor: Arc<OnceLock<Actor>>,
    has_token_in_url: bool,
    started: Instant,
    /// Number of password hashes that the process had computed before the request.
    hashed: u64,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            id: request.id().to_owned(),
            client_id: request.client_id().map(str::to_owned),
            route: request.route().to_owned(),
            actor: request.actor(),
            has_token_in_url: request.has_token_in_url(),
            started: Instant::now(),
            hashed: password::computed(),
        }
    }

    /// Logs the outcome and returns the answer.
    fn answer(&self, outcome: Result<Reply, Error>, statuses: &[QuotaStatus]) -> Response<Body> {
        if let Err(error @ (Error::Internal(_) | Error::Unavailable(_))) = &outcome {
            LogEntry::RequestFailed { request_id: &self.id, cause: Cause(error) }.log();
        }
        let actor = self.actor.get();
        if let (Err(Error::PermissionDenied(_)), Some(actor)) = (&outcome, actor) {
            let (request_id, route) = (&self.id, &self.route);
            LogEntry::AuthorizationDenied { request_id, route, actor }.log();
        }
        let reply = outcome.unwrap_or_else(|error| Reply::error(&error, &self.id));
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        LogEntry::Request {
            request_id: &self.id,
            client_request_id: self.client_id.as_deref(),
            route: &self.route,
            actor,
            status: reply.status(),
            reason: reply.reason(),
            duration_ms,
            hashes: password::computed() - self.hashed,
        }
        .log();
        reply.into_response(&self.id, self.has_token_in_url, statuses)
    }
}

/// A response that `lambda_http` passes on unchanged. For other types of response, `lambda_http` looks up the
/// charset, which would link the tables of every encoding into the program.
struct Answered(Response<Body>);

impl IntoResponse for Answered {
    fn into_response(self) -> BoxFuture<'static, Response<Body>> {
        Box::pin(ready(self.0))
    }
}

/// Defines the `main` of an endpoint that hashes passwords. It allocates the memory for hashing during init,
/// and uses the allocator mimalloc, which asks for huge pages and so causes fewer page faults.
#[macro_export]
macro_rules! hashing_main {
    ($endpoint:ident) => {
        // A test includes several endpoints, and can have one allocator only.
        #[cfg(not(test))]
        #[global_allocator]
        static ALLOCATOR: $crate::runtime::MiMalloc = $crate::runtime::MiMalloc;

        fn main() -> $crate::runtime::Result {
            $crate::password::prepare();
            $crate::runtime::serve($endpoint())
        }
    };
}

/// Serves a function that is not called by the API but, for example, by a schedule or a stream. Returns errors to
/// Lambda, which retries asynchronous invocations. The `errorType` that Lambda gets is the error's reason, the same
/// text as in an error response of the API.
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
            Diagnostic {
                error_type: http::reason(&error).to_owned(),
                error_message: http::message(&error),
            }
        })
    };
    listen_for_events(parts.prepare(), Box::new(move |event| Box::pin(answer(event))))
}

/// A function that handles an invocation. Boxed, so that the Lambda runtime, which is generic over it, is
/// compiled once and not once per handler.
type Answer<C, R, E> = Box<dyn Fn(C) -> BoxFuture<'static, Result<R, E>> + Send + Sync>;

fn listen_for_requests(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<lambda_http::Request, Answered, Infallible>,
) -> super::Result {
    block_on(prepared, lambda_http::run(lambda_http::service_fn(answer)))
}

fn listen_for_events(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<LambdaEvent<Value>, Value, Diagnostic>,
) -> super::Result {
    block_on(prepared, lambda_runtime::run(service_fn(answer)))
}

/// Builds the request from what the gateway sent. Behind a front, a proxy such as `CloudFront`, the client's
/// address is the one that the front reports.
fn received<P>(
    endpoint: &Endpoint<P>,
    front: Option<&Front>,
    request: lambda_http::Request,
) -> Request {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let client = front.map(|front| front.client(header));
    let request = endpoint.request(request);
    match client {
        Some(client) => request.through_front(client),
        None => request,
    }
}

/// Returns Lambda's id of the invocation.
fn invocation(request: &lambda_http::Request) -> String {
    let context = request.lambda_context_ref();
    context.map(|context| context.request_id.clone()).unwrap_or_default()
}

/// Returns the time that the handler may take: the time left of the function's timeout, less a reserve for answering
/// that the time is up.
fn time_left(request: &lambda_http::Request) -> Duration {
    const TO_ANSWER: Duration = Duration::from_millis(500);
    /// Time that the handler may take outside Lambda, where there is no deadline.
    const AT_MOST: Duration = Duration::from_secs(29);
    let deadline = request.lambda_context_ref().map(|context| context.deadline);
    deadline.map_or(AT_MOST, |deadline| time_until(deadline).saturating_sub(TO_ANSWER).min(AT_MOST))
}

fn start<P: Build>() -> Result<&'static P, String> {
    log::start();
    crash::watch();
    Ok(Box::leak(Box::new(P::build().map_err(cannot_start)?)))
}

/// Returns the front of this deployment, a proxy that all requests come through, if it has one.
fn front() -> Result<Option<&'static Front>, String> {
    let front = config::front().map_err(cannot_start)?;
    Ok(front.map(|front| &*Box::leak(Box::new(front))))
}

fn cannot_start(error: Error) -> String {
    LogEntry::CannotStart { cause: Cause(&error) }.log();
    error.cause().to_owned()
}

/// Runs the runtime on this thread, since a Lambda process serves one invocation at a time.
fn block_on<E: Into<lambda_runtime::Error>>(
    prepared: BoxFuture<'static, ()>,
    run: impl Future<Output = Result<(), E>>,
) -> super::Result {
    /// Maximum time of prewarming, the work done at init so that the first request need not wait for it. The
    /// first request does what is left.
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

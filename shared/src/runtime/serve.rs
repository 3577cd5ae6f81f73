//! The edge: what Lambda calls.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lambda_http::RequestExt as _;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::clock::time_until;
use super::{Build, Deadline, log};
use crate::auth::password;
use crate::domain::Error;
use crate::http::{self, Reply, Request};
use crate::store::idempotency;

/// How long a reply waits for what was done beside it.
const SETTLE: Duration = Duration::from_secs(1);

/// Runs an endpoint. Every error, and a panic too, becomes a reply here and is logged here, once: an
/// error that went further would become the gateway's own, without a request id.
pub fn serve<P, H, F>(handle: H) -> super::Result
where
    P: Build,
    H: Fn(&'static P, Request) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Error>> + Send + 'static,
{
    let parts = start::<P>()?;
    let answer = move |request: lambda_http::Request| async move {
        let (started, hashed) = (Instant::now(), password::computed());
        let left = time_left(&request);
        let request = Request::new(request);
        let (id, route) = (request.id().to_owned(), request.route().to_owned());
        let has_token_in_url = request.has_token_in_url();
        let standings = request.standings();
        let work = async {
            // Boxed: it is large, and each of what follows would move it.
            let handled = handle(parts, request).boxed();
            let outcome = match caught(idempotency::scope(handled)).await {
                Err(Error::Repeated(done)) => caught(parts.repeat(&route, *done)).await,
                outcome => outcome,
            };
            let _ = tokio::time::timeout(SETTLE, parts.settle()).await;
            outcome
        };
        let outcome = tokio::time::timeout(left, work).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(Error::Unavailable("the time is up".to_owned())));
        if let Err(error @ (Error::Internal(_) | Error::Unavailable(_))) = &outcome {
            tracing::error!(request_id = id, cause = error.cause(), "request failed");
        }
        let reply = outcome.unwrap_or_else(|error| Reply::error(&error, &id));
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            request_id = id,
            route,
            status = reply.status(),
            reason = reply.reason(),
            duration_ms,
            hashes = password::computed() - hashed,
            "request"
        );
        let standings = standings.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, Infallible>(reply.into_response(&id, has_token_in_url, &standings))
    };
    listen_for_requests(parts.prepare(), Box::new(move |request| Box::pin(answer(request))))
}

/// The `main` of an endpoint that hashes passwords. What a hash needs most, its memory, is there before the first
/// request, and is mimalloc's: that asks for huge pages, which are got sooner and found sooner.
#[macro_export]
macro_rules! hashing_main {
    ($handle:ident) => {
        // A test has more than one endpoint in it, and can have one allocator.
        #[cfg(not(test))]
        #[global_allocator]
        static ALLOCATOR: $crate::runtime::MiMalloc = $crate::runtime::MiMalloc;

        fn main() -> $crate::runtime::Result {
            $crate::auth::password::prepare();
            $crate::runtime::serve($handle)
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
            Ok(event) => caught(handle(parts, event, deadline)).await,
            Err(error) => Err(error),
        };
        parts.settle().await;
        let result = outcome.and_then(|result| {
            serde_json::to_value(result).map_err(|error| Error::Internal(error.to_string()))
        });
        result.map_err(|error| {
            tracing::error!(request_id, cause = error.cause(), "event failed");
            http::message(&error)
        })
    };
    listen_for_events(parts.prepare(), Box::new(move |event| Box::pin(answer(event))))
}

/// What answers a call. Boxed, so that the runtime behind it is compiled once and not for every function.
type Answer<C, R, E> = Box<dyn Fn(C) -> BoxFuture<'static, Result<R, E>> + Send + Sync>;

fn listen_for_requests(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<lambda_http::Request, lambda_http::Response<lambda_http::Body>, Infallible>,
) -> super::Result {
    block_on(prepared, lambda_http::run(lambda_http::service_fn(answer)))
}

fn listen_for_events(
    prepared: BoxFuture<'static, ()>,
    answer: Answer<LambdaEvent<Value>, Value, String>,
) -> super::Result {
    block_on(prepared, lambda_runtime::run(service_fn(answer)))
}

#[cfg(panic = "abort")]
compile_error!("a panic would end the process without a reply: build with panic = \"unwind\"");

/// What comes of `work`; a panic is a mistake of ours.
async fn caught<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(Error::Internal("panic".to_owned())))
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
    let parts = P::build().map_err(|error| {
        tracing::error!(cause = error.cause(), "cannot start");
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

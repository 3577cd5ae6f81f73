//! Control endpoints of the stack under `/_local/`, and Lambda's Invoke API.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    activity::Activity, clock::Clock, console::Console, dynamodb::DynamoDb, error::Error,
    events::Events, iam::Permissions, lambda::Functions, schedules::Schedules, ses::Ses,
    stats::Stats,
};

/// How long the stack waits for background work to end.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The control endpoints and Lambda's Invoke API, as the error for an unknown control endpoint lists them.
const PATHS: [&str; 17] = [
    "GET /_local/stats",
    "POST /_local/stats/reset",
    "GET /_local/permissions",
    "GET /_local/events",
    "GET /_local/dead_letters",
    "GET /_local/mail",
    "GET /_local/clock",
    "POST /_local/clock {\"advance_seconds\": N}",
    "GET /_local/clock.js",
    "POST /_local/schedules/{logical id}/run",
    "GET /_local/tables/{logical id}",
    "GET /_local/faults",
    "POST /_local/faults [{\"fault\": \"throttle\", …}, …]",
    "DELETE /_local/faults",
    "GET /_local/logs",
    "POST /_local/settle",
    "POST /2015-03-31/functions/{logical id}/invocations",
];

/// Path of the clock endpoint, the only control endpoint that the stack's own pages may call.
const CLOCK: &str = "/_local/clock";

/// The parts of a running stack that the control endpoints show and change.
pub(crate) struct Control {
    pub(crate) functions: Arc<Functions>,
    pub(crate) dynamodb: Arc<DynamoDb>,
    pub(crate) events: Arc<Events>,
    pub(crate) schedules: Arc<Schedules>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) console: Arc<Console>,
    pub(crate) ses: Arc<Ses>,
}

impl Control {
    /// Moves virtual time forward, deletes expired items, runs the schedules that became due, and waits for
    /// their functions. Returns the new time and what was done.
    pub(crate) async fn advance(&self, seconds: i64) -> Result<Value, Error> {
        let mut swept = Ok(0);
        let before_firing = async || {
            self.functions.retire_idle();
            swept = self.dynamodb.sweep(self.clock.now().as_second()).await;
        };
        let by = SignedDuration::from_secs(seconds);
        let schedules = self.schedules.advance(by, before_firing).await?;
        let mut report = self.time();
        report["swept"] = json!(swept?);
        report["schedules"] = json!(schedules);
        Ok(report)
    }

    /// Waits until streams are drained and no asynchronous invocation runs; false if that takes more than half
    /// a minute.
    pub(crate) async fn settle(&self) -> bool {
        tokio::time::timeout(SETTLE_TIMEOUT, self.activity.settled()).await.is_ok()
    }

    fn time(&self) -> Value {
        json!({
            "now": self.clock.now().to_string(),
            "offset_seconds": self.clock.offset_seconds(),
        })
    }
}

type Shared = State<Arc<Control>>;

/// Returns the routes of the control endpoints.
pub(crate) fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/_local/stats", get(stats))
        .route("/_local/stats/reset", post(reset_stats))
        .route("/_local/permissions", get(permissions))
        .route("/_local/events", get(events))
        .route("/_local/dead_letters", get(dead_letters))
        .route("/_local/mail", get(mail))
        .route(CLOCK, get(clock).post(advance))
        .route("/_local/clock.js", get(clock_script))
        .route("/_local/schedules/{id}/run", post(run_schedule))
        .route("/_local/tables/{id}", get(table))
        .route("/_local/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/_local/logs", get(logs))
        .route("/_local/settle", post(settle))
        .route("/_local", any(unknown))
        .route("/_local/{*rest}", any(unknown))
        .route("/2015-03-31/functions/{id}/invocations", post(invoke))
        .method_not_allowed_fallback(unknown)
        .layer(middleware::from_fn(refuse_pages))
        .with_state(control)
}

/// Refuses requests from pages in a browser, which have an `Origin` header. Only the clock endpoint accepts requests
/// from the stack's own pages.
async fn refuse_pages(request: Request, next: Next) -> Response {
    let is_page = request.headers().contains_key(header::ORIGIN);
    if is_page && !(request.uri().path() == CLOCK && is_own_page(request.headers())) {
        let message = "the stack's control endpoints are not for pages in a browser";
        return error(StatusCode::FORBIDDEN, message);
    }
    next.run(request).await
}

/// Whether a request comes from one of the stack's own pages: `Origin` names the same host and port as `Host`.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
    origin.is_some_and(|origin| text(header::HOST) == Some(origin))
}

/// Whether the client asks for an HTML page instead of JSON.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

async fn stats(State(control): Shared) -> Json<Value> {
    Json(control.stats.report())
}

async fn reset_stats(State(control): Shared) -> Json<Value> {
    control.stats.reset();
    Json(control.stats.report())
}

async fn permissions(State(control): Shared) -> Json<Value> {
    Json(control.permissions.report())
}

async fn events(State(control): Shared) -> Json<Value> {
    Json(json!({"events": control.events.seen()}))
}

async fn dead_letters(State(control): Shared) -> Json<Value> {
    Json(json!({"dead_letters": control.activity.dead_letters()}))
}

async fn logs(State(control): Shared) -> Json<Value> {
    Json(json!({"logs": control.console.lines()}))
}

/// Answers with virtual time as JSON, or with a page that moves the clock if the client asks for HTML.
async fn clock(State(control): Shared, headers: HeaderMap) -> Response {
    if !wants_page(&headers) {
        return Json(control.time()).into_response();
    }
    let policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let page = Html(include_str!("../pages/clock.html"));
    ([(header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

async fn clock_script() -> Response {
    let script = include_str!("../pages/clock.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
}

async fn advance(State(control): Shared, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(seconds) = body["advance_seconds"].as_i64() else {
        return error(StatusCode::BAD_REQUEST, "send {\"advance_seconds\": N}, a whole number");
    };
    match control.advance(seconds).await {
        Ok(report) => Json(report).into_response(),
        Err(why) => error(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn run_schedule(State(control): Shared, Path(id): Path<String>) -> Response {
    match control.schedules.fire(&id).await {
        Some(result) => Json(result).into_response(),
        None => no_such("schedule", &id, &control.schedules.names()),
    }
}

async fn table(State(control): Shared, Path(id): Path<String>) -> Response {
    match control.dynamodb.items(&id).await {
        Some(Ok(items)) => Json(json!({"items": items})).into_response(),
        Some(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        None => no_such("table", &id, &control.dynamodb.table_ids()),
    }
}

/// Answers with the sent messages as JSON, or as a page if the client asks for HTML.
async fn mail(State(control): Shared, headers: HeaderMap) -> Response {
    if !wants_page(&headers) {
        return Json(json!({"mail": control.ses.sent()})).into_response();
    }
    // Messages have inline styles, and nothing else is loaded or run.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(control.ses.page())).into_response()
}

async fn faults(State(control): Shared) -> Json<Value> {
    Json(json!({"faults": control.dynamodb.faults()}))
}

async fn set_faults(control: Shared, rules: Bytes) -> Response {
    match control.dynamodb.set_faults(&rules) {
        Ok(()) => faults(control).await.into_response(),
        Err(why) => error(StatusCode::BAD_REQUEST, &why.to_string()),
    }
}

async fn clear_faults(control: Shared) -> Response {
    set_faults(control, Bytes::from_static(b"[]")).await
}

async fn settle(State(control): Shared) -> Response {
    if control.settle().await {
        return Json(json!({"settled": true})).into_response();
    }
    error(StatusCode::GATEWAY_TIMEOUT, "streams or asynchronous invocations are still running")
}

/// Emulates Lambda's Invoke API.
async fn invoke(
    State(control): Shared,
    Path(function): Path<String>,
    headers: HeaderMap,
    payload: Bytes,
) -> Response {
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    let kind = headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok());
    match kind {
        _ if !control.functions.has(&function) => {
            let message =
                json!({"Type": "User", "Message": format!("Function not found: {function}")});
            let kind = [("x-amzn-errortype", "ResourceNotFoundException")];
            (StatusCode::NOT_FOUND, kind, Json(message)).into_response()
        }
        Some("DryRun") => StatusCode::NO_CONTENT.into_response(),
        Some("Event") => {
            control.functions.invoke_later(&function, payload, "Invoke");
            StatusCode::ACCEPTED.into_response()
        }
        _ => match control.functions.invoke(&function, payload).await {
            Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
            Err(failure) => {
                ([("x-amz-function-error", "Unhandled")], Json(failure.payload())).into_response()
            }
        },
    }
}

async fn unknown() -> Response {
    let body = json!({"error": "there is no such control endpoint", "endpoints": PATHS});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn no_such(kind: &str, id: &str, there_are: &[&str]) -> Response {
    let message = format!("the template has no {kind} {id}");
    (StatusCode::NOT_FOUND, Json(json!({"error": message, "there_are": there_are}))).into_response()
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}

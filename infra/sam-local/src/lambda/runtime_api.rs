//! The Lambda Runtime API. Each process calls it under its own path prefix, the process id.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::functions::Functions;
use crate::{
    aws::function_arn,
    clock::{real_now, unique_id},
};

const VERSION: &str = "/{process}/2018-06-01/runtime";

/// Returns the routes of the Runtime API for all processes.
pub(crate) fn router(functions: Arc<Functions>) -> Router {
    Router::new()
        .route(&format!("{VERSION}/invocation/next"), get(next))
        .route(&format!("{VERSION}/invocation/{{request}}/response"), post(response))
        .route(&format!("{VERSION}/invocation/{{request}}/error"), post(error))
        .route(&format!("{VERSION}/init/error"), post(init_error))
        .with_state(functions)
}

async fn next(State(functions): State<Arc<Functions>>, Path(process): Path<String>) -> Response {
    let Some(process) = functions.process(&process) else {
        return forbidden();
    };
    let Some(event) = process.next().await else {
        return forbidden();
    };
    let timeout = i64::try_from(event.timeout.as_millis()).unwrap_or(i64::MAX);
    // Real time: a process measures the time that is left by the machine's clock.
    let deadline = real_now().as_millisecond().saturating_add(timeout);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", event.request_id.clone()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", function_arn(process.function())),
        ("lambda-runtime-trace-id", trace_id()),
    ];
    let response = (headers, event.payload.clone()).into_response();
    process.take(event);
    response
}

async fn response(
    State(functions): State<Arc<Functions>>,
    Path((process, request)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    accept(&functions, &process, &request, Ok(body))
}

async fn error(
    State(functions): State<Arc<Functions>>,
    Path((process, request)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    accept(&functions, &process, &request, Err(body))
}

/// Accepts a process's report that its init failed. Nothing more is to be done: the process then ends, and so
/// the waiting invocation fails.
async fn init_error(Path(_process): Path<String>) -> Response {
    accepted()
}

fn accept(
    functions: &Functions,
    process: &str,
    request: &str,
    answer: Result<Bytes, Bytes>,
) -> Response {
    match functions.process(process) {
        Some(process) if process.answer(request, answer) => accepted(),
        _ => forbidden(),
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "OK"}))).into_response()
}

fn forbidden() -> Response {
    let body: Value =
        json!({"errorType": "InvalidRequestID", "errorMessage": "No such invocation"});
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

fn trace_id() -> String {
    let hex = unique_id().replace('-', "");
    format!("Root=1-{}-{};Parent={};Sampled=0", &hex[..8], &hex[8..], &hex[16..])
}

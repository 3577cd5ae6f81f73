//! API Gateway: an HTTP API whose routes call functions with payload format 2.0.

mod event;
mod response;
mod route;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    http::uri::Authority,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{clock::Clock, lambda::Lambda, template};
use event::Incoming;
use route::Routes;

/// Largest request body API Gateway takes.
const MOST_BYTES: usize = 10 * 1024 * 1024;

/// Longest API Gateway waits for a function.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The API's routes and the functions behind them.
pub(crate) struct Gateway {
    routes: Routes,
    lambda: Arc<Lambda>,
    clock: Arc<Clock>,
}

impl Gateway {
    pub(crate) fn new(
        routes: Vec<template::Route>,
        lambda: Arc<Lambda>,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        Arc::new(Self { routes: Routes::new(routes), lambda, clock })
    }

    /// The keys of all routes, such as `GET /pets/{id}` or `$default`.
    pub(crate) fn routes(&self) -> Vec<String> {
        self.routes.keys()
    }

    async fn answer(&self, source: SocketAddr, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        if !has_valid_host(&parts) {
            return message(StatusCode::BAD_REQUEST, "Bad Request");
        }
        let Ok(body) = to_bytes(body, MOST_BYTES).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let Some(found) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let incoming =
            Incoming { parts: &parts, body: &body, source: source.ip(), now: self.clock.now() };
        let payload = Bytes::from(incoming.event(&found).to_string());
        let call = self.lambda.invoke(found.function, payload);
        match tokio::time::timeout(LONGEST_WAIT, call).await {
            Ok(Ok(answer)) => response::from_function(&answer).unwrap_or_else(internal_error),
            Ok(Err(_)) => internal_error(),
            Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}

/// Takes any request that is not for the stack itself.
pub(crate) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    gateway.answer(source, request).await
}

/// AWS routes by host name, so a function never sees one that is not well formed.
fn has_valid_host(parts: &axum::http::request::Parts) -> bool {
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|host| host.port().is_some() == host.port_u16().is_some())
}

fn internal_error() -> Response {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"message": text}))).into_response()
}

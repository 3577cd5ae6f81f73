//! API Gateway: an HTTP API whose routes call functions with payload format 2.0.

mod cors;
mod event;
mod response;
mod route;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    clock::{Clock, gateway_request_id},
    lambda::Functions,
    template::{self, Cors},
};
use event::Incoming;
use route::Routes;

/// Maximum size of a request body, in bytes, as on API Gateway.
const MAX_BYTES: usize = 10 * 1024 * 1024;

/// Maximum time that the gateway waits for a function, as on API Gateway.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The API's routes and the functions behind them.
pub(crate) struct Gateway {
    routes: Routes,
    cors: Option<Cors>,
    functions: Arc<Functions>,
    clock: Arc<Clock>,
}

impl Gateway {
    pub(crate) fn new(
        routes: Vec<template::Route>,
        cors: Option<Cors>,
        functions: Arc<Functions>,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        Arc::new(Self { routes: Routes::new(routes), cors, functions, clock })
    }

    /// Returns the keys of all routes, such as `GET /pets/{id}` or `$default`.
    pub(crate) fn routes(&self) -> Vec<String> {
        self.routes.keys()
    }

    async fn answer(&self, source: SocketAddr, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let preflight = self.cors.as_ref().and_then(|cors| cors::preflight(cors, &parts));
        if let Some(answer) = preflight {
            return answer;
        }
        let mut response = self.call(source, &parts, body).await;
        if let Some(cors) = &self.cors {
            cors::apply(cors, &parts, &mut response);
        }
        response
    }

    /// Calls the function of the request's route.
    async fn call(&self, source: SocketAddr, parts: &Parts, body: Body) -> Response {
        let Ok(body) = to_bytes(body, MAX_BYTES).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let Some(found) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let (id, now) = (&gateway_request_id(), self.clock.now());
        let incoming = Incoming { id, parts, body: &body, source: source.ip(), now };
        let payload = Bytes::from(incoming.event(&found).to_string());
        let call = self.functions.invoke(found.function, payload);
        match tokio::time::timeout(TIMEOUT, call).await {
            Ok(Ok(answer)) => response::from_function(&answer, id).unwrap_or_else(internal_error),
            Ok(Err(_)) => internal_error(),
            Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}

/// Handles a request to the API.
pub(crate) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    gateway.answer(source, request).await
}

fn internal_error() -> Response {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"message": text}))).into_response()
}

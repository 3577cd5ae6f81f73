//! The HTTP endpoint that the functions' AWS SDKs call. The header `X-Amz-Target` selects `DynamoDB`,
//! `EventBridge` or KMS; the path selects SES.

use std::{future::pending, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

use crate::{
    clock::unique_id,
    dynamodb::{Answer, DynamoDb, Reply},
    events::{self, Events},
    iam::{Caller, Denied, Permissions},
    kms::{self, Kms, Refusal},
    lambda::Functions,
    ses::{self, Feedback, Ses},
    stats::Stats,
};

/// Maximum size of a request body, in bytes: `DynamoDB`'s limit. It also applies to the Runtime API here, to
/// which functions send their results.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// State of the endpoint: the emulated services, the permissions and counters of their callers, and the
/// functions, whose processes an injected fault may kill.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) dynamodb: Arc<DynamoDb>,
    pub(crate) events: Arc<Events>,
    pub(crate) kms: Arc<Kms>,
    pub(crate) ses: Arc<Ses>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) functions: Arc<Functions>,
}

/// Returns the routes of all services.
pub(crate) fn router(services: Services) -> Router {
    Router::new()
        .route("/", post(call).get(healthy))
        .route("/v2/email/outbound-emails", post(send_email))
        .with_state(services)
}

/// Responds to the health check of `DynamoDB`, `GET /`.
async fn healthy() -> &'static str {
    "healthy"
}

async fn call(State(services): State<Services>, headers: HeaderMap, body: Bytes) -> Response {
    let (caller, target) = read(&headers);
    match target {
        Some(("DynamoDB_20120810", operation)) => {
            let process = caller.as_ref().map(|caller| caller.process.clone());
            match services.dynamodb.dispatch(caller, operation, body).await {
                Answer::Reply(reply) => respond(reply, "application/x-amz-json-1.0"),
                Answer::Lost => pending().await,
                Answer::Crash => {
                    services.functions.kill(process.as_deref().unwrap_or_default());
                    pending().await
                }
            }
        }
        Some(("AWSEvents", "PutEvents")) => {
            let may = services.permissions.check(caller.as_ref(), &events::accesses(&body));
            let reply = match may.map(|()| services.events.put(&body)) {
                Ok(Ok(results)) => Reply { status: 200, body: results.to_string() },
                Ok(Err(message)) => refusal("ValidationException", &message),
                Err(Denied(kind, message)) => refusal(kind, &message),
            };
            respond(reply, "application/x-amz-json-1.1")
        }
        Some(("TrentService", operation)) => {
            if let Some(Caller { function, .. }) = &caller {
                services.stats.count(function, |counters| {
                    *counters.kms.entry(operation.to_owned()).or_default() += 1;
                });
            }
            let Services { kms, permissions, .. } = &services;
            let reply = answer_kms(kms, permissions, caller.as_ref(), operation, &body);
            respond(reply, "application/x-amz-json-1.1")
        }
        _ => {
            let reply = refusal(
                "UnknownOperationException",
                "the local stack does not support this service",
            );
            respond(reply, "application/x-amz-json-1.0")
        }
    }
}

/// Handles SES's `SendEmail`.
async fn send_email(State(services): State<Services>, headers: HeaderMap, body: Bytes) -> Response {
    let (caller, _) = read(&headers);
    let may = services.permissions.check(caller.as_ref(), &ses::accesses(&body));
    let reply = match may.map(|()| services.ses.send(&body)) {
        Ok(Ok((answer, told))) => {
            for Feedback { detail_type, detail } in told {
                services.events.put_of_service("aws.ses", detail_type, &detail);
            }
            Reply { status: 200, body: answer.to_string() }
        }
        Ok(Err(message)) => refusal("BadRequestException", &message),
        Err(Denied(kind, message)) => refusal(kind, &message),
    };
    respond(reply, "application/json")
}

/// Handles a KMS call: checks the caller's permission and executes the operation.
pub(crate) fn answer_kms(
    kms: &Kms,
    permissions: &Permissions,
    caller: Option<&Caller>,
    operation: &str,
    body: &[u8],
) -> Reply {
    let may = permissions.check(caller, &[kms::access(operation, body)]);
    match may.map(|()| kms.call(operation, body)) {
        Ok(Ok(answer)) => Reply { status: 200, body: answer.to_string() },
        Ok(Err(Refusal(kind, message))) | Err(Denied(kind, message)) => refusal(kind, &message),
    }
}

/// Reads a call's caller and its target (service and operation) from the headers. The caller's access key id
/// is the function's logical id, and its session token is the process id.
pub(crate) fn read(headers: &HeaderMap) -> (Option<Caller>, Option<(&str, &str)>) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let target = text("x-amz-target").and_then(|target| target.split_once('.'));
    (caller(text("authorization"), text("x-amz-security-token")), target)
}

fn caller(authorization: Option<&str>, token: Option<&str>) -> Option<Caller> {
    let (_, credential) = authorization?.split_once("Credential=")?;
    let function = credential.split('/').next()?.to_owned();
    Some(Caller { function, process: token.unwrap_or_default().to_owned() })
}

pub(crate) fn refusal(kind: &str, message: &str) -> Reply {
    Reply { status: 400, body: json!({"__type": kind, "message": message}).to_string() }
}

pub(crate) fn respond(reply: Reply, content_type: &str) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE.as_str(), content_type.to_owned()),
        ("x-amzn-requestid", unique_id()),
    ];
    (status, headers, reply.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::caller;

    #[test]
    fn the_credentials_name_the_caller() {
        let header = "AWS4-HMAC-SHA256 Credential=Fn/20261120/us-east-1/dynamodb/aws4_request, Sig";
        let caller = caller(Some(header), Some("process-1")).unwrap();
        assert_eq!((caller.function.as_str(), caller.process.as_str()), ("Fn", "process-1"));
        assert!(super::caller(None, None).is_none());
    }
}

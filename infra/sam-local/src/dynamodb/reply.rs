//! Outcomes of a call to the tables, and `DynamoDB`'s errors.

use dynoxide::DynoxideError;
use serde_json::{Value, json};

use crate::iam::Denied;

/// Result of a call, as its caller experiences it.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    /// The caller waits for a reply that never comes.
    Lost,
    /// The calling process must be killed now, without a reply.
    Crash,
}

/// An HTTP reply: status and body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    /// Returns the reply for an error of the emulator.
    pub(super) fn error(error: &DynoxideError) -> Self {
        Self { status: error.status_code(), body: error.to_json() }
    }

    /// Returns the reply for a refusal by IAM.
    pub(super) fn denied(Denied(kind, message): Denied) -> Self {
        let kind = format!("com.amazon.coral.service#{kind}");
        Self { status: 400, body: json!({"__type": kind, "message": message}).to_string() }
    }

    /// Returns the reply for an error of `DynamoDB` itself, such as `InternalServerError`.
    pub(super) fn exception(status: u16, kind: &str, message: &str) -> Self {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
        Self { status, body: json!({"__type": kind, "message": message}).to_string() }
    }

    /// Returns a `TransactionCanceledException` with one reason per item, in the order of the request.
    pub(super) fn canceled(reasons: Vec<Value>) -> Self {
        let codes: Vec<_> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        let body = json!({"__type": kind, "Message": message, "CancellationReasons": reasons});
        Self { status: 400, body: body.to_string() }
    }
}

impl From<Result<Value, DynoxideError>> for Reply {
    fn from(result: Result<Value, DynoxideError>) -> Self {
        match result {
            Ok(response) => Self { status: 200, body: response.to_string() },
            Err(error) => Self::error(&error),
        }
    }
}

//! Failed invocations.

use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

/// Reason why an invocation has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The function itself reported an error; contains it.
    Function(Bytes),
    /// The process ended before it answered; contains its exit status.
    Exited(String),
    TimedOut(Duration),
    /// The process could not be started, or ended before it asked for its first event; contains the reason.
    NotStarted(String),
    NoSuchFunction(String),
}

impl Failure {
    /// Returns the error as Lambda returns it: `{"errorType", "errorMessage"}`.
    pub(crate) fn payload(&self) -> Value {
        let error =
            |kind: &str, message: String| json!({"errorType": kind, "errorMessage": message});
        match self {
            Self::Function(body) => serde_json::from_slice(body)
                .unwrap_or_else(|_| error("Unhandled", String::from_utf8_lossy(body).into_owned())),
            Self::Exited(status) => {
                error("Runtime.ExitError", format!("Runtime exited with error: {status}"))
            }
            Self::TimedOut(limit) => {
                let message = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
                error("Sandbox.Timedout", message)
            }
            Self::NotStarted(why) => error("Runtime.InvalidEntrypoint", why.clone()),
            Self::NoSuchFunction(id) => {
                error("ResourceNotFoundException", format!("Function not found: {id}"))
            }
        }
    }
}

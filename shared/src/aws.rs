//! What AWS did not do.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::domain::Error;

/// Whatever AWS did not do is "unavailable": the caller may try again. The text is for the log and
/// holds nothing of what was sent: of AWS's own words only those that speak of permissions and of what
/// does not exist.
pub(crate) fn failure<E, R>(service: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata,
{
    let code = error.code().unwrap_or(match error {
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(_) => "no connection",
        _ => "no answer",
    });
    let is_ours = matches!(code, "AccessDeniedException" | "ResourceNotFoundException");
    let message = error.message().filter(|_| is_ours).unwrap_or_default();
    Error::Unavailable(format!("{service}: {code} {message}"))
}

//! The environment: the only place that reads it.

use crate::domain::Error;

/// The value of a variable that template.yaml, or Lambda itself, must give.
pub fn required(name: &str) -> Result<String, Error> {
    optional(name).ok_or_else(|| {
        Error::Internal(format!(
            "environment variable {name} is not set; template.yaml must give it"
        ))
    })
}

/// The value of a variable that may be absent.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

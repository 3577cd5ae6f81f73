//! The crate's error.

use std::fmt;

/// Reason why a stack cannot start or cannot do what it was asked, as a message for people.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// Returns an error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Returns an error at `path` in the template.
    pub(crate) fn at(path: &str, complaint: impl fmt::Display) -> Self {
        Self(format!("{path}: {complaint}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

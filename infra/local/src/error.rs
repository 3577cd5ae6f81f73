//! What goes wrong, in words for people.

use std::fmt;

/// Why a stack cannot start or do what it was asked, in words for people.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Something wrong at a place in the template.
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

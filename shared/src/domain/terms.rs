//! Terms of service.

use super::Timestamp;

/// The terms that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version of the terms that the installation had then; empty if the installation names none.
    pub version: String,
    /// When they were accepted.
    pub tm_accept: Timestamp,
}

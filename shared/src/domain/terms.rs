//! Terms of service.

use super::Timestamp;

/// The terms that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version that the installation had; empty if it names none.
    pub version: String,
    /// When they were accepted.
    pub tm_accept: Timestamp,
}

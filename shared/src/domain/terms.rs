//! Terms of service.

use super::Timestamp;

/// Terms of service that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Version of the terms that was in force in the installation; empty if the installation configures none.
    pub version: String,
    /// When they were accepted.
    pub tm_accept: Timestamp,
}

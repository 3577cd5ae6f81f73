//! Keys for programs.

use std::time::Duration;

use super::value::{Detail, Name};
use super::{Error, Id, Permission, Timestamp};

/// The shortest life of a key: one day.
pub const MIN_LIFETIME: Duration = Duration::from_hours(24);

/// The longest life of a key: ten years.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24 * 3650);

/// A key that lets a program act for an account. The token itself is shown once and never stored.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The key's id.
    pub id: Id<AccessKey>,
    /// What its owner calls it.
    pub name: Name,
    /// What its owner says about it.
    pub detail: Detail,
    /// The token's first characters, by which its owner can recognise it.
    pub token_prefix: String,
    /// SHA-256 of the token, in hexadecimal.
    pub token_hash: String,
    /// What the key may do: what its creator may.
    pub permission: Permission,
    /// When it stops working.
    pub tm_expire: Timestamp,
    /// When it was created.
    pub tm_create: Timestamp,
    /// When its name or detail last changed.
    pub tm_update: Timestamp,
    /// Counts changes, so that none is lost.
    pub version: u64,
}

impl AccessKey {
    /// The key with the named fields replaced.
    #[must_use]
    pub fn updated(&self, name: Option<Name>, detail: Option<Detail>, now: Timestamp) -> Self {
        let key = self.clone();
        Self {
            name: name.unwrap_or(key.name),
            detail: detail.unwrap_or(key.detail),
            tm_update: now,
            version: key.version + 1,
            ..key
        }
    }
}

/// The life of a key that shall last `seconds`.
pub fn lifetime(seconds: u64) -> Result<Duration, Error> {
    let lifetime = Duration::from_secs(seconds);
    if (MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime) {
        return Ok(lifetime);
    }
    Err(Error::invalid_field(
        "expire",
        format!(
            "must be between {} and {} seconds",
            MIN_LIFETIME.as_secs(),
            MAX_LIFETIME.as_secs()
        ),
    ))
}

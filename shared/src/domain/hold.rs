//! Holds: orders that an account must not be erased.

use serde::{Deserialize, Deserializer};

use super::value::{BoundedText, FromText, TextViolation, deserialize_from_text, deserialize_text};
use super::{Actor, Timestamp};

/// Reason of a hold: 1 to 500 characters, without personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldReason(BoundedText<500>);

impl HoldReason {
    /// Text that was checked when it was stored.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(BoundedText::trusted(text))
    }

    /// The reason itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromText for HoldReason {
    type Violation = TextViolation;
    fn from_text(text: &str) -> Result<Self, TextViolation> {
        if text.trim().is_empty() {
            return Err(TextViolation::Blank);
        }
        BoundedText::from_text(text).map(Self)
    }
    fn rule() -> String {
        "text of 1 to 500 characters, without control characters".to_owned()
    }
}

deserialize_from_text!(HoldReason);

/// A hold: an order that an account must not be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Reason.
    pub reason: HoldReason,
    /// Who placed it.
    pub by: Actor,
    /// When it was placed.
    pub tm_hold: Timestamp,
}

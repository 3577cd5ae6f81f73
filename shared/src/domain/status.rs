//! Status of an account.

use serde::{Deserialize, Serialize};

/// Status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created; the e-mail address is not verified.
    Initial,
    /// In use.
    Active,
    /// Deletion is scheduled; recoverable until the grace period ends.
    Frozen,
    /// Deleted; no personal data is left.
    Deleted,
}

impl Status {
    const ALL: [Self; 4] = [Self::Initial, Self::Active, Self::Frozen, Self::Deleted];

    /// Returns the status's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Deleted => "deleted",
        }
    }

    /// Returns the status with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the account is neither frozen nor deleted.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Initial | Self::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_by_its_name_which_json_has_too() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        for name in ["", "Active", "gone"] {
            assert_eq!(Status::parse(name), None, "{name}");
        }
    }

    #[test]
    fn accounts_live_until_they_are_frozen() {
        assert_eq!(Status::ALL.map(Status::is_live), [true, true, false, false]);
    }
}

//! Status of an account.

use serde::{Deserialize, Serialize};

/// Status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created, e-mail address not verified.
    Initial,
    /// In use.
    Active,
    /// To be deleted when its grace period ends; can be recovered until then.
    Frozen,
    /// Deleted; nothing personal is left in it.
    Deleted,
}

impl Status {
    const ALL: [Self; 4] = [Self::Initial, Self::Active, Self::Frozen, Self::Deleted];

    /// The status's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Deleted => "deleted",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the account can be worked with.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Initial | Self::Active)
    }
}

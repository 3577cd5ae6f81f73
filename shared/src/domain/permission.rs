//! What a caller may do.

use std::ops::BitOr;

use serde::{Deserialize, Serialize};

/// A set of permission bits, as the original numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(u64);

impl Permission {
    /// Runs the project: may do everything, on every account.
    pub const PROJECT_ADMIN: Self = Self(1);
    /// Works for a customer.
    pub const AGENT: Self = Self(16);
    /// Administers a customer's account.
    pub const ADMIN: Self = Self(32);
    /// Manages a customer's resources.
    pub const MANAGER: Self = Self(64);

    /// Whether this set has any bit of `required`, or is the project admin's.
    #[must_use]
    pub const fn allows(self, required: Self) -> bool {
        self.0 & (required.0 | Self::PROJECT_ADMIN.0) != 0
    }
}

impl BitOr for Permission {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_overlapping_bit_allows() {
        let either = Permission::ADMIN | Permission::MANAGER;
        assert!(Permission::MANAGER.allows(either));
        assert!(!Permission::AGENT.allows(either));
        assert!(Permission::PROJECT_ADMIN.allows(either));
        assert!(!Permission::ADMIN.allows(Permission::PROJECT_ADMIN));
    }
}

//! Permissions.

use std::ops::BitOr;

use serde::{Deserialize, Deserializer, Serialize};

use super::value::Integer;

/// A set of permission bits, with the numbers that they have in the original API (`VoIPbin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(u64);

impl Permission {
    /// Project admin: may do everything, on every account.
    pub const PROJECT_ADMIN: Self = Self(1);
    /// Agent of a customer.
    pub const AGENT: Self = Self(16);
    /// Customer admin: administers a customer's account.
    pub const ADMIN: Self = Self(32);
    /// Customer manager: manages a customer's resources.
    pub const MANAGER: Self = Self(64);
    /// No bits. Where this is required, every caller is allowed.
    pub const NONE: Self = Self(0);

    /// Names of the permissions.
    const NAMES: [(Self, &'static str); 4] = [
        (Self::PROJECT_ADMIN, "project admin"),
        (Self::AGENT, "agent"),
        (Self::ADMIN, "admin"),
        (Self::MANAGER, "manager"),
    ];

    /// Returns the bits that are set, each with its name.
    pub fn bits(self) -> impl Iterator<Item = (u64, &'static str)> {
        let named = move |(one, name): (Self, _)| (self.0 & one.0 != 0).then_some((one.0, name));
        Self::NAMES.into_iter().filter_map(named)
    }

    /// Whether this permission suffices for `required`: it has any bit of `required` or the project admin bit, or
    /// nothing is required.
    #[must_use]
    pub const fn allows(self, required: Self) -> bool {
        required.0 == 0 || self.0 & (required.0 | Self::PROJECT_ADMIN.0) != 0
    }

    /// Whether a caller with this permission may grant `other`, or change an agent or access key that has it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.within(self) == other
    }

    /// Returns the bits of this permission that `limit` includes or implies: what an access key with this
    /// permission may do if its agent has `limit`.
    #[must_use]
    pub fn within(self, limit: Self) -> Self {
        Self(self.0 & limit.extent().0)
    }

    /// Returns all bits that this permission implies: customer admin implies agent and manager, and project admin
    /// implies all.
    fn extent(self) -> Self {
        let of_customers = Self::AGENT | Self::ADMIN | Self::MANAGER;
        if self.0 & Self::PROJECT_ADMIN.0 != 0 {
            of_customers | Self::PROJECT_ADMIN
        } else if self.0 & Self::ADMIN.0 != 0 {
            of_customers
        } else {
            self
        }
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl BitOr for Permission {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A permission that a client wants to grant: known bits, at least one. [`give`](Self::give) checks whether the client
/// may grant it.
#[derive(Clone, Copy, Debug)]
pub struct Grant(Permission);

impl Grant {
    /// Returns the permission itself.
    #[must_use]
    pub const fn permission(self) -> Permission {
        self.0
    }

    /// Returns the permission if a caller with the permission `own` may grant it; `None` otherwise.
    #[must_use]
    pub fn give(self, own: Permission) -> Option<Permission> {
        own.covers(self.0).then_some(self.0)
    }
}

impl Default for Grant {
    fn default() -> Self {
        Self(Permission::AGENT)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let asked = Permission(Integer::deserialize(from)?.0);
        if asked.0 != 0 && Permission::PROJECT_ADMIN.covers(asked) {
            return Ok(Self(asked));
        }
        Err(serde::de::Error::custom("must be a sum of 16 (agent), 32 (admin) and 64 (manager)"))
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

    #[test]
    fn nobody_gives_more_than_they_have() {
        let grant = |bits: u64| serde_json::from_value::<Grant>(bits.into()).ok();
        for bits in [0, 2, 4, 8, 15, 128, 240, u64::MAX] {
            assert!(grant(bits).is_none(), "{bits}");
        }
        let every = Permission::PROJECT_ADMIN.extent().0;
        let of_customers = Permission::ADMIN.extent().0;
        for (own, all) in [
            (1, every),
            (33, every),
            (32, of_customers),
            (48, of_customers),
            (80, 80),
            (64, 64),
            (16, 16),
        ] {
            for bits in (1..=every).filter(|bits| bits & !every == 0) {
                let given = grant(bits).unwrap().give(Permission(own)).is_some();
                assert_eq!(given, bits & !all == 0, "{own} gives {bits}");
            }
        }
        assert_eq!((every, of_customers), (113, 112));
    }

    #[test]
    fn a_key_can_do_no_more_than_it_and_its_agent_may() {
        assert_eq!(Permission::ADMIN.within(Permission::ADMIN), Permission::ADMIN);
        assert_eq!(Permission::AGENT.within(Permission::ADMIN), Permission::AGENT);
        let nothing = Permission::ADMIN.within(Permission::AGENT | Permission::MANAGER);
        assert!(!nothing.allows(Permission::AGENT | Permission::ADMIN | Permission::MANAGER));
    }

    #[test]
    fn a_permission_is_a_sum_of_named_bits() {
        let both = Permission::ADMIN | Permission::AGENT;
        assert_eq!(both.to_string(), "48");
        assert_eq!(both.bits().collect::<Vec<_>>(), [(16, "agent"), (32, "admin")]);
        assert_eq!(Permission::ADMIN | Permission::ADMIN, Permission::ADMIN);
        assert!(Permission::NONE.allows(Permission::NONE));
        assert_eq!(Grant::default().permission(), Permission::AGENT);
    }
}

//! Numbers of owned items by kind, and their differences from a plan.

use std::collections::BTreeMap;

use super::owned::Kind;

/// Number of owned items, by kind.
pub type Counts = BTreeMap<Kind, u64>;

/// How an account differs from a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDifference {
    /// Whether the account itself has changed, whatever it owns.
    pub account_changed: bool,
    /// Planned and found numbers of items of a kind, where they differ.
    pub counts: BTreeMap<Kind, (u64, u64)>,
}

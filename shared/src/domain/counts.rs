//! Numbers of owned items by kind, and how they differ from a plan's.

use std::collections::BTreeMap;

use super::owned::Kind;

/// Number of owned items, by kind.
pub type Counts = BTreeMap<Kind, u64>;

/// How an account differs from a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDifference {
    /// Whether the account itself has changed, whatever it owns.
    pub account_changed: bool,
    /// How many there were when it was planned, and how many there are, where that differs.
    pub counts: BTreeMap<Kind, (u64, u64)>,
}

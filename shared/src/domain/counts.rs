//! Counts of an account's owned items by kind, and the differences between an erasure plan and the account.

use std::collections::BTreeMap;

use super::owned::Kind;

/// Number of owned items, by kind.
pub type Counts = BTreeMap<Kind, u64>;

/// The differences between an erasure [plan](super::erasure::Plan), which counts what a deletion would
/// remove, and the account as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanDifference {
    /// Whether the account itself has changed since the plan; its owned items are compared in `counts`.
    pub account_changed: bool,
    /// For each kind whose number of items differs: the number in the plan, and the number found now.
    pub counts: BTreeMap<Kind, (u64, u64)>,
}

//! Estimate of what an erasure costs in DynamoDB's capacity units.

use serde::Serialize;

use crate::domain::erasure::SLICE;

/// Estimated capacity units of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Write units.
    pub wcu: u64,
    /// Read units.
    pub rcu: u64,
}

impl Capacity {
    /// Returns the estimate for `items` items of `kilobytes` in total. Write units are needed for:
    ///
    /// - the deletions: one unit per kilobyte, at least one per item;
    /// - counting: per 500 items, one transaction that writes the counts to the ledger, and the items' ids to the
    ///   outbox and its index `history`;
    /// - the first and the last transaction of the purge, which claim and finish the account.
    #[must_use]
    pub const fn of_erasure(items: u64, kilobytes: u64) -> Self {
        const CLAIM_AND_FINISH: u64 = 24;
        let slices = items.div_ceil(SLICE as u64);
        let ids = (items * 16).div_ceil(1024) * 3;
        let deletions = if items > kilobytes { items } else { kilobytes };
        Self {
            wcu: deletions + ids + slices * 7 + CLAIM_AND_FINISH,
            rcu: kilobytes.div_ceil(4) + 6,
        }
    }
}

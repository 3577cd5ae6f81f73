//! What stops the purge, as operators see it: kill switch, breaker, and the brake on their own deletions.

use super::{Customer, Id, Timestamp};

/// What stops the purge, and the purges under way.
#[derive(Debug)]
pub struct PurgeState {
    /// Whether purging is switched on: the kill switch.
    pub enabled: bool,
    /// Purges that may begin within an hour.
    pub breaker: HourlyLimit,
    /// Deletions by operators within an hour.
    pub brake: HourlyLimit,
    /// Purges that have begun and have not finished, those due longest first.
    pub running: Vec<RunningPurge>,
}

/// A limit within an hour by the clock, and what was counted in the current one.
#[derive(Clone, Copy, Debug)]
pub struct HourlyLimit {
    /// `None` if there is no limit.
    pub limit: Option<u64>,
    /// What was counted.
    pub used: u64,
}

impl HourlyLimit {
    /// Whether no more is admitted within this hour.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }
}

/// A purge that has begun and has not finished.
#[derive(Clone, Copy, Debug)]
pub struct RunningPurge {
    /// The account.
    pub customer: Id<Customer>,
    /// When the account fell due.
    pub tm_due: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_open_once_all_of_it_is_used() {
        for (limit, used, is_open) in
            [(None, 1_000, false), (Some(2), 1, false), (Some(2), 2, true), (Some(0), 0, true)]
        {
            assert_eq!(HourlyLimit { limit, used }.is_open(), is_open, "{limit:?} {used}");
        }
    }
}

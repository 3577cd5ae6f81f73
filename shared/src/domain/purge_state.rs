//! The state of the purge as operators see it: the kill switch and the breaker, which stop it, and the brake, which
//! limits operators' own deletions.

use super::{Customer, Id, Timestamp};

/// The switch and the limits that stop the purge and operators' deletions, and the purges under way.
#[derive(Debug)]
pub struct PurgeState {
    /// Whether purging is switched on: the kill switch.
    pub enabled: bool,
    /// Limit and count of purges that begin within an hour: the circuit breaker.
    pub breaker: HourlyLimit,
    /// Limit and count of deletions by operators within an hour: the brake.
    pub brake: HourlyLimit,
    /// Purges that have begun and have not finished, those due longest first.
    pub running: Vec<RunningPurge>,
}

/// A limit per clock hour, and the count of the current hour.
#[derive(Clone, Copy, Debug)]
pub struct HourlyLimit {
    /// Maximum within an hour; `None` if there is no limit.
    pub limit: Option<u64>,
    /// Count of the current hour.
    pub used: u64,
}

impl HourlyLimit {
    /// Whether the limit is reached, so that nothing more is admitted within this hour (an open circuit breaker).
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

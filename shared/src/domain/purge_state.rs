//! The state of the purge, the background work that deletes accounts and what they own, as operators see it:
//! the kill switch that stops it, and hourly limits on purges (circuit breaker) and on operators' deletions
//! (brake).

use super::{Customer, Id, Timestamp};

/// State of the purge: the kill switch, the hourly limits, and the purges in progress.
#[derive(Debug)]
pub struct PurgeState {
    /// Whether purging is switched on: the kill switch.
    pub enabled: bool,
    /// Circuit breaker: the limit of purges that begin within an hour, and how many began in the current
    /// hour.
    pub breaker: HourlyLimit,
    /// Brake: the limit of deletions by operators within an hour, and how many there were in the current
    /// hour.
    pub brake: HourlyLimit,
    /// Purges that have begun and have not finished, the longest overdue first.
    pub running: Vec<RunningPurge>,
}

/// A limit per clock hour, and how much of it is used in the current hour.
#[derive(Clone, Copy, Debug)]
pub struct HourlyLimit {
    /// Maximum within an hour; `None` if there is no limit.
    pub limit: Option<u64>,
    /// Number counted in the current hour.
    pub used: u64,
}

impl HourlyLimit {
    /// Whether the limit is reached, so that nothing more is admitted in the current hour. The name is that
    /// of a circuit breaker's state.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }
}

/// A purge that has begun and has not finished.
#[derive(Clone, Copy, Debug)]
pub struct RunningPurge {
    /// The account that is purged.
    pub customer: Id<Customer>,
    /// When the account's deletion fell due.
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

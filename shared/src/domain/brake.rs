//! The brake: a limit on the number of accounts that operators can delete within an hour, in case an
//! operator's credentials are stolen.

use std::time::Duration;

use super::Timestamp;

/// The limit on deletions of accounts by operators within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    /// Maximum number of deletions within one clock [`Hour`], by all operators together.
    pub per_hour: u64,
}

/// A clock hour, as the number of hours since 1970. Hourly limits (deletions by operators, started purges,
/// sent mail) are counted per clock hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour(pub i64);

impl Hour {
    const SECONDS: i64 = 3600;

    /// Returns the clock hour that contains `now`.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        Self(now.seconds().div_euclid(Self::SECONDS))
    }

    /// Returns the time until the hour ends; at least one second.
    #[must_use]
    pub fn left(self, now: Timestamp) -> Duration {
        let end = (self.0 + 1) * Self::SECONDS;
        Duration::from_secs(u64::try_from(end - now.seconds()).unwrap_or_default().max(1))
    }

    /// Returns when the item that holds the hour's count expires, in seconds since 1970: a day after the hour
    /// began, so that the count can be looked up until then.
    #[must_use]
    pub const fn expires_at(self) -> i64 {
        (self.0 + 24) * Self::SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_ends_by_the_clock() {
        for (time, hour, left) in [
            ("1970-01-01T00:00:00Z", 0, 3600),
            ("1970-01-01T00:59:59.9Z", 0, 1),
            ("1970-01-01T01:00:00Z", 1, 3600),
            ("1970-01-02T00:30:00Z", 24, 1800),
        ] {
            let now = Timestamp::parse(time).unwrap();
            assert_eq!(Hour::of(now), Hour(hour), "{time}");
            assert_eq!(Hour::of(now).left(now), Duration::from_secs(left), "{time}");
        }
    }

    #[test]
    fn a_count_is_kept_for_a_day_after_its_hour_began() {
        assert_eq!(Hour(0).expires_at(), 86_400);
        assert_eq!(Hour(2).expires_at(), 86_400 + 7_200);
    }
}

//! The throttle: how fast passwords can be tried.
//!
//! The first attempts are free: five, or 20 from a network that the user name has recently logged in from (a
//! known network). After the last free one the delay is 30 s, and doubles with each further attempt, up to
//! one hour. After 100 attempts, none is possible until a day after the last one. A correct password resets
//! the count. The store updates the count atomically.

use std::time::Duration;

/// Subject for which password attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// The user name, for attempts from networks that it has not recently logged in from.
    Username,
    /// The user name and the network, for attempts from a network that the user name has recently logged in
    /// from.
    KnownNetwork,
    /// The session, for attempts at the agent's current password within it.
    Session,
}

impl Throttle {
    /// Returns the number of attempts without delay. It is greater for a known network, where several devices
    /// of an agent may log in at the same time.
    #[must_use]
    pub const fn free_attempts(self) -> u32 {
        match self {
            Self::Username | Self::Session => 5,
            Self::KnownNetwork => 20,
        }
    }

    /// Returns the delay after the first attempt, in milliseconds. It doubles with each attempt, so that it
    /// is 30 s after the last free one; until then it is not enforced.
    #[must_use]
    pub fn base_delay(self) -> f64 {
        const FIRST_DELAY: f64 = 30_000.0;
        FIRST_DELAY / f64::from(1_u32 << (self.free_attempts() - 1))
    }
}

/// Maximum number of attempts until the count is reset.
pub const MAX_ATTEMPTS: u64 = 100;

/// Maximum delay between attempts: one hour.
pub const MAX_DELAY: Duration = Duration::from_hours(1);

/// Time without an attempt after which the count is reset: a day.
pub const RESET_AFTER: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_delay_is_thirty_seconds_however_many_attempts_are_free() {
        for throttle in [Throttle::Username, Throttle::KnownNetwork, Throttle::Session] {
            let delay =
                (1..throttle.free_attempts()).fold(throttle.base_delay(), |one, _| one + one);
            assert!((delay - 30_000.0).abs() < f64::EPSILON, "{throttle:?}: {delay}");
        }
    }

    #[test]
    fn a_known_network_has_more_free_attempts() {
        let free = [Throttle::Username, Throttle::Session, Throttle::KnownNetwork];
        assert_eq!(free.map(Throttle::free_attempts), [5, 5, 20]);
    }
}

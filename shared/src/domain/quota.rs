//! How many requests are answered within a window of time.
//!
//! Who is known is counted as an account, whatever the network; who is not, as a network, whatever account
//! is named. Windows begin at the same moments for all.

use std::time::Duration;

use super::Timestamp;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// An account's requests, by all of its sessions and keys.
    Requests,
    /// Requests from a network whose token is well formed and not valid.
    InvalidTokens,
    /// Attempts at passwords from a network, whatever user is named.
    PasswordAttempts,
}

impl QuotaKind {
    /// Its name in the `RateLimit` fields.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InvalidTokens => "invalid-tokens",
            Self::PasswordAttempts => "password-attempts",
        }
    }

    /// The time over which it is counted.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Requests | Self::InvalidTokens => Duration::from_mins(1),
            Self::PasswordAttempts => Duration::from_mins(10),
        }
    }
}

/// So many within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Of what.
    pub kind: QuotaKind,
    /// How many at most.
    pub limit: u64,
}

impl Quota {
    /// Attempts at passwords that one network may make.
    pub const PASSWORD_ATTEMPTS: Self = Self { kind: QuotaKind::PasswordAttempts, limit: 1000 };

    /// The window that `now` is in.
    #[must_use]
    pub fn window(self, now: Timestamp) -> Window {
        let length = i64::try_from(self.kind.window().as_secs()).unwrap_or(i64::MAX);
        let start = now.seconds() - now.seconds().rem_euclid(length);
        Window { start, end: start.saturating_add(length) }
    }
}

/// Rate limits of a deployment. `None`: requests of that kind are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Requests per account.
    pub requests: Option<Quota>,
    /// Requests with an invalid token, per network.
    pub invalid_tokens: Option<Quota>,
}

/// A window of time, in seconds since 1970. The end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first second.
    pub start: i64,
    /// The first second after it.
    pub end: i64,
}

impl Window {
    /// How long it goes on after `now`: at least a second, as that is what clients count in.
    #[must_use]
    pub fn remaining(self, now: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.end - now.seconds()).unwrap_or_default().max(1))
    }
}

/// How much is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaStatus {
    /// Of which.
    pub quota: Quota,
    /// How many more may come before the window ends.
    pub remaining: u64,
    /// When the window ends, from now.
    pub resets_in: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_where_the_last_one_ended() {
        let quota = Quota { kind: QuotaKind::Requests, limit: 1 };
        let at = |text| quota.window(Timestamp::parse(text).unwrap());
        let first = at("2026-01-01T00:00:00Z");
        assert_eq!(first, at("2026-01-01T00:00:59.999Z"));
        assert_eq!(at("2026-01-01T00:01:00Z").start, first.end);
        assert_eq!(first.end - first.start, 60);
        let left = |text| first.remaining(Timestamp::parse(text).unwrap()).as_secs();
        assert_eq!(left("2026-01-01T00:00:00Z"), 60);
        assert_eq!(left("2026-01-01T00:00:59.999Z"), 1);
        assert_eq!(left("2026-01-01T00:02:00Z"), 1);
    }
}

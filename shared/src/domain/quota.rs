//! Rate limits: how many requests are answered within a window of time.
//!
//! Authenticated requests count against the account, from any network; others against the network, whatever account
//! they name. Windows begin at the same time for all.

use std::time::Duration;

use super::Timestamp;

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Requests of an account, by all of its sessions and access keys.
    Requests,
    /// Requests from a network with a well-formed but invalid token.
    InvalidTokens,
    /// Password attempts from a network, with any user name.
    PasswordAttempts,
}

impl QuotaKind {
    /// Returns its name in the `RateLimit` headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InvalidTokens => "invalid-tokens",
            Self::PasswordAttempts => "password-attempts",
        }
    }

    /// Returns the length of its window.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Requests | Self::InvalidTokens => Duration::from_mins(1),
            Self::PasswordAttempts => Duration::from_mins(10),
        }
    }
}

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub kind: QuotaKind,
    /// Maximum number within a window.
    pub limit: u64,
}

impl Quota {
    /// Password attempts from one network.
    pub const PASSWORD_ATTEMPTS: Self = Self { kind: QuotaKind::PasswordAttempts, limit: 1000 };

    /// Returns the window that `now` is in.
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

/// A window of time, in seconds since 1970; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first second.
    pub start: i64,
    /// The first second after it.
    pub end: i64,
}

impl Window {
    /// Returns the time from `now` until the window ends, at least one second.
    #[must_use]
    pub fn remaining(self, now: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.end - now.seconds()).unwrap_or_default().max(1))
    }
}

/// What remains of a rate limit in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaStatus {
    /// The rate limit.
    pub quota: Quota,
    /// Number of requests that remain until the window ends.
    pub remaining: u64,
    /// Time until the window ends.
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

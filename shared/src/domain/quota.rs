//! Rate limits: how many requests are answered within a window of time.
//!
//! An authenticated request counts against its account, whatever network it comes from. Any other request
//! counts against the network it comes from, whatever account it names. Windows are aligned to the clock, so
//! they begin at the same time for all.

use std::time::Duration;

use super::Timestamp;

/// Kind of a rate limit: the requests that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Requests of an account, made with any of its sessions and access keys.
    Requests,
    /// Requests with a well-formed but invalid token, per network.
    InvalidTokens,
    /// Password attempts for any user name, per network.
    PasswordAttempts,
    /// Requests for something that is sent by mail, such as another link, per network.
    MailRequests,
    /// Requests for mail of one purpose, per address or user name that the mail is for.
    MailsPerAddress,
    /// Attempts to create an agent with a user name that is taken, per account. Attempts by operators do not
    /// count.
    TakenUsernames,
    /// Changes of an account's e-mail address by its owner, per account.
    AddressChanges,
    /// Requests with a [ticket](super::Ticket), which lets its owner follow an erasure, per network.
    Tickets,
}

impl QuotaKind {
    /// Returns the name of the limit in the `RateLimit` headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InvalidTokens => "invalid-tokens",
            Self::PasswordAttempts => "password-attempts",
            Self::MailRequests => "mail-requests",
            Self::MailsPerAddress => "mails-per-address",
            Self::TakenUsernames => "taken-usernames",
            Self::AddressChanges => "address-changes",
            Self::Tickets => "tickets",
        }
    }

    /// Whether the limit is strict: a request waits until it is counted, and is refused if counting fails
    /// (fail closed). Limits are strict if they protect from attacks; the others only give each caller a fair
    /// share.
    #[must_use]
    pub const fn is_strict(self) -> bool {
        match self {
            Self::PasswordAttempts
            | Self::MailRequests
            | Self::MailsPerAddress
            | Self::TakenUsernames
            | Self::AddressChanges
            | Self::Tickets => true,
            Self::Requests | Self::InvalidTokens => false,
        }
    }

    /// Returns the length of the limit's window.
    #[must_use]
    pub const fn window(self) -> Duration {
        match self {
            Self::Requests | Self::InvalidTokens | Self::Tickets => Duration::from_mins(1),
            Self::PasswordAttempts => Duration::from_mins(10),
            Self::MailRequests
            | Self::MailsPerAddress
            | Self::TakenUsernames
            | Self::AddressChanges => Duration::from_hours(1),
        }
    }
}

/// A rate limit: the kind of request that it counts, the maximum within a window, and whether requests are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Kind of request that is limited.
    pub kind: QuotaKind,
    /// Maximum number within a window.
    pub limit: u64,
    /// Number of requests that one count stands for: 1, or more if the requests are sampled.
    weight: u64,
}

/// Sampling interval: if requests are sampled, one in this many is counted.
const SAMPLE: u64 = 8;

/// Lowest limit for which requests may be sampled. Below it, the estimate would be too inaccurate.
const SAMPLED_FROM: u64 = 600;

impl Quota {
    /// Password attempts from one network: 1,000 in 10 minutes.
    pub const PASSWORD_ATTEMPTS: Self = Self::exact(QuotaKind::PasswordAttempts, 1000);

    /// Attempts to create an agent with a user name that is taken, per account: 10 an hour, since each
    /// reveals that somebody has the name.
    pub const TAKEN_USERNAMES: Self = Self::exact(QuotaKind::TakenUsernames, 10);

    /// Changes of an account's e-mail address by its owner: 10 an hour, since each mails a link to the new
    /// address.
    pub const ADDRESS_CHANGES: Self = Self::exact(QuotaKind::AddressChanges, 10);

    /// Requests with a [ticket](super::Ticket) from one network: 600 a minute, since each costs a write and
    /// two reads. The limit need not prevent guessing: a ticket has 128 random bits.
    pub const TICKETS: Self = Self::exact(QuotaKind::Tickets, 600);

    /// Returns a rate limit that counts every request.
    #[must_use]
    pub const fn exact(kind: QuotaKind, limit: u64) -> Self {
        Self { kind, limit, weight: 1 }
    }

    /// Returns a rate limit that counts a random one in eight requests, each as eight. If `limit` is below
    /// 600, it counts every request instead.
    #[must_use]
    pub const fn sampled(kind: QuotaKind, limit: u64) -> Self {
        Self { kind, limit, weight: if limit < SAMPLED_FROM { 1 } else { SAMPLE } }
    }

    /// Returns the number of requests that one count stands for.
    #[must_use]
    pub const fn weight(self) -> u64 {
        self.weight
    }

    /// Whether requests are sampled, so that the number of remaining requests is an estimate.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.weight > 1
    }

    /// Whether a request is counted. `random` is a random byte that was drawn for this request.
    #[must_use]
    pub fn counts(self, random: u8) -> bool {
        u64::from(random) % self.weight == 0
    }

    /// Returns what is left of the rate limit at `now`, after `count` requests in the current window.
    #[must_use]
    pub fn status(self, count: u64, now: Timestamp) -> QuotaStatus {
        QuotaStatus {
            quota: self,
            remaining: self.limit.saturating_sub(count),
            resets_in: self.window(now).remaining(now),
        }
    }

    /// Returns the window that `now` is in.
    #[must_use]
    pub fn window(self, now: Timestamp) -> Window {
        let length = i64::try_from(self.kind.window().as_secs()).unwrap_or(i64::MAX);
        let start = now.seconds() - now.seconds().rem_euclid(length);
        Window { start, end: start.saturating_add(length) }
    }
}

/// Rate limits of a deployment, each `None` if requests of that kind are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Requests per account.
    pub requests: Option<Quota>,
    /// Requests with an invalid token, per network.
    pub invalid_tokens: Option<Quota>,
    /// Requests that ask for mail, per network.
    pub mail_requests: Option<Quota>,
    /// Mail of one purpose, per address or user name.
    pub mails_per_address: Option<Quota>,
}

/// A window of time, in seconds since 1970; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First second of the window.
    pub start: i64,
    /// First second after the window.
    pub end: i64,
}

impl Window {
    /// Returns the time from `now` until the window ends, at least one second.
    #[must_use]
    pub fn remaining(self, now: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.end - now.seconds()).unwrap_or_default().max(1))
    }
}

/// Status of a rate limit: what remains of it in the current window.
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
        let quota = Quota::exact(QuotaKind::Requests, 1);
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
    #[test]
    fn one_request_in_eight_is_counted_from_a_limit_of_600_on() {
        let counted = |quota: Quota| (0..=255).filter(|random| quota.counts(*random)).count();
        for (quota, weight) in [
            (Quota::sampled(QuotaKind::Requests, 600), 8),
            (Quota::sampled(QuotaKind::Requests, 6_000), 8),
            (Quota::sampled(QuotaKind::Requests, 599), 1),
            (Quota::exact(QuotaKind::Requests, 6_000), 1),
            (Quota::PASSWORD_ATTEMPTS, 1),
        ] {
            assert_eq!(quota.weight(), weight, "{quota:?}");
            assert_eq!(counted(quota) as u64 * weight, 256, "{quota:?}: the estimate is unbiased");
            assert_eq!(quota.is_sampled(), weight > 1);
        }
    }

    #[test]
    fn nothing_is_left_of_a_quota_that_was_exceeded() {
        let now = Timestamp::parse("2026-01-01T00:00:50Z").unwrap();
        let quota = Quota::sampled(QuotaKind::Requests, 600);
        let left = |count| quota.status(count, now).remaining;
        assert_eq!([0, 8, 600, 607].map(left), [600, 592, 0, 0]);
        assert_eq!(quota.status(0, now).resets_in, Duration::from_secs(10));
    }

    #[test]
    fn each_kind_has_a_name_a_window_and_fails_open_only_if_it_is_about_a_fair_share() {
        for (kind, name, minutes, is_strict) in [
            (QuotaKind::Requests, "requests", 1, false),
            (QuotaKind::InvalidTokens, "invalid-tokens", 1, false),
            (QuotaKind::Tickets, "tickets", 1, true),
            (QuotaKind::PasswordAttempts, "password-attempts", 10, true),
            (QuotaKind::MailRequests, "mail-requests", 60, true),
            (QuotaKind::MailsPerAddress, "mails-per-address", 60, true),
            (QuotaKind::TakenUsernames, "taken-usernames", 60, true),
            (QuotaKind::AddressChanges, "address-changes", 60, true),
        ] {
            assert_eq!((kind.name(), kind.is_strict()), (name, is_strict));
            assert_eq!(kind.window(), Duration::from_mins(minutes), "{name}");
        }
    }
}

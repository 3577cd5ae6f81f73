//! How many requests are answered within a window of time.
//!
//! Who is known is counted as an account, whatever the network; who is not, as a network, whatever account
//! is named. Windows begin at the same moments for all.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::{Customer, Error, Id, Timestamp};

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

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An account.
    Customer(Id<Customer>),
    /// A network.
    Network(Network),
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

/// Where requests come from: an IPv4 address, or the 2^64 IPv6 addresses that one subscriber has.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Network(String);

impl Network {
    /// The network of an address. What is no address is all in one network.
    #[must_use]
    pub fn of(address: &str) -> Self {
        const PREFIX: u128 = u128::MAX << 64;
        Self(match address.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => address.to_string(),
            Ok(IpAddr::V6(address)) => {
                format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & PREFIX))
            }
            Err(_) => String::new(),
        })
    }

    /// The network's name.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network(…)")
    }
}

/// Networks that have used up a quota, each until its window ends: nothing can change that, so it need
/// not be asked again, and what such a network sends counts against nobody else.
#[derive(Debug, Default)]
pub struct ExhaustedNetworks(HashMap<(QuotaKind, Network), Timestamp>);

impl ExhaustedNetworks {
    /// Refuses a network that is known to have nothing left of `quota`.
    pub fn check(&self, quota: Quota, network: &Network, now: Timestamp) -> Result<(), Error> {
        let until = self.0.get(&(quota.kind, network.clone()));
        match until.map(|until| now.until(*until)).filter(|wait| !wait.is_zero()) {
            Some(resets_in) => {
                Err(Error::TooManyRequests(QuotaStatus { quota, remaining: 0, resets_in }))
            }
            None => Ok(()),
        }
    }

    /// Takes note of one more.
    pub fn insert(&mut self, network: Network, standing: QuotaStatus, now: Timestamp) {
        self.0.retain(|_, until| now < *until);
        self.0.insert((standing.quota.kind, network), now.plus(standing.resets_in));
    }
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

    #[test]
    fn a_subscriber_is_one_network() {
        let of = |address| Network::of(address).0;
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:DB8:1:2::ffff"), of("2001:db8:1:2:3:4:5:6"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1, 192.0.2.2"), of(""));
    }

    #[test]
    fn an_exhausted_network_waits_until_its_window_ends() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (one, other) = (Network::of("192.0.2.1"), Network::of("192.0.2.2"));
        let quota = Quota::PASSWORD_ATTEMPTS;
        let standing = QuotaStatus { quota, remaining: 0, resets_in: Duration::from_secs(10) };
        let mut exhausted = ExhaustedNetworks::default();
        exhausted.insert(one.clone(), standing, now);
        let refused = exhausted.check(quota, &one, now.plus(Duration::from_secs(4)));
        assert!(
            matches!(refused, Err(Error::TooManyRequests(left)) if left.resets_in.as_secs() == 6)
        );
        assert!(exhausted.check(quota, &other, now).is_ok());
        let others = Quota { kind: QuotaKind::InvalidTokens, ..quota };
        assert!(exhausted.check(others, &one, now).is_ok());
        let later = now.plus(Duration::from_secs(10));
        assert!(exhausted.check(quota, &one, later).is_ok());
        exhausted.insert(other, standing, later);
        assert_eq!(exhausted.0.len(), 1);
    }
}

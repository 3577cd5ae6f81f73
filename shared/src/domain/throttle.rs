//! How fast passwords may be tried.
//!
//! Five attempts are free. From then on each must wait twice as long as the one before, from 30 s up
//! to one hour, and after a hundred there is no other until a day has passed without any, or a
//! success. The numbers are here; the one atomic update that counts is the store's.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::Timestamp;

/// Attempts that need not wait.
pub const FREE_ATTEMPTS: u64 = 5;

/// Attempts after which no other is made until the count is forgotten.
pub const MAX_ATTEMPTS: u64 = 100;

/// What the wait doubles from at each attempt, so that it is 30 s after the fifth.
pub const FIRST_WAIT: Duration = Duration::from_millis(1875);

/// No wait is longer.
pub const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Attempts are forgotten this long after the last one.
pub const MEMORY: Duration = Duration::from_hours(24);

/// Attempts that one network may make within [`NETWORK_WINDOW`], whatever the user names.
pub const NETWORK_ATTEMPTS: u64 = 1000;

/// The time over which a network's attempts are counted.
pub const NETWORK_WINDOW: Duration = Duration::from_mins(10);

/// Where attempts come from: an IPv4 address, or the 2^64 IPv6 addresses that one subscriber has.
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

/// Networks that have used up their attempts, each until its window ends: nothing can change that, so
/// it need not be asked again, and what such a network sends counts against no user name.
#[derive(Debug, Default)]
pub struct Exhausted(HashMap<Network, Timestamp>);

impl Exhausted {
    /// How long `network` still has to wait, if it does.
    #[must_use]
    pub fn wait(&self, network: &Network, now: Timestamp) -> Option<Duration> {
        self.0.get(network).map(|until| now.until(*until)).filter(|wait| !wait.is_zero())
    }

    /// Takes note of one more.
    pub fn insert(&mut self, network: Network, wait: Duration, now: Timestamp) {
        self.0.retain(|_, until| now < *until);
        self.0.insert(network, now.plus(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut exhausted = Exhausted::default();
        exhausted.insert(one.clone(), Duration::from_secs(10), now);
        assert_eq!(exhausted.wait(&one, now), Some(Duration::from_secs(10)));
        assert_eq!(exhausted.wait(&other, now), None);
        let later = now.plus(Duration::from_secs(10));
        assert_eq!(exhausted.wait(&one, later), None);
        exhausted.insert(other, Duration::from_secs(10), later);
        assert_eq!(exhausted.0.len(), 1);
    }
}

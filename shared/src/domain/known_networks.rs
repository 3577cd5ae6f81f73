//! Networks that a user name is known to log in from. Login attempts from each of them are counted separately, so that
//! a stranger who sends wrong passwords from elsewhere cannot lock out an agent who logs in from a known network.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Timestamp;
use super::digest::sha256;
use super::network::Network;
use super::username::LoginKey;

/// How long a network is known after a login: 30 days.
const KNOWN_FOR: Duration = Duration::from_hours(30 * 24);

/// Maximum number of networks that a user name is known to log in from.
const MOST: usize = 8;

/// Number of hexadecimal digits of a network's hash.
const DIGITS: usize = 32;

/// Hash of a network together with the user name that logs in from it. The hash of one network differs for each user
/// name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkHash(String);

impl NetworkHash {
    /// Returns the hash of a network from which the user name with this key logs in.
    #[must_use]
    pub fn new(network: &Network, login: LoginKey) -> Self {
        let hash = sha256(&format!("{login}#{}", network.expose()));
        Self(hash.chars().take(DIGITS).collect())
    }

    /// Wraps a hash that was stored.
    pub(crate) const fn stored(hash: String) -> Self {
        Self(hash)
    }

    /// Returns the hash as text: 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NetworkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkHash(…)")
    }
}

/// Networks that a user name has logged in from, each with the second since 1970 at which it is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNetworks(BTreeMap<NetworkHash, i64>);

impl FromIterator<(NetworkHash, i64)> for KnownNetworks {
    fn from_iter<T: IntoIterator<Item = (NetworkHash, i64)>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl KnownNetworks {
    /// Returns until when a network is known after a login at `now`, in seconds since 1970.
    #[must_use]
    pub fn until(now: Timestamp) -> i64 {
        now.plus(KNOWN_FOR).seconds()
    }

    /// Whether no networks are stored, not even outdated ones.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the user name has logged in from `network` within 30 days.
    #[must_use]
    pub fn has(&self, network: &NetworkHash, now: Timestamp) -> bool {
        self.0.get(network).is_some_and(|until| *until > now.seconds())
    }

    /// Returns the networks to forget at a login from `network`: those whose time is over, and those used
    /// longest ago, so that at most 8 remain with `network`.
    #[must_use]
    pub fn forgotten_by(&self, network: &NetworkHash, now: Timestamp) -> Vec<&NetworkHash> {
        let mut others: Vec<_> = self.0.iter().filter(|(other, _)| *other != network).collect();
        others.sort_unstable_by_key(|(_, until)| std::cmp::Reverse(**until));
        let stays = |number: usize, until: i64| number < MOST - 1 && until > now.seconds();
        let forgotten = others.into_iter().enumerate();
        forgotten
            .filter(|(number, (_, until))| !stays(*number, **until))
            .map(|(_, (network, _))| network)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }

    fn network(number: u8) -> NetworkHash {
        NetworkHash::new(&Network::of(&format!("192.0.2.{number}")), LoginKey(7))
    }

    #[test]
    fn a_network_is_known_for_thirty_days_and_to_one_user_name() {
        let known: KnownNetworks =
            [(network(1), KnownNetworks::until(now()))].into_iter().collect();
        let after = |days: u64| now().plus(Duration::from_hours(days * 24));
        assert!(KnownNetworks::default().is_empty() && !known.is_empty());
        assert!(known.has(&network(1), now()) && known.has(&network(1), after(29)));
        assert!(!known.has(&network(1), after(30)) && !known.has(&network(2), now()));
        let of_another = NetworkHash::new(&Network::of("192.0.2.1"), LoginKey(8));
        assert!(!known.has(&of_another, now()));
        assert_eq!(network(1).as_str().len(), DIGITS);
    }

    #[test]
    fn a_log_in_leaves_eight_networks_and_none_that_is_outdated() {
        let at = |number: u8| KnownNetworks::until(now()) + i64::from(number);
        let known = |numbers: std::ops::Range<u8>| -> KnownNetworks {
            numbers.map(|number| (network(number), at(number))).collect()
        };
        assert!(known(0..7).forgotten_by(&network(9), now()).is_empty());
        assert_eq!(known(0..8).forgotten_by(&network(9), now()), [&network(0)]);
        assert!(known(0..8).forgotten_by(&network(3), now()).is_empty());
        assert_eq!(known(0..9).forgotten_by(&network(9), now()), [&network(1), &network(0)]);
        let later = now().plus(KNOWN_FOR + Duration::from_secs(1));
        assert_eq!(known(0..3).forgotten_by(&network(9), later), [&network(1), &network(0)]);
        assert!(known(0..2).forgotten_by(&network(0), later) == [&network(1)]);
    }
}

//! The sources by which rate limits count (accounts, networks and recipients of mail), and the networks that
//! have exhausted a rate limit.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::digest::sha256;
use super::quota::{Quota, QuotaKind, QuotaStatus};
use super::{Customer, Error, Id, Purpose, Timestamp};

/// A source by which a rate limit counts: each account, network or recipient has a count of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An account.
    Customer(Id<Customer>),
    /// A network that requests come from.
    Network(Network),
    /// The recipient of mail that somebody has requested.
    Recipient(Recipient),
}

/// Recipient of mail for one purpose, as rate limits count it: a hash of the purpose and of the mail's
/// address or user name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipient(String);

impl Recipient {
    /// Returns the recipient of mail for `purpose` with this hash of an address or a user name.
    #[must_use]
    pub fn new(purpose: Purpose, hash: &str) -> Self {
        Self(sha256(&format!("{}#{hash}", purpose.name())))
    }

    /// Returns the hash under which the recipient's mail is counted.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.0
    }
}

/// A network that requests come from: an IPv4 address, or a /64 of IPv6 addresses, since one subscriber has all of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Network(String);

impl Network {
    /// Returns the network of an address. All texts that are not addresses count as one network.
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

    /// Returns the network as text: an address, or an IPv6 prefix with its length.
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

/// Networks that have exhausted a rate limit, each until that limit resets. Their requests are refused
/// without a call to the store, and so are counted for no other [`Source`].
#[derive(Debug, Default)]
pub struct ExhaustedNetworks(HashMap<(QuotaKind, Network), Timestamp>);

impl ExhaustedNetworks {
    /// Fails with [`Error::TooManyRequests`] if the network has exhausted `quota`.
    pub fn check(&self, quota: Quota, network: &Network, now: Timestamp) -> Result<(), Error> {
        let until = self.0.get(&(quota.kind, network.clone()));
        match until.map(|until| now.until(*until)).filter(|wait| !wait.is_zero()) {
            Some(resets_in) => {
                Err(Error::TooManyRequests(QuotaStatus { quota, remaining: 0, resets_in }))
            }
            None => Ok(()),
        }
    }

    /// Adds a network that has exhausted a rate limit.
    pub fn insert(&mut self, network: Network, standing: QuotaStatus, now: Timestamp) {
        self.0.retain(|_, until| now < *until);
        self.0.insert((standing.quota.kind, network), now.plus(standing.resets_in));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let quota = Quota::PASSWORD_ATTEMPTS;
        let standing = QuotaStatus { quota, remaining: 0, resets_in: Duration::from_secs(10) };
        let mut exhausted = ExhaustedNetworks::default();
        exhausted.insert(one.clone(), standing, now);
        let refused = exhausted.check(quota, &one, now.plus(Duration::from_secs(4)));
        assert!(
            matches!(refused, Err(Error::TooManyRequests(left)) if left.resets_in.as_secs() == 6)
        );
        assert!(exhausted.check(quota, &other, now).is_ok());
        let others = Quota::exact(QuotaKind::InvalidTokens, quota.limit);
        assert!(exhausted.check(others, &one, now).is_ok());
        let later = now.plus(Duration::from_secs(10));
        assert!(exhausted.check(quota, &one, later).is_ok());
        exhausted.insert(other.clone(), standing, later);
        assert_eq!(exhausted.0.len(), 1);
        exhausted.insert(one, standing, later.plus(Duration::from_secs(9)));
        assert!(exhausted.check(quota, &other, later).is_err(), "its window has not ended");
    }

    #[test]
    fn recipients_are_counted_by_purpose_and_address() {
        let of = |purpose, hash| Recipient::new(purpose, hash).hash().to_owned();
        let one = of(Purpose::PasswordReset, "a");
        assert_eq!(one, of(Purpose::PasswordReset, "a"));
        assert_ne!(one, of(Purpose::PasswordReset, "b"));
        assert_ne!(one, of(Purpose::Invitation, "a"));
        assert_eq!(Network::of("192.0.2.1").expose(), "192.0.2.1");
    }
}

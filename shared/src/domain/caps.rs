//! Caps: how many agents and access keys one account may own.

use super::owned::Kind;
use super::{Customer, Error};

/// Limits of an installation on what each account may own; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Maximum number of agents.
    pub agents: Option<u64>,
    /// Maximum number of access keys.
    pub access_keys: Option<u64>,
}

impl Caps {
    /// Fails with [`Error::CapReached`] if the account already owns as many items of `kind` as the cap
    /// allows.
    pub fn require_room(self, kind: Kind, account: &Customer) -> Result<(), Error> {
        let cap = match kind {
            Kind::Agent => self.agents,
            Kind::AccessKey => self.access_keys,
            _ => None,
        };
        let has = account.internals.owned.get(&kind).copied().unwrap_or_default();
        match cap {
            Some(cap) if has >= cap => Err(Error::CapReached(kind, cap)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counts::Counts;
    use crate::domain::{Id, Timestamp};

    #[test]
    fn the_last_item_below_the_cap_is_admitted_and_none_beyond_it() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let mut account = Customer::blank(Id::new(now, [1; 10]), now);
        let caps = Caps { agents: Some(2), access_keys: None };
        for (agents, is_admitted) in [(0, true), (1, true), (2, false), (3, false)] {
            account.internals.owned =
                Counts::from([(Kind::Agent, agents), (Kind::AccessKey, 9), (Kind::Number, 9)]);
            let admitted = caps.require_room(Kind::Agent, &account);
            assert_eq!(admitted.is_ok(), is_admitted, "{agents}");
            for kind in [Kind::AccessKey, Kind::Number] {
                assert!(caps.require_room(kind, &account).is_ok(), "{kind:?}");
            }
        }
    }

    #[test]
    fn each_kind_has_a_cap_of_its_own() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let mut account = Customer::blank(Id::new(now, [1; 10]), now);
        account.internals.owned = Counts::from([(Kind::Agent, 5), (Kind::AccessKey, 2)]);
        let caps = Caps { agents: Some(6), access_keys: Some(2) };
        assert!(caps.require_room(Kind::Agent, &account).is_ok());
        let refused = caps.require_room(Kind::AccessKey, &account);
        assert!(matches!(refused, Err(Error::CapReached(Kind::AccessKey, 2))));
    }
}

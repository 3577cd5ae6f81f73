//! The account gate: what an account's state (its status, its suspension, its holds) allows, and to whom. This is the
//! only place that decides it; the conditions of the store's writes follow it.
//!
//! What the account's own callers may do (✓: allowed; a word: the error that refuses it; –: refused as an invalid
//! credential):
//!
//! | state | log in, reset a password | credentials | read, write | unregister | leave at once | recover |
//! |---|---|---|---|---|---|---|
//! | initial, active | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ ¹ |
//! | frozen by its owner | ✓ | ✓ | frozen | ✓ | ✓ | ✓ |
//! | frozen by an operator | ✓ | ✓ | frozen | ✓ | frozen | frozen |
//! | suspended, whatever its status | ✓ | suspended | suspended | ✓ | suspended | suspended |
//! | deleted | – | – | – | – | – | – |
//!
//! Whoever may log in may also reset a password by a mailed link. Otherwise an owner who has forgotten the
//! password could neither recover nor unregister the account.
//!
//! ¹ The gate allows it, but there is nothing to recover: [`decide`](super::lifecycle::decide) refuses it. Holds apply
//! in addition to these states: what a hold preserves is neither overwritten nor deleted, by anybody, and the account
//! is not deleted. Operators are subject to status and holds only.

use std::ops::Deref;

use super::caps::Caps;
use super::{Customer, Error, Kind, Status};

/// On whose behalf a request acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The account's owner: the account's own agents and access keys, or somebody with a mailed link.
    Owner,
    /// An operator of this service: a project admin who acts on an account that the request names.
    Operator,
}

/// Kinds of access of a caller to their own account, as the gate distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Log in. Allowed until the account is deleted, because otherwise nobody could unregister it.
    LogIn,
    /// Manage one's own credentials: log out, revoke sessions and keys, set one's own password.
    Credentials,
    /// Read the account or what it owns.
    Read,
    /// Change the account or what it owns.
    Write,
    /// Unregister the account, with the grace period.
    Unregister,
    /// Delete the account at once, without a grace period.
    Leave,
    /// Recover the account after it was frozen.
    Recover,
}

impl Access {
    /// Whether this access is allowed even if the account has exhausted its rate limit. However many requests
    /// an account's programs send, its people can still log in, revoke credentials, unregister and recover
    /// the account.
    #[must_use]
    pub const fn passes_quota(self) -> bool {
        match self {
            Self::Read | Self::Write => false,
            Self::LogIn | Self::Credentials | Self::Unregister | Self::Leave | Self::Recover => {
                true
            }
        }
    }
}

/// Kinds of writes to an account, as the gate distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Revokes a key, or sets the caller's own password. It adds no items, so it cannot keep the purge from
    /// ending.
    Credentials,
    /// Sets an agent's password by a mailed link, or requests such a link. It adds no items either.
    Reset,
    /// Adds an item, or changes something that a hold does not preserve, such as an access key or a setting.
    Change,
    /// Overwrites or deletes what a hold preserves: resources, agents, the profile.
    Overwrite,
}

/// The target of a write: the account as it was read, on whose behalf the write is made, and the kind of the
/// write. The store writes only if the stored account still [admits](Self::admit) the write.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    customer: &'a Customer,
    /// On whose behalf the write is made: the account's owner or an operator.
    pub by: Party,
    /// Kind of the write; which kinds are allowed depends on the account's state.
    pub write: Write,
    caps: Caps,
}

impl Deref for Target<'_> {
    type Target = Customer;

    fn deref(&self) -> &Customer {
        self.customer
    }
}

impl<'a> Target<'a> {
    /// Returns the target for another kind of write to the same account.
    #[must_use]
    pub const fn to(self, write: Write) -> Self {
        Self { write, ..self }
    }

    /// Returns the target with the account as it is now, after it was read again.
    #[must_use]
    pub const fn now(self, customer: &Customer) -> Target<'_> {
        Target { customer, by: self.by, write: self.write, caps: self.caps }
    }

    /// Returns the same target with these `caps`, which the account must not exceed after the write.
    #[must_use]
    pub const fn within(self, caps: Caps) -> Self {
        Self { caps, ..self }
    }

    /// Fails with [`Error::CapReached`] if the account already owns as many items of this kind as the cap
    /// allows.
    pub fn require_room(self, kind: Kind) -> Result<(), Error> {
        self.caps.require_room(kind, self.customer)
    }

    /// Returns the account.
    #[must_use]
    pub const fn customer(self) -> &'a Customer {
        self.customer
    }

    /// Returns the target if the account's state allows the write; otherwise fails.
    pub fn admit(self) -> Result<Self, Error> {
        let Self { customer, by, write, .. } = self;
        match (by, write) {
            (Party::Owner, Write::Reset) => customer.admit(Access::LogIn)?,
            (Party::Owner, Write::Credentials) => customer.admit(Access::Credentials)?,
            (Party::Owner, Write::Change | Write::Overwrite) => customer.admit(Access::Write)?,
            (Party::Operator, _) => match (customer.status, write) {
                (Status::Initial | Status::Active, _)
                | (Status::Frozen, Write::Credentials | Write::Reset) => {}
                (Status::Frozen | Status::Deleted, _) => {
                    return Err(Error::StateInvalid(customer.status));
                }
            },
        }
        match write {
            Write::Overwrite => customer.require_not_held(by).map(|()| self),
            Write::Credentials | Write::Reset | Write::Change => Ok(self),
        }
    }
}

impl Customer {
    /// Fails if the account's state does not allow this access to its own callers (agents and access keys).
    pub fn admit(&self, access: Access) -> Result<(), Error> {
        let recoverable = !self.internals.frozen_by_operator;
        match (self.status, access) {
            (Status::Deleted, _) => Err(Error::InvalidCredentials),
            (_, Access::LogIn | Access::Unregister) => Ok(()),
            _ if self.internals.suspension.is_some() => Err(Error::AccountSuspended),
            (Status::Initial | Status::Active, _) | (Status::Frozen, Access::Credentials) => Ok(()),
            (Status::Frozen, Access::Leave | Access::Recover) if recoverable => Ok(()),
            (Status::Frozen, _) => Err(Error::AccountFrozen {
                scheduled: self.internals.tm_freeze,
                effective: self.tm_deletion_scheduled,
                recoverable,
            }),
        }
    }

    /// Returns the account as the target of a write, or refuses the write if the account's state does not allow it.
    pub fn writable(&self, by: Party, write: Write) -> Result<Target<'_>, Error> {
        Target { customer: self, by, write, caps: Caps::default() }.admit()
    }

    /// Fails if the account has a hold, with the error that `by` may see: an owner does not learn of holds.
    pub fn require_not_held(&self, by: Party) -> Result<(), Error> {
        match (self.internals.holds.is_empty(), by) {
            (true, _) => Ok(()),
            (false, Party::Owner) => Err(Error::AccountPreserved),
            (false, Party::Operator) => Err(Error::LegalHold(self.internals.holds.clone())),
        }
    }
}

/// Whether an account whose address was never verified may have resources; configured per installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// Such an account may have resources.
    Admitted,
    /// Such an account may not have resources until it is active.
    Refused,
}

impl Customer {
    /// Fails if the account is not active yet and the installation requires a verified address for resources.
    pub fn admit_to_resources(&self, unverified: Unverified) -> Result<(), Error> {
        match (self.status, unverified) {
            (Status::Initial, Unverified::Refused) => Err(Error::EmailVerificationRequired),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::Suspension;
    use crate::domain::hold::{Hold, HoldName, Holds};
    use crate::domain::{Actor, Id, Timestamp};

    const EVERY_ACCESS: [Access; 7] = [
        Access::LogIn,
        Access::Credentials,
        Access::Read,
        Access::Write,
        Access::Unregister,
        Access::Leave,
        Access::Recover,
    ];

    fn now() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap()
    }

    /// Returns an account in this status, frozen by an operator or not, suspended or not, held or not.
    fn account(status: Status, by_operator: bool, suspended: bool, held: bool) -> Customer {
        let mut account = Customer { status, ..Customer::blank(Id::new(now(), [1; 10]), now()) };
        account.internals.frozen_by_operator = by_operator;
        account.internals.suspension =
            suspended.then(|| Suspension { by: Actor::PURGE, tm_suspend: now() });
        if held {
            let case = Hold { reason: "Case 7".to_owned(), by: Actor::PURGE, tm_hold: now() };
            account.internals.holds = Holds::default().with(HoldName::default_name(), case);
        }
        account
    }

    #[test]
    fn state_decides_what_callers_may_do_with_their_account() {
        // In the order of EVERY_ACCESS.
        let table = [
            (Status::Initial, false, false, "✓✓✓✓✓✓✓"),
            (Status::Active, false, false, "✓✓✓✓✓✓✓"),
            (Status::Frozen, false, false, "✓✓FF✓✓✓"),
            (Status::Frozen, true, false, "✓✓FF✓FF"),
            (Status::Initial, false, true, "✓SSS✓SS"),
            (Status::Active, false, true, "✓SSS✓SS"),
            (Status::Frozen, false, true, "✓SSS✓SS"),
            (Status::Frozen, true, true, "✓SSS✓SS"),
            (Status::Deleted, false, false, "-------"),
        ];
        for (status, by_operator, suspended, row) in table {
            for (access, expected) in EVERY_ACCESS.into_iter().zip(row.chars()) {
                let answer = match account(status, by_operator, suspended, true).admit(access) {
                    Ok(()) => '✓',
                    Err(Error::AccountFrozen { recoverable, .. }) => {
                        assert_eq!(recoverable, !by_operator, "{status:?} {access:?}");
                        'F'
                    }
                    Err(Error::AccountSuspended) => 'S',
                    Err(Error::InvalidCredentials) => '-',
                    Err(other) => panic!("{status:?} {access:?}: {other:?}"),
                };
                assert_eq!(answer, expected, "{status:?} {access:?}, suspended: {suspended}");
            }
        }
    }

    #[test]
    fn only_an_initial_account_is_kept_from_resources_and_only_where_addresses_must_be_verified() {
        for status in [Status::Initial, Status::Active, Status::Frozen, Status::Deleted] {
            let account = account(status, false, false, false);
            assert!(account.admit_to_resources(Unverified::Admitted).is_ok(), "{status:?}");
            let refused = account.admit_to_resources(Unverified::Refused).is_err();
            assert_eq!(refused, status == Status::Initial, "{status:?}");
        }
    }

    #[test]
    fn operators_are_subject_to_status_and_holds_and_not_to_a_suspension() {
        for suspended in [false, true] {
            for (status, write, expected) in [
                (Status::Active, Write::Change, true),
                (Status::Active, Write::Overwrite, true),
                (Status::Frozen, Write::Credentials, true),
                (Status::Frozen, Write::Reset, true),
                (Status::Frozen, Write::Change, false),
                (Status::Deleted, Write::Credentials, false),
                (Status::Deleted, Write::Reset, false),
            ] {
                let account = account(status, false, suspended, false);
                let admitted = account.writable(Party::Operator, write);
                assert_eq!(admitted.is_ok(), expected, "{status:?} {write:?}");
                let refused = matches!(admitted, Err(Error::StateInvalid(_)));
                assert!(expected || refused, "{status:?} {write:?}");
            }
        }
    }

    #[test]
    fn a_password_can_be_reset_wherever_its_agent_may_log_in() {
        for status in [Status::Initial, Status::Active, Status::Frozen, Status::Deleted] {
            for (by_operator, suspended, held) in [
                (false, false, false),
                (true, false, true),
                (false, true, false),
                (true, true, true),
            ] {
                let account = account(status, by_operator, suspended, held);
                let (may_log_in, may_reset) = (
                    account.admit(Access::LogIn).is_ok(),
                    account.writable(Party::Owner, Write::Reset).is_ok(),
                );
                assert_eq!(may_reset, may_log_in, "{status:?}, suspended: {suspended}");
                assert_eq!(may_reset, status != Status::Deleted);
            }
        }
    }

    #[test]
    fn a_hold_refuses_both_sides_and_is_named_to_operators_only() {
        let held = account(Status::Active, false, false, true);
        for by in [Party::Owner, Party::Operator] {
            assert!(held.writable(by, Write::Credentials).is_ok());
            assert!(held.writable(by, Write::Change).is_ok());
        }
        let refused = held.writable(Party::Owner, Write::Overwrite);
        assert!(matches!(refused, Err(Error::AccountPreserved)));
        let refused = held.writable(Party::Operator, Write::Overwrite);
        assert!(matches!(refused, Err(Error::LegalHold(holds)) if !holds.is_empty()));
    }

    #[test]
    fn a_used_up_quota_keeps_nobody_from_revoking_credentials_leaving_and_coming_back() {
        let refused = EVERY_ACCESS.into_iter().filter(|access| !access.passes_quota());
        assert_eq!(refused.collect::<Vec<_>>(), [Access::Read, Access::Write]);
    }

    #[test]
    fn a_target_is_the_account_with_its_side_its_write_and_its_caps() {
        use crate::domain::counts::Counts;
        let mut account = account(Status::Active, false, false, false);
        account.internals.owned = Counts::from([(Kind::Agent, 1)]);
        let target = account.writable(Party::Owner, Write::Change).unwrap();
        assert_eq!((target.customer().id, target.id), (account.id, account.id));
        assert_eq!(target.to(Write::Overwrite).write, Write::Overwrite);
        assert!(target.require_room(Kind::Agent).is_ok());
        let capped = target.within(Caps { agents: Some(1), access_keys: None });
        assert!(capped.require_room(Kind::Agent).is_err());
        let later = Customer::blank(Id::new(now(), [2; 10]), now());
        assert_eq!((capped.now(&later).id, capped.now(&later).by), (later.id, Party::Owner));
    }
}

//! The account gate: what an account's status lets its own callers do. Operators are not subject to it.

use super::{Customer, Error, Status};

/// What a caller does with their own account, as far as the account's status matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Log in or out, revoke sessions.
    Session,
    /// Read the account or what it owns.
    Read,
    /// Change the account or what it owns.
    Write,
    /// Ask for the account's deletion, with grace or at once, or recover it. Which of these the status
    /// allows is decided by [`decide`](super::lifecycle::decide).
    Lifecycle,
}

impl Customer {
    /// Refuses `access` that the account's status does not allow: a deleted account is unknown, a frozen one
    /// can be left or recovered only.
    pub fn admit(&self, access: Access) -> Result<(), Error> {
        match (self.status, access) {
            (Status::Initial | Status::Active, _) => Ok(()),
            (Status::Frozen, Access::Session | Access::Lifecycle) => Ok(()),
            (Status::Frozen, Access::Read | Access::Write) => Err(Error::AccountFrozen {
                scheduled: self.internals.tm_freeze,
                effective: self.tm_deletion_scheduled,
            }),
            (Status::Deleted, _) => Err(Error::InvalidCredentials),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Id, Timestamp};

    #[test]
    fn status_decides_what_a_caller_may_do_with_their_account() {
        use Access::{Lifecycle, Read, Session, Write};
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let account = Customer::blank(Id::new(now, [1; 10]), now);
        for (status, refused) in [
            (Status::Initial, &[][..]),
            (Status::Active, &[]),
            (Status::Frozen, &[Read, Write]),
            (Status::Deleted, &[Session, Read, Write, Lifecycle]),
        ] {
            let account = Customer { status, ..account.clone() };
            for access in [Session, Read, Write, Lifecycle] {
                let admitted = account.admit(access);
                assert_eq!(admitted.is_err(), refused.contains(&access), "{status:?} {access:?}");
                match (admitted, status) {
                    (Ok(()), _)
                    | (Err(Error::AccountFrozen { .. }), Status::Frozen)
                    | (Err(Error::InvalidCredentials), Status::Deleted) => {}
                    (Err(other), _) => panic!("{status:?} {access:?}: {other:?}"),
                }
            }
        }
    }
}

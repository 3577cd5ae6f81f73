//! What may happen to an account, and what becomes of it.
//!
//! ```text
//! initial, active ── Freeze ──► frozen ── Claim, once due ──► deleted ── Claim … Finish ──► tombstone
//!        ▲                        │                              ▲
//!        └──────── Recover ───────┘      Leave, Delete ──────────┘ (from initial, active, frozen)
//! ```

use std::time::Duration;

use super::customer::{Profile, Record};
use super::event::What;
use super::value::Metadata;
use super::{Customer, Error, Status, Timestamp};

/// How long a frozen account can be recovered: 30 days.
pub const GRACE: Duration = Duration::from_hours(30 * 24);

/// Something that shall happen to an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace what is said about the customer.
    Update(Profile),
    /// Set switches.
    SetMetadata(Metadata),
    /// Freeze the account; its deletion is due when the grace period ends.
    Freeze,
    /// Make a frozen account what it was.
    Recover,
    /// Delete the account at once, for its owner.
    Leave,
    /// Delete the account at once, for an operator.
    Delete,
    /// Take a due account for purging: whoever held it before is overtaken.
    Claim,
    /// Record that nothing of a deleted account is left but its tombstone.
    Finish,
}

/// What becomes of an account.
#[derive(Clone, Debug)]
pub enum Transition {
    /// It is already so.
    Unchanged,
    /// It becomes this, and others are told.
    Changed(Box<Customer>, Option<What>),
}

/// Decides what becomes of `customer` if `command` happens to it at `now`.
pub fn decide(customer: &Customer, command: &Command, now: Timestamp) -> Result<Transition, Error> {
    use Status::{Active, Deleted, Frozen, Initial};

    match (command, customer.status) {
        (Command::Update(said), Initial | Active) if *said == Profile::default() => {
            Ok(Transition::Unchanged)
        }
        (Command::Update(profile), Initial | Active) => Ok(changed(
            Customer { tm_update: now, ..customer.clone().with(profile.clone()) },
            What::CustomerUpdated,
        )),
        (Command::SetMetadata(said), Initial | Active) => {
            let metadata = Metadata { rtp_debug: said.rtp_debug.or(customer.metadata.rtp_debug) };
            Ok(changed(
                Customer { metadata, tm_update: now, ..customer.clone() },
                What::CustomerUpdated,
            ))
        }
        (Command::Update(_) | Command::SetMetadata(_), _) => Err(Error::StateInvalid),

        (Command::Freeze | Command::Leave | Command::Delete, _) if customer.record.system => {
            Err(Error::LastProjectAdmin)
        }

        (Command::Freeze, Initial | Active) => {
            Ok(changed(frozen(customer, now), What::CustomerFrozen))
        }
        (Command::Freeze, Frozen) => Ok(Transition::Unchanged),
        (Command::Freeze, Deleted) => Err(Error::StateInvalid),

        (Command::Recover, Frozen) if is_due(customer, now) => Err(Error::GracePeriodEnded),
        (Command::Recover, Frozen) => {
            Ok(changed(recovered(customer, now), What::CustomerRecovered))
        }
        (Command::Recover, _) => Err(Error::StateInvalid),

        (Command::Leave, Initial | Active | Frozen) => Ok(changed(
            Customer { tm_update: now, ..tombstone(customer, now) },
            What::CustomerDeleted,
        )),
        // An operator's deletion leaves `tm_update` as it was: the seed's answer shows it so.
        (Command::Delete, Initial | Active | Frozen) => {
            Ok(changed(tombstone(customer, now), What::CustomerDeleted))
        }
        (Command::Leave | Command::Delete, Deleted) => Ok(Transition::Unchanged),

        (Command::Claim, Frozen) if is_due(customer, now) => Ok(changed(
            claimed(Customer { tm_update: now, ..tombstone(customer, now) }),
            What::CustomerDeleted,
        )),
        (Command::Claim, Deleted) if customer.record.tm_purge.is_none() => {
            Ok(silently(claimed(customer.clone())))
        }
        (Command::Claim, _) => Ok(Transition::Unchanged),

        (Command::Finish, Deleted) if customer.record.tm_purge.is_none() => {
            let record = Record { tm_purge: Some(now), ..customer.record.clone() };
            Ok(silently(Customer { record, ..customer.clone() }))
        }
        (Command::Finish, _) => Ok(Transition::Unchanged),
    }
}

fn changed(customer: Customer, what: What) -> Transition {
    Transition::Changed(Box::new(next_version(customer)), Some(what))
}

fn silently(customer: Customer) -> Transition {
    Transition::Changed(Box::new(next_version(customer)), None)
}

fn next_version(mut customer: Customer) -> Customer {
    customer.record.version += 1;
    customer
}

fn is_due(customer: &Customer, now: Timestamp) -> bool {
    customer.due().is_some_and(|due| due <= now)
}

fn frozen(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: Status::Frozen,
        tm_deletion_scheduled: Some(now.plus(GRACE)),
        tm_update: now,
        record: Record {
            frozen_from: Some(customer.status),
            tm_freeze: Some(now),
            ..customer.record.clone()
        },
        ..customer.clone()
    }
}

fn recovered(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: customer.record.frozen_from.unwrap_or(Status::Active),
        tm_deletion_scheduled: None,
        tm_update: now,
        record: Record { frozen_from: None, tm_freeze: None, ..customer.record.clone() },
        ..customer.clone()
    }
}

/// What is kept of a deleted account. An allow-list: a new field is blank here until someone decides
/// otherwise.
fn tombstone(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: Status::Deleted,
        tm_update: customer.tm_update,
        tm_delete: Some(now),
        record: Record {
            version: customer.record.version,
            inventory: customer.record.inventory,
            epoch: customer.record.epoch,
            ..Record::default()
        },
        ..Customer::blank(customer.id, customer.tm_create)
    }
}

fn claimed(mut customer: Customer) -> Customer {
    customer.record.epoch += 1;
    customer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Id;
    use crate::domain::value::{FromText, Name};

    fn at(days: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_hours(days * 24))
    }

    fn account(status: Status) -> Customer {
        let name = Some(Name::from_text("Ann").unwrap());
        let blank = Customer::blank(Id::new(at(0), [1; 10]), at(0));
        Customer { status, ..blank.with(Profile { name, ..Profile::default() }) }
    }

    fn after(customer: &Customer, command: &Command, now: Timestamp) -> Customer {
        match decide(customer, command, now).unwrap() {
            Transition::Changed(next, _) => *next,
            Transition::Unchanged => customer.clone(),
        }
    }

    #[test]
    fn freezing_again_keeps_the_date() {
        let first = after(&account(Status::Active), &Command::Freeze, at(1));
        assert_eq!(first.tm_deletion_scheduled, Some(at(31)));
        let second = after(&first, &Command::Freeze, at(9));
        assert_eq!(second.tm_deletion_scheduled, Some(at(31)));
    }

    #[test]
    fn recovering_gives_back_what_was() {
        for before in [Status::Initial, Status::Active] {
            let frozen = after(&account(before), &Command::Freeze, at(1));
            let recovered = after(&frozen, &Command::Recover, at(30));
            assert_eq!((recovered.status, recovered.tm_deletion_scheduled), (before, None));
        }
    }

    #[test]
    fn recover_or_purge_never_both() {
        let frozen = after(&account(Status::Active), &Command::Freeze, at(0));
        let due = frozen.tm_deletion_scheduled.unwrap();
        for micros in -2..=2 {
            let now = Timestamp::from_micros(due.millis() * 1000 + micros).unwrap();
            let recovers = decide(&frozen, &Command::Recover, now).is_ok();
            let claimed = after(&frozen, &Command::Claim, now).status == Status::Deleted;
            assert!(recovers != claimed, "{micros} µs from the date");
        }
    }

    #[test]
    fn the_projects_own_account_stays() {
        let mut own = account(Status::Active);
        own.record.system = true;
        for command in [Command::Freeze, Command::Leave, Command::Delete] {
            assert!(matches!(decide(&own, &command, at(1)), Err(Error::LastProjectAdmin)));
        }
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            Just(Command::Update(Profile::default())),
            Just(Command::SetMetadata(Metadata { rtp_debug: Some(true) })),
            Just(Command::Freeze),
            Just(Command::Recover),
            Just(Command::Leave),
            Just(Command::Delete),
            Just(Command::Claim),
            Just(Command::Finish),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: deleted is final and blank, a frozen account has a
        /// date and no other has, nothing is claimed before its date, versions only rise, and an
        /// account leaves the purge's queue only when it was finished or recovered.
        #[test]
        fn every_life_keeps_the_promises(steps in prop::collection::vec((commands(), 0_u64..20), 0..40)) {
            let mut customer = account(Status::Initial);
            let mut day = 0;
            for (command, days) in steps {
                day += days;
                let before = customer.clone();
                let Ok(Transition::Changed(next, what)) = decide(&before, &command, at(day)) else { continue };
                customer = *next;

                prop_assert_eq!(customer.record.version, before.record.version + 1);
                prop_assert_eq!(customer.status == Status::Frozen, customer.tm_deletion_scheduled.is_some());
                if before.status == Status::Deleted {
                    prop_assert_eq!(customer.status, Status::Deleted);
                    prop_assert_ne!(what, Some(What::CustomerDeleted));
                }
                if customer.status == Status::Deleted {
                    prop_assert_eq!(customer.name.expose(), "");
                    prop_assert!(customer.tm_delete.is_some());
                    prop_assert_eq!(customer.due().is_none(), customer.record.tm_purge.is_some());
                }
                if let (Command::Claim, Status::Frozen) = (&command, before.status) {
                    prop_assert!(before.tm_deletion_scheduled.unwrap() <= at(day));
                }
            }
        }
    }
}

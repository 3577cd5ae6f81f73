//! The lifecycle of an account: commands, and the transitions they cause.
//!
//! ```text
//! initial, active ── Freeze ──► frozen ── Claim, once due ──► deleted ── Claim … Finish ──► tombstone
//!        ▲                        │                              ▲
//!        └──────── Recover ───────┘      Leave, Delete ──────────┘ (from initial, active, frozen)
//! ```
//!
//! A hold blocks every transition to `deleted`, and none to `frozen` or back.

use std::time::Duration;

use super::customer::{Billing, Internals, Profile};
use super::erasure::{ErasureRequest, LedgerEntry, Plan, Reason};
use super::event::EventType;
use super::hold::{Hold, HoldReason};
use super::value::{Metadata, WebhookUri};
use super::webhook::{EarlierWebhookSecret, WebhookSecret};
use super::{Actor, Customer, Error, Id, Resource, Status, Timestamp};

/// Grace period, in which a frozen account can be recovered: 30 days.
pub const GRACE: Duration = Duration::from_hours(30 * 24);

/// Minimum time from lifting a hold to the deletion of an account that is due: 24 hours.
pub const GRACE_AFTER_HOLD: Duration = Duration::from_hours(24);

/// A command to an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace fields of the profile.
    Update(Profile),
    /// Change settings.
    SetMetadata(Metadata),
    /// Sign webhooks with a new secret; the one before signs too for this overlap.
    RotateWebhookSecret(WebhookSecret, Duration),
    /// Disable the webhook at this URI, whose receiver answered 410.
    DisableWebhook(WebhookUri),
    /// Set the billing account.
    SetBilling(Billing),
    /// Freeze the account; its deletion is due at the end of the grace period.
    Freeze(Reason),
    /// Return a frozen account to its status before.
    Recover,
    /// Delete the account at once, for its owner.
    UnregisterNow,
    /// Delete the account at once, for an operator; with a plan, only if the account still matches it.
    Delete(Reason, Option<Plan>),
    /// Place a hold: the account must not be erased.
    Hold(HoldReason),
    /// Lift the hold.
    LiftHold,
    /// Claim a due account for the purge, and increment its epoch.
    ClaimPurge,
    /// Record that nothing but the tombstone is left of a deleted account.
    FinishPurge,
}

/// The effect of a command.
#[derive(Clone, Debug)]
pub enum Transition {
    /// None: the account already is as the command asks.
    Unchanged,
    /// The account changes.
    Changed(Box<CustomerChange>),
}

/// A change of an account, written in one transaction.
#[derive(Clone, Debug)]
pub struct CustomerChange {
    /// The account after the change.
    pub after: Customer,
    /// The event to emit; `None` for none.
    pub event: Option<EventType>,
    /// The entry for the ledger of erasures; `None` for none.
    pub entry: Option<LedgerEntry>,
    /// A billing account that must exist in the account; `None` if the change needs none.
    pub billing_account: Option<Id<Resource>>,
}

/// Returns the effect of `command` of the actor `by` on `customer` at `now`, or why it is refused.
#[expect(
    clippy::too_many_lines,
    reason = "the table of commands and states reads best in one piece"
)]
pub fn decide(
    customer: &Customer,
    command: &Command,
    by: Actor,
    now: Timestamp,
) -> Result<Transition, Error> {
    use Status::{Active, Deleted, Frozen, Initial};

    match (command, customer.status) {
        (
            Command::Update(_)
            | Command::SetMetadata(_)
            | Command::SetBilling(_)
            | Command::RotateWebhookSecret(..),
            Frozen | Deleted,
        ) => Err(Error::StateInvalid(Some(customer.status))),
        (Command::Update(profile), Initial | Active) if *profile == Profile::default() => {
            Ok(Transition::Unchanged)
        }
        (Command::Update(profile), Initial | Active) => {
            Ok(updated(with_profile(customer.clone(), profile.clone()), now))
        }
        (Command::SetMetadata(set), Initial | Active) => {
            let rtp_debug = set.rtp_debug.or(customer.metadata.rtp_debug);
            Ok(updated(Customer { metadata: Metadata { rtp_debug }, ..customer.clone() }, now))
        }
        (Command::SetBilling(billing), Initial | Active) => {
            let id = billing.billing_account_id;
            let billing_account_id = id.map(Id::uuid).unwrap_or_default();
            Ok(updated(Customer { billing_account_id, ..customer.clone() }, now)
                .with(|change| change.billing_account = id))
        }
        (Command::RotateWebhookSecret(secret, overlap), Initial | Active) => {
            Ok(updated(with_secret(customer.clone(), secret, now.plus(*overlap)), now))
        }

        (Command::DisableWebhook(uri), Initial | Active | Frozen)
            if customer.webhook_uri == *uri && !customer.internals.webhook_gone =>
        {
            let internals = Internals { webhook_gone: true, ..customer.internals.clone() };
            Ok(changed(Customer { internals, ..customer.clone() }, EventType::WebhookDisabled))
        }
        (Command::DisableWebhook(_), _) => Ok(Transition::Unchanged),

        (Command::Freeze(_) | Command::UnregisterNow | Command::Delete(..), _)
            if customer.internals.system =>
        {
            Err(Error::LastProjectAdmin)
        }

        (Command::Freeze(reason), Initial | Active) => {
            let request = request(*reason, by, now, now.plus(GRACE));
            Ok(changed(frozen(customer, now), EventType::CustomerFrozen)
                .enter(LedgerEntry::Requested(request)))
        }
        (Command::Freeze(_), Frozen) => Ok(Transition::Unchanged),
        (Command::Freeze(_), Deleted) => Err(Error::StateInvalid(Some(customer.status))),

        (Command::Recover, Frozen) if has_ended(customer, now) => Err(Error::GracePeriodEnded),
        (Command::Recover, Frozen) => {
            Ok(changed(recovered(customer, now), EventType::CustomerRecovered)
                .enter(LedgerEntry::Withdrawn(now, by)))
        }
        (Command::Recover, Initial | Active | Deleted) => {
            Err(Error::StateInvalid(Some(customer.status)))
        }

        (Command::UnregisterNow | Command::Delete(..), Deleted) => Ok(Transition::Unchanged),
        (Command::Delete(_, Some(plan)), _) if !plan.is_current_for(customer) => {
            Err(Error::PlanOutdated(Box::new(plan.difference(customer, None))))
        }
        (Command::UnregisterNow, _) if customer.internals.hold.is_some() => {
            Err(Error::AccountPreserved)
        }
        (Command::Delete(..), _) if customer.internals.hold.is_some() => Err(Error::LegalHold),
        (Command::UnregisterNow, Initial | Active | Frozen) => Ok(changed(
            Customer { tm_update: now, ..tombstone(customer, now) },
            EventType::CustomerDeleted,
        )
        .enter(LedgerEntry::Requested(request(Reason::Immediate, by, now, now)))),
        // The answer to an operator's deletion shows `tm_update` as it was (seed).
        (Command::Delete(reason, plan), Initial | Active | Frozen) => {
            let plan_hash = plan.as_ref().map(Plan::hash);
            let request = ErasureRequest { plan: plan_hash, ..request(*reason, by, now, now) };
            Ok(changed(tombstone(customer, now), EventType::CustomerDeleted)
                .enter(LedgerEntry::Requested(request)))
        }

        (Command::Hold(_), Deleted) => Err(Error::StateInvalid(Some(customer.status))),
        (Command::Hold(reason), Initial | Active | Frozen) => {
            let hold = Hold { reason: reason.clone(), by, tm_hold: now };
            let internals = Internals { hold: Some(hold.clone()), ..customer.internals.clone() };
            Ok(changed(Customer { internals, ..customer.clone() }, EventType::CustomerHeld)
                .enter(LedgerEntry::Held(hold)))
        }
        (Command::LiftHold, _) if customer.internals.hold.is_none() => Ok(Transition::Unchanged),
        (Command::LiftHold, _) => {
            let after = lifted(customer, now);
            let due = after.due();
            Ok(changed(after, EventType::CustomerReleased).enter(LedgerEntry::Lifted(now, by, due)))
        }

        (Command::ClaimPurge, Frozen) if customer.due().is_some_and(|due| due <= now) => {
            Ok(changed(
                claimed(Customer { tm_update: now, ..tombstone(customer, now) }),
                EventType::CustomerDeleted,
            )
            .enter(LedgerEntry::Claimed(now)))
        }
        (Command::ClaimPurge, Deleted) if customer.internals.tm_purge.is_none() => {
            Ok(silently(claimed(customer.clone())).enter(LedgerEntry::Claimed(now)))
        }
        (Command::ClaimPurge, _) => Ok(Transition::Unchanged),

        (Command::FinishPurge, Deleted) if customer.internals.tm_purge.is_none() => {
            let internals = Internals { tm_purge: Some(now), ..customer.internals.clone() };
            Ok(silently(Customer { internals, ..customer.clone() }))
        }
        (Command::FinishPurge, _) => Ok(Transition::Unchanged),
    }
}

/// Returns the transition to `after`, changed by its owner or an operator at `now`.
fn updated(after: Customer, now: Timestamp) -> Transition {
    changed(Customer { tm_update: now, ..after }, EventType::CustomerUpdated)
}

fn changed(customer: Customer, event: EventType) -> Transition {
    change(customer, Some(event))
}

fn silently(customer: Customer) -> Transition {
    change(customer, None)
}

fn change(mut after: Customer, event: Option<EventType>) -> Transition {
    after.internals.version += 1;
    after.internals.sequence += u64::from(event.is_some());
    Transition::Changed(Box::new(CustomerChange {
        after,
        event,
        entry: None,
        billing_account: None,
    }))
}

impl Transition {
    fn with(self, set: impl FnOnce(&mut CustomerChange)) -> Self {
        match self {
            Self::Unchanged => Self::Unchanged,
            Self::Changed(mut change) => {
                set(&mut change);
                Self::Changed(change)
            }
        }
    }

    /// Adds an entry for the ledger.
    fn enter(self, entry: LedgerEntry) -> Self {
        self.with(|change| change.entry = Some(entry))
    }
}

/// Returns the account with the fields of `profile` replaced. Setting the webhook URI, even to the same
/// value, enables a webhook that was disabled.
fn with_profile(customer: Customer, profile: Profile) -> Customer {
    let is_set = profile.webhook_uri.is_some();
    let mut after = customer.with(profile);
    after.internals.webhook_gone &= !is_set;
    after
}

fn with_secret(mut customer: Customer, secret: &WebhookSecret, until: Timestamp) -> Customer {
    let replaced = customer.internals.webhook_secret.replace(secret.clone());
    customer.internals.earlier_webhook_secret =
        replaced.map(|secret| EarlierWebhookSecret { secret, tm_expire: until });
    customer
}

fn request(reason: Reason, by: Actor, now: Timestamp, due: Timestamp) -> ErasureRequest {
    ErasureRequest { reason, by, tm_request: now, tm_due: due, plan: None }
}

/// Whether the grace period is over; a hold does not extend it.
fn has_ended(customer: &Customer, now: Timestamp) -> bool {
    customer.tm_deletion_scheduled.is_some_and(|due| due <= now)
}

fn frozen(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: Status::Frozen,
        tm_deletion_scheduled: Some(now.plus(GRACE)),
        tm_update: now,
        internals: Internals {
            frozen_from: Some(customer.status),
            tm_freeze: Some(now),
            ..customer.internals.clone()
        },
        ..customer.clone()
    }
}

fn recovered(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: customer.internals.frozen_from.unwrap_or(Status::Active),
        tm_deletion_scheduled: None,
        tm_update: now,
        internals: Internals { frozen_from: None, tm_freeze: None, ..customer.internals.clone() },
        ..customer.clone()
    }
}

fn lifted(customer: &Customer, now: Timestamp) -> Customer {
    let not_before = now.plus(GRACE_AFTER_HOLD);
    Customer {
        tm_deletion_scheduled: customer.tm_deletion_scheduled.map(|due| due.max(not_before)),
        internals: Internals { hold: None, ..customer.internals.clone() },
        ..customer.clone()
    }
}

/// Returns the tombstone of a deleted account. An allow-list: a new field is blank in it until it is listed.
fn tombstone(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: Status::Deleted,
        tm_update: customer.tm_update,
        tm_delete: Some(now),
        internals: Internals {
            version: customer.internals.version,
            sequence: customer.internals.sequence,
            epoch: customer.internals.epoch,
            ..Internals::default()
        },
        ..Customer::blank(customer.id, customer.tm_create)
    }
}

fn claimed(mut customer: Customer) -> Customer {
    customer.internals.epoch += 1;
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

    fn freeze() -> Command {
        Command::Freeze(Reason::Unregister)
    }

    fn hold() -> Command {
        Command::Hold(HoldReason::from_text("Court order 7").unwrap())
    }

    fn after(customer: &Customer, command: &Command, now: Timestamp) -> Customer {
        match decide(customer, command, Actor::PURGE, now).unwrap() {
            Transition::Changed(change) => change.after,
            Transition::Unchanged => customer.clone(),
        }
    }

    #[test]
    fn freezing_again_keeps_the_date() {
        let first = after(&account(Status::Active), &freeze(), at(1));
        assert_eq!(first.tm_deletion_scheduled, Some(at(31)));
        let second = after(&first, &freeze(), at(9));
        assert_eq!(second.tm_deletion_scheduled, Some(at(31)));
    }

    #[test]
    fn recovering_gives_back_what_was() {
        for before in [Status::Initial, Status::Active] {
            let frozen = after(&account(before), &freeze(), at(1));
            let recovered = after(&frozen, &Command::Recover, at(30));
            assert_eq!((recovered.status, recovered.tm_deletion_scheduled), (before, None));
        }
    }

    #[test]
    fn recover_or_purge_never_both() {
        let frozen = after(&account(Status::Active), &freeze(), at(0));
        let due = frozen.tm_deletion_scheduled.unwrap();
        for micros in -2..=2 {
            let now = Timestamp::from_micros(due.millis() * 1000 + micros).unwrap();
            let recovers = decide(&frozen, &Command::Recover, Actor::PURGE, now).is_ok();
            let claimed = after(&frozen, &Command::ClaimPurge, now).status == Status::Deleted;
            assert!(recovers != claimed, "{micros} µs from the date");
        }
    }

    #[test]
    fn a_hold_keeps_the_account_and_a_day_more() {
        let frozen = after(&account(Status::Active), &freeze(), at(0));
        let held = after(&frozen, &hold(), at(10));
        assert_eq!(held.due(), None);
        for command in [Command::UnregisterNow, Command::Delete(Reason::Delete, None)] {
            let refused = decide(&held, &command, Actor::PURGE, at(11));
            assert!(matches!(refused, Err(Error::LegalHold | Error::AccountPreserved)));
        }
        assert_eq!(after(&held, &Command::ClaimPurge, at(400)).status, Status::Frozen);
        // Lifted early, the date stays; lifted late, there is a day.
        assert_eq!(after(&held, &Command::LiftHold, at(11)).due(), Some(at(30)));
        assert_eq!(after(&held, &Command::LiftHold, at(400)).due(), Some(at(401)));
        // The hold is no way around the end of the grace period.
        assert!(decide(&held, &Command::Recover, Actor::PURGE, at(29)).is_ok());
        assert!(matches!(
            decide(&held, &Command::Recover, Actor::PURGE, at(30)),
            Err(Error::GracePeriodEnded)
        ));
    }

    #[test]
    fn a_plan_that_is_not_true_any_more_stops_the_deletion() {
        let planned = account(Status::Active);
        let plan = Plan::new(&planned, &std::collections::BTreeMap::new());
        let delete = Command::Delete(Reason::Delete, Some(plan));
        assert_eq!(after(&planned, &delete, at(1)).status, Status::Deleted);
        let mut grown = planned;
        grown.internals.sequence += 1;
        assert!(matches!(
            decide(&grown, &delete, Actor::PURGE, at(1)),
            Err(Error::PlanOutdated(_))
        ));
    }

    #[test]
    fn the_projects_own_account_stays() {
        let mut own = account(Status::Active);
        own.internals.system = true;
        let delete = Command::Delete(Reason::Delete, None);
        for command in [freeze(), Command::UnregisterNow, delete] {
            assert!(matches!(
                decide(&own, &command, Actor::PURGE, at(1)),
                Err(Error::LastProjectAdmin)
            ));
        }
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            Just(Command::Update(Profile::default())),
            Just(Command::SetMetadata(Metadata { rtp_debug: Some(true) })),
            Just(Command::SetBilling(Billing {
                billing_account_id: Some(Id::new(at(0), [9; 10]))
            })),
            Just(freeze()),
            Just(Command::Recover),
            Just(Command::UnregisterNow),
            Just(Command::Delete(Reason::Delete, None)),
            Just(hold()),
            Just(Command::LiftHold),
            Just(Command::ClaimPurge),
            Just(Command::FinishPurge),
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
                let Ok(Transition::Changed(change)) = decide(&before, &command, Actor::PURGE, at(day)) else { continue };
                let event = change.event;
                customer = change.after;

                prop_assert_eq!(customer.internals.version, before.internals.version + 1);
                prop_assert_eq!(customer.status == Status::Frozen, customer.tm_deletion_scheduled.is_some());
                if before.status == Status::Deleted {
                    prop_assert_eq!(customer.status, Status::Deleted);
                    prop_assert_ne!(event, Some(EventType::CustomerDeleted));
                }
                if customer.status == Status::Deleted {
                    prop_assert_eq!(customer.name.expose(), "");
                    prop_assert!(customer.tm_delete.is_some());
                    prop_assert_eq!(customer.due().is_none(), customer.internals.tm_purge.is_some());
                }
                if let (Command::ClaimPurge, Status::Frozen) = (&command, before.status) {
                    prop_assert!(before.tm_deletion_scheduled.unwrap() <= at(day));
                }
                if before.internals.hold.is_some() {
                    prop_assert_ne!(customer.status, Status::Deleted);
                }
            }
        }
    }
}

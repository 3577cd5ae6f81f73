//! The lifecycle of an account: commands, and the transitions they cause.
//!
//! ```text
//! initial, active ── Freeze ──► frozen ── Claim, once due ──► deleted ── Claim … Finish ──► tombstone
//!        ▲                        │                              ▲
//!        └──────── Recover ───────┘      Leave, Delete ──────────┘ (from initial, active, frozen)
//! ```
//!
//! `Leave` stands for [`Command::UnregisterNow`]; `Claim` and `Finish`, the commands of the purge, stand for
//! [`Command::ClaimPurge`] and [`Command::FinishPurge`]. A hold blocks every transition to `deleted`, and
//! none to `frozen` or back. A suspension is independent of the status. The [gate](super::gate) decides who
//! may change what in which state.

use std::time::Duration;

use super::customer::{Billing, Internals, Profile, Suspension, Verification};
use super::erasure::{ErasureRequest, LedgerEntry, Plan, Reason};
use super::event::{Audience, EventType};
use super::gate::{Access, Party, Write};
use super::hold::{Hold, HoldName};
use super::value::{Email, HoldReason, Metadata, WebhookUri};
use super::webhook::{EarlierWebhookSecret, WebhookSecret};
use super::{Actor, Customer, Error, Id, Resource, Status, Timestamp};

/// Default grace period, in which a frozen account can be recovered: 30 days.
pub const GRACE: Duration = Duration::from_hours(30 * 24);

/// Minimum time between lifting an account's last hold and deleting the account, even if it is due already:
/// 24 hours.
pub const GRACE_AFTER_HOLD: Duration = Duration::from_hours(24);

/// A command that changes an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace fields of the profile.
    Update(Profile, Party),
    /// Change settings.
    SetMetadata(Metadata, Party),
    /// Record an operator's statement about the address and the identity; a verified address activates an
    /// account that is `initial`.
    Verify(Verification),
    /// Record that the account's owner has proven this address by a token that was mailed to it. This reserves the
    /// address, and activates an account that is `initial`; [`Error::TokenInvalid`] if the account has another address
    /// by now.
    ProveEmail(Email),
    /// Replace the secret that signs webhooks, on behalf of the account's owner. The previous secret also
    /// signs for this duration.
    RotateWebhookSecret(WebhookSecret, Duration),
    /// Disable the webhook at this URI, whose receiver answered 410.
    DisableWebhook(WebhookUri),
    /// Record that a retry of a delivery to this URI has failed, so that the webhook counts as failing.
    WebhookFails(WebhookUri),
    /// Record that the receiver at this URI has accepted a webhook, so that the webhook no longer counts as
    /// failing.
    WebhookWorks(WebhookUri),
    /// Set the billing account that pays for the account.
    SetBilling(Billing, Party),
    /// Freeze the account; its deletion is due at the end of this grace period. If its owner has frozen it
    /// already, an operator's freeze takes over: the date of the deletion stays, but only operators can
    /// recover the account.
    Freeze(Reason, Duration),
    /// Return a frozen account to the status that it had before.
    Recover(Party),
    /// Delete the account at once, on behalf of its owner.
    UnregisterNow,
    /// Delete the account at once, on behalf of an operator; with a plan, only if the account still matches it.
    Delete(Reason, Option<Plan>),
    /// Place a hold, so that the account is not erased. It replaces a hold of the same name.
    Hold(HoldName, HoldReason),
    /// Lift the hold of this name.
    LiftHold(HoldName),
    /// Bar the account's own callers (see [`Suspension`]).
    Suspend,
    /// End the suspension.
    Resume,
    /// Claim a due account for the purge, and increment its epoch.
    ClaimPurge,
    /// Record that the purge of a deleted account has finished: nothing but the tombstone is left.
    FinishPurge,
}

impl Command {
    /// Returns the name of the hold that the command places or lifts; `None` for any other command.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldName> {
        match self {
            Self::Hold(name, _) | Self::LiftHold(name) => Some(name),
            _ => None,
        }
    }

    /// Whether this is a deletion that an operator requests, which counts toward the limit of the
    /// [brake](super::brake). Erasing an account again after a restore does not count.
    #[must_use]
    pub const fn is_operators_deletion(&self) -> bool {
        matches!(self, Self::Delete(Reason::Delete, ..))
    }
}

/// The effect of a command.
#[derive(Clone, Debug)]
pub enum Transition {
    /// No effect: the account is already in the state that the command asks for.
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
    /// The change of the account's row in the ledger of erasures; `None` for none.
    pub entry: Option<LedgerEntry>,
    /// A billing account that the account must own for the change to be written; `None` if there is no such
    /// condition.
    pub billing_account: Option<Id<Resource>>,
}

/// Returns the effect on `customer` of a `command` that the actor `by` gives at `now`, or why it is refused.
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
        (Command::Update(profile, party), _) => {
            customer.writable(*party, Write::Overwrite)?;
            if *profile == Profile::default() {
                return Ok(Transition::Unchanged);
            }
            Ok(updated(with_profile(customer, profile.clone(), *party), now))
        }
        (Command::SetMetadata(set, party), _) => {
            customer.writable(*party, Write::Change)?;
            let rtp_debug = set.rtp_debug.or(customer.metadata.rtp_debug);
            Ok(updated(Customer { metadata: Metadata { rtp_debug }, ..customer.clone() }, now))
        }
        (Command::SetBilling(billing, party), _) => {
            customer.writable(*party, Write::Change)?;
            let id = billing.billing_account_id;
            let billing_account_id = id.map(Id::uuid).unwrap_or_default();
            Ok(updated(Customer { billing_account_id, ..customer.clone() }, now)
                .with(|change| change.billing_account = id))
        }
        (Command::Verify(stated), _) => {
            customer.writable(Party::Operator, write_of(*stated, customer))?;
            if stated.email_verified == Some(true) && customer.email.expose().is_empty() {
                return Err(Error::EmailMissing);
            }
            Ok(verified(customer, *stated, now))
        }
        (Command::ProveEmail(email), _) => {
            if !has_address(customer, email) {
                return Err(Error::TokenInvalid);
            }
            let proven = Verification { email_verified: Some(true), ..Verification::default() };
            customer.writable(Party::Owner, write_of(proven, customer))?;
            Ok(verified(customer, proven, now))
        }
        (Command::RotateWebhookSecret(secret, overlap), _) => {
            customer.writable(Party::Owner, Write::Change)?;
            Ok(updated(with_secret(customer.clone(), secret, now.plus(*overlap)), now))
        }

        (Command::DisableWebhook(uri), Initial | Active | Frozen)
            if customer.webhook_uri == *uri && !customer.internals.webhook_gone =>
        {
            let mut after = customer.clone();
            after.internals.webhook_gone = true;
            after.internals.tm_webhook_failing = None;
            Ok(changed(after, EventType::WebhookDisabled))
        }
        (Command::DisableWebhook(_), _) => Ok(Transition::Unchanged),

        (Command::WebhookFails(uri), Initial | Active | Frozen)
            if customer.webhook_uri == *uri && customer.takes_webhooks() =>
        {
            Ok(with_webhook_failing(customer, customer.internals.tm_webhook_failing.or(Some(now))))
        }
        (Command::WebhookWorks(uri), _) if customer.webhook_uri == *uri => {
            Ok(with_webhook_failing(customer, None))
        }
        (Command::WebhookFails(_) | Command::WebhookWorks(_), _) => Ok(Transition::Unchanged),

        (
            Command::Freeze(..) | Command::UnregisterNow | Command::Delete(..) | Command::Suspend,
            _,
        ) if customer.internals.system => Err(Error::LastProjectAdmin),

        (Command::Freeze(reason, grace), Initial | Active) => {
            let due = now.plus(*grace);
            let request = request(*reason, by, now, due);
            Ok(changed(frozen(customer, *reason, now, due), EventType::CustomerFrozen)
                .enter(LedgerEntry::Requested(request)))
        }
        // The date of the deletion stays.
        (Command::Freeze(reason @ Reason::Freeze, _), Frozen)
            if !customer.internals.frozen_by_operator =>
        {
            let due = customer.tm_deletion_scheduled.unwrap_or(now);
            Ok(changed(taken_over(customer, now), EventType::CustomerFrozen)
                .enter(LedgerEntry::Requested(request(*reason, by, now, due))))
        }
        (Command::Freeze(..), Frozen) => Ok(Transition::Unchanged),
        (Command::Freeze(..), Deleted) => Err(Error::StateInvalid(customer.status)),

        (Command::Recover(party), Frozen) => {
            if *party == Party::Owner {
                customer.admit(Access::Recover)?;
            }
            if has_ended(customer, now) {
                return Err(Error::GracePeriodEnded);
            }
            Ok(changed(recovered(customer, now), EventType::CustomerRecovered)
                .enter(LedgerEntry::Withdrawn(now, by)))
        }
        (Command::Recover(_), Initial | Active | Deleted) => {
            Err(Error::StateInvalid(customer.status))
        }

        (Command::UnregisterNow | Command::Delete(..), Deleted) => Ok(Transition::Unchanged),
        (Command::Delete(_, Some(plan)), _) if !plan.is_current_for(customer) => {
            Err(Error::PlanOutdated(Box::new(plan.difference(customer, None))))
        }
        (Command::UnregisterNow, Initial | Active | Frozen) => {
            customer.admit(Access::Leave)?;
            customer.require_not_held(Party::Owner)?;
            let after = Customer { tm_update: now, ..tombstone(customer, now) };
            let request = request(Reason::Immediate, by, now, now);
            Ok(changed(after, EventType::CustomerDeleted).enter(LedgerEntry::Requested(request)))
        }
        // The answer to an operator's deletion shows `tm_update` as it was (seed).
        (Command::Delete(reason, plan), Initial | Active | Frozen) => {
            customer.require_not_held(Party::Operator)?;
            let plan_hash = plan.as_ref().map(Plan::hash);
            let request = ErasureRequest { plan: plan_hash, ..request(*reason, by, now, now) };
            Ok(changed(tombstone(customer, now), EventType::CustomerDeleted)
                .enter(LedgerEntry::Requested(request)))
        }

        (Command::Hold(..) | Command::Suspend, Deleted) => {
            Err(Error::StateInvalid(customer.status))
        }
        (Command::Hold(name, reason), Initial | Active | Frozen) => {
            let holds = customer.internals.holds.clone();
            if !holds.has_room_for(name) {
                return Err(Error::TooManyHolds);
            }
            let reason = reason.expose().to_owned();
            let holds = holds.with(name.clone(), Hold { reason, by, tm_hold: now });
            let internals = Internals { holds: holds.clone(), ..customer.internals.clone() };
            Ok(changed(Customer { internals, ..customer.clone() }, EventType::CustomerHeld)
                .enter(LedgerEntry::Held(holds)))
        }
        (Command::LiftHold(name), _) if !customer.internals.holds.has(name) => {
            Ok(Transition::Unchanged)
        }
        (Command::LiftHold(name), _) => {
            let after = lifted(customer, name, now);
            let (left, due) = (after.internals.holds.clone(), after.due());
            Ok(changed(after, EventType::CustomerReleased).enter(LedgerEntry::Lifted {
                left,
                now,
                by,
                due,
            }))
        }

        (Command::Suspend, _) if customer.internals.suspension.is_some() => {
            Ok(Transition::Unchanged)
        }
        (Command::Suspend, Initial | Active | Frozen) => {
            let suspension = Some(Suspension { by, tm_suspend: now });
            let internals = Internals { suspension, ..customer.internals.clone() };
            let after = Customer { internals, ..customer.clone() };
            Ok(changed(after, EventType::CustomerSuspended))
        }
        (Command::Resume, _) if customer.internals.suspension.is_none() => {
            Ok(Transition::Unchanged)
        }
        (Command::Resume, _) => {
            let internals = Internals { suspension: None, ..customer.internals.clone() };
            let after = Customer { internals, ..customer.clone() };
            Ok(changed(after, EventType::CustomerResumed))
        }

        (Command::ClaimPurge, Frozen) if customer.due().is_some_and(|due| due <= now) => {
            Ok(changed(
                claimed(Customer { tm_update: now, ..tombstone(customer, now) }),
                EventType::CustomerDeleted,
            )
            .enter(LedgerEntry::Claimed(now, None)))
        }
        (Command::ClaimPurge, Deleted) if customer.internals.tm_purge.is_none() => {
            Ok(silently(claimed(customer.clone())).enter(LedgerEntry::Claimed(now, None)))
        }
        (Command::ClaimPurge, _) => Ok(Transition::Unchanged),

        (Command::FinishPurge, Deleted) if customer.internals.tm_purge.is_none() => {
            let internals = Internals { tm_purge: Some(now), ..customer.internals.clone() };
            Ok(silently(Customer { internals, ..customer.clone() }))
        }
        (Command::FinishPurge, _) => Ok(Transition::Unchanged),
    }
}

/// Returns the transition to `after`, updated at `now`, with the event that the account's fields changed.
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
    let is_numbered = event.is_some_and(|event| event.audience() == Audience::Owner);
    after.internals.sequence += u64::from(is_numbered);
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

    /// Adds a change of the account's row in the ledger of erasures.
    fn enter(self, entry: LedgerEntry) -> Self {
        self.with(|change| change.entry = Some(entry))
    }
}

/// Returns the transition that records that the webhook has been failing since then, or that it works if
/// `since` is `None`.
fn with_webhook_failing(customer: &Customer, since: Option<Timestamp>) -> Transition {
    if customer.internals.tm_webhook_failing == since {
        return Transition::Unchanged;
    }
    let internals = Internals { tm_webhook_failing: since, ..customer.internals.clone() };
    silently(Customer { internals, ..customer.clone() })
}

/// Returns the account with the fields of `profile` replaced. Setting the webhook URI, even to the same
/// value, enables a webhook that was disabled, and ends the record that it is failing.
fn with_profile(customer: &Customer, profile: Profile, party: Party) -> Customer {
    let is_set = profile.webhook_uri.is_some();
    let mut after = customer.clone().with(profile);
    after.internals.webhook_gone &= !is_set;
    if is_set || !after.takes_webhooks() {
        after.internals.tm_webhook_failing = None;
    }
    if after.email.is_same_mailbox(&customer.email) {
        return after;
    }
    readdressed(after, customer.verified_address(), party)
}

/// Returns the account after its current address was replaced; `verified` is the verified address that it had
/// before. If the new address is that verified one, it is verified and reserved. Otherwise it is unverified,
/// and reserved only if an operator set it; the verified address is then retained, unless an operator cleared
/// the address. The account's status does not change.
fn readdressed(after: Customer, verified: Option<Email>, party: Party) -> Customer {
    let is_verified = verified.as_ref().is_some_and(|email| email.is_same_mailbox(&after.email));
    let is_cleared = party == Party::Operator && after.email.expose().is_empty();
    let internals = Internals {
        email_unreserved: party == Party::Owner && !is_verified,
        retained_email: verified.filter(|_| !is_verified && !is_cleared),
        ..after.internals
    };
    Customer { email_verified: is_verified, internals, ..after }
}

/// Whether `email` is the account's current address, in any spelling. An empty or withheld address matches no account.
fn has_address(customer: &Customer, email: &Email) -> bool {
    email.canonical().is_some() && customer.email.is_same_mailbox(email)
}

/// Returns which kind of [`Write`] it is to record a verification. Verifying the address removes the retained
/// address, which a hold preserves, so that is an overwrite.
fn write_of(stated: Verification, customer: &Customer) -> Write {
    match (stated.email_verified, &customer.internals.retained_email) {
        (Some(true), Some(_)) => Write::Overwrite,
        _ => Write::Change,
    }
}

/// Returns the transition that records a verification. A verified address is reserved, replaces the retained one, and
/// activates an account that is `initial`; nothing makes an account `initial` again.
fn verified(customer: &Customer, stated: Verification, now: Timestamp) -> Transition {
    let before = (customer.email_verified, customer.identity_verification_status);
    let after = (
        stated.email_verified.unwrap_or(before.0),
        stated.identity_verification_status.unwrap_or(before.1),
    );
    let status = match customer.status {
        Status::Initial if after.0 => Status::Active,
        status => status,
    };
    if (before, customer.status) == (after, status) {
        return Transition::Unchanged;
    }
    let event = if before.1 == after.1 {
        EventType::CustomerUpdated
    } else {
        EventType::CustomerIdentityVerificationUpdated
    };
    let (email_verified, identity_verification_status) = after;
    let mut internals = customer.internals.clone();
    if email_verified {
        internals = Internals { email_unreserved: false, retained_email: None, ..internals };
    }
    let after = Customer {
        email_verified,
        identity_verification_status,
        status,
        tm_update: now,
        internals,
        ..customer.clone()
    };
    changed(after, event)
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

fn frozen(customer: &Customer, reason: Reason, now: Timestamp, due: Timestamp) -> Customer {
    Customer {
        status: Status::Frozen,
        tm_deletion_scheduled: Some(due),
        tm_update: now,
        internals: Internals {
            frozen_from: Some(customer.status),
            tm_freeze: Some(now),
            frozen_by_operator: reason == Reason::Freeze,
            ..customer.internals.clone()
        },
        ..customer.clone()
    }
}

/// Returns the account after an operator has taken over its owner's freeze, so that only operators can
/// recover it.
fn taken_over(customer: &Customer, now: Timestamp) -> Customer {
    let internals = Internals { frozen_by_operator: true, ..customer.internals.clone() };
    Customer { tm_update: now, internals, ..customer.clone() }
}

fn recovered(customer: &Customer, now: Timestamp) -> Customer {
    Customer {
        status: customer.internals.frozen_from.unwrap_or(Status::Active),
        tm_deletion_scheduled: None,
        tm_update: now,
        internals: Internals {
            frozen_from: None,
            tm_freeze: None,
            frozen_by_operator: false,
            ..customer.internals.clone()
        },
        ..customer.clone()
    }
}

/// Returns the account without the hold of this name. If it was the last hold, a scheduled deletion is due a
/// day after `now` at the earliest.
fn lifted(customer: &Customer, name: &HoldName, now: Timestamp) -> Customer {
    let holds = customer.internals.holds.clone().without(name);
    let due = customer.tm_deletion_scheduled;
    let not_before = if holds.is_empty() { Some(now.plus(GRACE_AFTER_HOLD)) } else { None };
    Customer {
        tm_deletion_scheduled: due.map(|due| not_before.map_or(due, |least| due.max(least))),
        internals: Internals { holds, ..customer.internals.clone() },
        ..customer.clone()
    }
}

/// Returns the tombstone of a deleted account: what is kept of it. The fields to keep are an allow-list: a
/// new field is blank in the tombstone until it is listed here.
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
    use crate::domain::customer::IdentityVerification;
    use crate::domain::hold::MAX_HOLDS;
    use crate::domain::value::{Email, FromText, Name, WebhookMethod};

    fn at(days: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_hours(days * 24))
    }

    fn account(status: Status) -> Customer {
        let name = Some(Name::from_text("Ann").unwrap());
        let blank = Customer::blank(Id::new(at(0), [1; 10]), at(0));
        Customer { status, ..blank.with(Profile { name, ..Profile::default() }) }
    }

    fn freeze() -> Command {
        Command::Freeze(Reason::Unregister, GRACE)
    }

    fn freeze_for_operator() -> Command {
        Command::Freeze(Reason::Freeze, GRACE)
    }

    fn named(name: &str) -> HoldName {
        HoldName::parse(name).unwrap()
    }

    fn hold(name: &str) -> Command {
        Command::Hold(named(name), HoldReason::from_text("Court order 7").unwrap())
    }

    fn lift(name: &str) -> Command {
        Command::LiftHold(named(name))
    }

    fn after(customer: &Customer, command: &Command, now: Timestamp) -> Customer {
        match decide(customer, command, Actor::PURGE, now).unwrap() {
            Transition::Changed(change) => change.after,
            Transition::Unchanged => customer.clone(),
        }
    }

    fn is_unchanged(customer: &Customer, command: &Command, now: Timestamp) -> bool {
        matches!(decide(customer, command, Actor::PURGE, now), Ok(Transition::Unchanged))
    }

    #[test]
    fn only_what_places_or_lifts_a_hold_names_one() {
        for (command, name) in
            [(hold("a"), Some("a")), (lift("b"), Some("b")), (Command::Suspend, None)]
        {
            assert_eq!(command.hold(), name.map(named).as_ref(), "{command:?}");
        }
    }

    #[test]
    fn the_brake_counts_what_operators_delete_and_nothing_else() {
        for (command, counts) in [
            (Command::Delete(Reason::Delete, None), true),
            (Command::Delete(Reason::Restored, None), false),
            (Command::UnregisterNow, false),
            (freeze_for_operator(), false),
        ] {
            assert_eq!(command.is_operators_deletion(), counts, "{command:?}");
        }
    }

    #[test]
    fn a_change_is_dated_but_for_holds_suspensions_and_operators_deletions() {
        let name = Some(Name::from_text("Bob").unwrap());
        let rename = Command::Update(Profile { name, ..Profile::default() }, Party::Owner);
        let active = after(&account(Status::Active), &rename, at(1));
        assert_eq!((active.tm_create, active.tm_update), (at(0), at(1)));
        let frozen = after(&active, &freeze(), at(1));
        for (before, command, updated) in [
            (&active, freeze(), at(40)),
            (&active, Command::UnregisterNow, at(40)),
            (&active, Command::Delete(Reason::Delete, None), at(1)),
            (&active, hold("default"), at(1)),
            (&active, Command::Suspend, at(1)),
            (&frozen, freeze_for_operator(), at(40)),
            (&frozen, Command::ClaimPurge, at(40)),
        ] {
            assert_eq!(after(before, &command, at(40)).tm_update, updated, "{command:?}");
        }
        assert_eq!(after(&frozen, &Command::Recover(Party::Owner), at(9)).tm_update, at(9));
    }

    #[test]
    fn a_freeze_is_recorded_until_the_account_is_recovered() {
        for (freeze, by_operator) in [(freeze(), false), (freeze_for_operator(), true)] {
            let frozen = after(&account(Status::Initial), &freeze, at(1));
            let recorded = |account: &Customer| {
                let internals = &account.internals;
                (internals.frozen_from, internals.tm_freeze, internals.frozen_by_operator)
            };
            assert_eq!(recorded(&frozen), (Some(Status::Initial), Some(at(1)), by_operator));
            let recovered = after(&frozen, &Command::Recover(Party::Operator), at(2));
            assert_eq!(recorded(&recovered), (None, None, false));
        }
    }

    #[test]
    fn a_command_whose_effect_is_there_changes_nothing() {
        let active = account(Status::Active);
        let suspended = after(&active, &Command::Suspend, at(1));
        let frozen = after(&active, &freeze_for_operator(), at(1));
        let deleted = after(&active, &Command::UnregisterNow, at(1));
        let finished = after(&deleted, &Command::FinishPurge, at(2));
        for (account, command) in [
            (&active, Command::Resume),
            (&suspended, Command::Suspend),
            (&frozen, freeze_for_operator()),
            (&deleted, Command::UnregisterNow),
            (&deleted, Command::Delete(Reason::Delete, None)),
            (&finished, Command::ClaimPurge),
            (&finished, Command::FinishPurge),
        ] {
            assert!(is_unchanged(account, &command, at(9)), "{command:?}");
        }
    }

    #[test]
    fn each_claim_increments_the_epoch_until_the_purge_has_finished() {
        let mut restored = account(Status::Active);
        restored.internals.epoch = 6;
        let frozen = after(&restored, &freeze(), at(0));
        let claimed = after(&frozen, &Command::ClaimPurge, at(30));
        let resumed = after(&claimed, &Command::ClaimPurge, at(31));
        assert_eq!((claimed.internals.epoch, resumed.internals.epoch), (7, 8));
        assert!(resumed.due().is_some());
        let finished = after(&resumed, &Command::FinishPurge, at(32));
        assert_eq!((finished.internals.tm_purge, finished.due()), (Some(at(32)), None));
        assert_eq!(finished.internals.epoch, 8);
    }

    #[test]
    fn settings_and_the_billing_account_are_those_that_were_set_last() {
        let set = |rtp_debug| Command::SetMetadata(Metadata { rtp_debug }, Party::Owner);
        let debugged = after(&account(Status::Active), &set(Some(true)), at(1));
        let kept = after(&debugged, &set(None), at(2));
        assert_eq!((kept.metadata.rtp_debug, kept.tm_update), (Some(true), at(2)));
        let bill = |billing_account_id| {
            let set = Command::SetBilling(Billing { billing_account_id }, Party::Owner);
            match decide(&kept, &set, Actor::PURGE, at(3)).unwrap() {
                Transition::Changed(change) => change,
                Transition::Unchanged => panic!("{billing_account_id:?}"),
            }
        };
        for id in [Some(Id::new(at(0), [9; 10])), None] {
            let change = bill(id);
            assert_eq!(change.billing_account, id);
            assert_eq!(change.after.billing_account_id, id.map(Id::uuid).unwrap_or_default());
        }
    }

    #[test]
    fn freezing_again_keeps_the_date() {
        let first = after(&account(Status::Active), &freeze(), at(1));
        assert_eq!(first.tm_deletion_scheduled, Some(at(31)));
        let second = after(&first, &freeze(), at(9));
        assert_eq!(second.tm_deletion_scheduled, Some(at(31)));
    }

    const VERIFIED: Verification =
        Verification { email_verified: Some(true), identity_verification_status: None };

    fn with_email(customer: Customer, email: &str) -> Customer {
        let email = Some(Email::from_text(email).unwrap());
        customer.with(Profile { email, ..Profile::default() })
    }

    #[test]
    fn a_verified_address_activates_for_good_and_needs_an_address() {
        let initial = with_email(account(Status::Initial), "ann@example.com");
        let active = after(&initial, &Command::Verify(VERIFIED), at(1));
        assert_eq!((active.status, active.email_verified), (Status::Active, true));
        assert_eq!(active.tm_update, at(1));
        let doubted = Verification { email_verified: Some(false), ..VERIFIED };
        let doubted = after(&active, &Command::Verify(doubted), at(2));
        assert_eq!((doubted.status, doubted.email_verified), (Status::Active, false));

        let nowhere = account(Status::Initial);
        let refused = decide(&nowhere, &Command::Verify(VERIFIED), Actor::PURGE, at(1));
        assert!(matches!(refused, Err(Error::EmailMissing)));
        let frozen = after(&active, &freeze(), at(3));
        let refused = decide(&frozen, &Command::Verify(VERIFIED), Actor::PURGE, at(4));
        assert!(matches!(refused, Err(Error::StateInvalid(Status::Frozen))));
    }

    fn prove(email: &str) -> Command {
        Command::ProveEmail(Email::from_text(email).unwrap())
    }

    #[test]
    fn a_proven_address_activates_the_account_once() {
        let initial = with_email(account(Status::Initial), "ann@example.com");
        let active = after(&initial, &prove("Ann@EXAMPLE.com"), at(1));
        assert_eq!((active.status, active.email_verified), (Status::Active, true));
        let again = decide(&active, &prove("ann@example.com"), Actor::PURGE, at(2));
        assert!(matches!(again, Ok(Transition::Unchanged)));
    }

    #[test]
    fn a_proof_of_another_address_than_the_current_one_is_refused() {
        for (current, proven) in
            [("bob@example.com", "ann@example.com"), ("", "ann@example.com"), ("", "")]
        {
            let account = with_email(account(Status::Active), current);
            let refused = decide(&account, &prove(proven), Actor::PURGE, at(1));
            assert!(matches!(refused, Err(Error::TokenInvalid)), "{current} {proven}");
        }
        let active = with_email(account(Status::Active), "ann@example.com");
        let deleted = after(&active, &Command::UnregisterNow, at(1));
        let refused = decide(&deleted, &prove("ann@example.com"), Actor::PURGE, at(2));
        assert!(matches!(refused, Err(Error::TokenInvalid)));
    }

    #[test]
    fn a_proof_is_refused_as_any_write_of_an_owner() {
        let active = with_email(account(Status::Active), "ann@example.com");
        let frozen = after(&active, &freeze(), at(1));
        let refused = decide(&frozen, &prove("ann@example.com"), Actor::PURGE, at(2));
        assert!(matches!(refused, Err(Error::AccountFrozen { .. })));
        let suspended = after(&active, &Command::Suspend, at(1));
        let refused = decide(&suspended, &prove("ann@example.com"), Actor::PURGE, at(2));
        assert!(matches!(refused, Err(Error::AccountSuspended)));
    }

    fn update(email: &str, party: Party) -> Command {
        let email = Some(Email::from_text(email).unwrap());
        Command::Update(Profile { email, ..Profile::default() }, party)
    }

    /// Returns an active account with a verified address.
    fn verified() -> Customer {
        after(
            &with_email(account(Status::Initial), "ann@example.com"),
            &prove("ann@example.com"),
            at(1),
        )
    }

    fn texts<'a>(addresses: impl Iterator<Item = &'a Email>) -> Vec<&'a str> {
        addresses.map(Email::expose).collect()
    }

    #[test]
    fn an_address_is_reserved_by_proof_or_by_an_operator() {
        let blank = account(Status::Initial);
        let owners = after(&blank, &update("bob@example.com", Party::Owner), at(1));
        assert_eq!(texts(owners.addresses()), ["bob@example.com"]);
        assert_eq!(owners.reserved_addresses().count(), 0);
        let proven = after(&owners, &prove("bob@example.com"), at(2));
        let stated = after(&owners, &Command::Verify(VERIFIED), at(2));
        let operators = after(&blank, &update("bob@example.com", Party::Operator), at(1));
        for reserved in [&proven, &stated, &operators] {
            assert_eq!(texts(reserved.reserved_addresses()), ["bob@example.com"]);
        }
        assert!(proven.email_verified && !operators.email_verified);
        // An operator who writes the address back as it was read does not reserve it.
        let same = after(&owners, &update("Bob@example.com", Party::Operator), at(2));
        assert_eq!(same.reserved_addresses().count(), 0);
        // An address that an operator reserved and nobody proved is released when another one is set.
        let next = after(&operators, &update("eve@example.com", Party::Owner), at(2));
        assert_eq!(texts(next.addresses()), ["eve@example.com"]);
        assert_eq!(next.reserved_addresses().count(), 0);
    }

    #[test]
    fn a_verified_address_is_retained_until_the_next_one_is_proven() {
        let ann = Email::from_text("ann@example.com").unwrap();
        let mut changed = verified();
        for other in ["bob@example.com", "eve@example.com", ""] {
            changed = after(&changed, &update(other, Party::Owner), at(2));
            assert_eq!((changed.status, changed.email_verified), (Status::Active, false));
            assert_eq!(texts(changed.reserved_addresses()), ["ann@example.com"], "{other}");
            assert_eq!(changed.verified_address(), Some(ann.clone()));
            assert!(changed.has_address(&ann));
        }
        let back = after(&changed, &update("ANN@example.com", Party::Owner), at(3));
        assert!(back.email_verified && back.internals.retained_email.is_none());
        assert_eq!(texts(back.reserved_addresses()), ["ANN@example.com"]);

        let operators = after(&verified(), &update("bob@example.com", Party::Operator), at(2));
        let both = ["bob@example.com", "ann@example.com"];
        assert_eq!(texts(operators.reserved_addresses()), both);
        let owners = after(&verified(), &update("bob@example.com", Party::Owner), at(2));
        for unproven in [operators, owners] {
            for proof in [prove("bob@example.com"), Command::Verify(VERIFIED)] {
                let proven = after(&unproven, &proof, at(3));
                assert_eq!(texts(proven.addresses()), ["bob@example.com"], "{proof:?}");
                assert_eq!(texts(proven.reserved_addresses()), ["bob@example.com"]);
            }
        }
        // An operator who clears the address clears the retained one, too.
        let cleared = after(&changed, &update("eve@example.com", Party::Operator), at(3));
        let cleared = after(&cleared, &update("", Party::Operator), at(4));
        assert_eq!((cleared.verified_address(), texts(cleared.addresses())), (None, vec![""]));
    }

    #[test]
    fn a_hold_preserves_the_address_that_is_retained() {
        let changed = after(&verified(), &update("bob@example.com", Party::Owner), at(2));
        let held = after(&changed, &hold("default"), at(3));
        let refused = decide(&held, &prove("bob@example.com"), Actor::PURGE, at(4));
        assert!(matches!(refused, Err(Error::AccountPreserved)));
        let refused = decide(&held, &Command::Verify(VERIFIED), Actor::PURGE, at(4));
        assert!(matches!(refused, Err(Error::LegalHold(_))));
        // Without a retained address, a proof overwrites nothing.
        let initial = with_email(account(Status::Initial), "ann@example.com");
        let held = after(&initial, &hold("default"), at(3));
        assert!(after(&held, &prove("ann@example.com"), at(4)).email_verified);
    }

    #[test]
    fn a_repeated_verification_changes_nothing() {
        let initial = with_email(account(Status::Initial), "ann@example.com");
        for stated in [Verification::default(), VERIFIED] {
            let once = after(&initial, &Command::Verify(stated), at(1));
            let twice = decide(&once, &Command::Verify(stated), Actor::PURGE, at(2)).unwrap();
            assert!(matches!(twice, Transition::Unchanged), "{stated:?}");
        }
    }

    #[test]
    fn the_event_of_a_verification_says_whether_it_is_about_the_identity() {
        let initial = with_email(account(Status::Initial), "ann@example.com");
        let identity = Some(IdentityVerification::Pending);
        for (email_verified, identity, expected) in [
            (Some(true), None, EventType::CustomerUpdated),
            (None, identity, EventType::CustomerIdentityVerificationUpdated),
            (Some(true), identity, EventType::CustomerIdentityVerificationUpdated),
        ] {
            let stated = Verification { email_verified, identity_verification_status: identity };
            let verify = Command::Verify(stated);
            let Ok(Transition::Changed(change)) = decide(&initial, &verify, Actor::PURGE, at(1))
            else {
                panic!("{stated:?} changes the account");
            };
            assert_eq!(change.event, Some(expected), "{stated:?}");
            let after = change.after;
            let activates = email_verified.is_some();
            let expected = (activates, if activates { Status::Active } else { Status::Initial });
            assert_eq!((after.email_verified, after.status), expected, "{stated:?}");
            let identity = identity.unwrap_or(initial.identity_verification_status);
            assert_eq!(after.identity_verification_status, identity, "{stated:?}");
        }
    }

    #[test]
    fn another_address_is_unverified_and_the_same_mailbox_stays_verified() {
        let initial = with_email(account(Status::Initial), "ann@example.com");
        let active = after(&initial, &Command::Verify(VERIFIED), at(1));
        for (email, verified) in
            [("Ann@EXAMPLE.com", true), ("bob@example.com", false), ("", false)]
        {
            let email = Some(Email::from_text(email).unwrap());
            let profile = Profile { email, ..Profile::default() };
            let update = Command::Update(profile, Party::Owner);
            let updated = after(&active, &update, at(2));
            assert_eq!((updated.email_verified, updated.status), (verified, Status::Active));
        }
        let name = Some(Name::from_text("Bob").unwrap());
        let rename = Command::Update(Profile { name, ..Profile::default() }, Party::Owner);
        assert!(after(&active, &rename, at(2)).email_verified);
    }

    #[test]
    fn recovery_restores_the_status_before_the_freeze() {
        for before in [Status::Initial, Status::Active] {
            let frozen = after(&account(before), &freeze(), at(1));
            let recovered = after(&frozen, &Command::Recover(Party::Owner), at(30));
            assert_eq!((recovered.status, recovered.tm_deletion_scheduled), (before, None));
        }
    }

    #[test]
    fn an_account_is_recovered_or_purged_never_both() {
        let frozen = after(&account(Status::Active), &freeze(), at(0));
        let due = frozen.tm_deletion_scheduled.unwrap();
        for micros in -2..=2 {
            let now = Timestamp::from_micros(due.millis() * 1000 + micros).unwrap();
            let recovers =
                decide(&frozen, &Command::Recover(Party::Owner), Actor::PURGE, now).is_ok();
            let claimed = after(&frozen, &Command::ClaimPurge, now).status == Status::Deleted;
            assert!(recovers != claimed, "{micros} µs from the date");
        }
    }

    #[test]
    fn a_held_account_is_not_due_until_a_day_after_its_hold_is_lifted() {
        let frozen = after(&account(Status::Active), &freeze(), at(0));
        let held = after(&frozen, &hold("default"), at(10));
        assert_eq!(held.due(), None);
        for command in [Command::UnregisterNow, Command::Delete(Reason::Delete, None)] {
            let refused = decide(&held, &command, Actor::PURGE, at(11));
            assert!(matches!(refused, Err(Error::LegalHold(_) | Error::AccountPreserved)));
        }
        assert_eq!(after(&held, &Command::ClaimPurge, at(400)).status, Status::Frozen);
        // If the hold is lifted early, the date of the deletion stays; if late, the account is due a day later.
        assert_eq!(after(&held, &lift("default"), at(11)).due(), Some(at(30)));
        assert_eq!(after(&held, &lift("default"), at(400)).due(), Some(at(401)));
        // A hold does not extend the grace period.
        let recover = Command::Recover(Party::Owner);
        assert!(decide(&held, &recover, Actor::PURGE, at(29)).is_ok());
        assert!(matches!(
            decide(&held, &recover, Actor::PURGE, at(30)),
            Err(Error::GracePeriodEnded)
        ));
    }

    #[test]
    fn an_account_is_held_until_its_last_hold_is_lifted() {
        let frozen = after(&account(Status::Active), &freeze(), at(0));
        let held = after(&after(&frozen, &hold("case-7"), at(1)), &hold("case-8"), at(2));
        let left = after(&held, &lift("case-7"), at(400));
        assert_eq!((left.due(), left.tm_deletion_scheduled), (None, Some(at(30))));
        assert_eq!(after(&left, &lift("case-8"), at(401)).due(), Some(at(402)));
        // Lifting a hold that does not exist changes nothing.
        let again = decide(&left, &lift("case-7"), Actor::PURGE, at(401));
        assert!(matches!(again, Ok(Transition::Unchanged)));
    }

    #[test]
    fn holds_are_limited_and_one_of_the_same_name_is_replaced() {
        let mut held = account(Status::Active);
        for number in 0..MAX_HOLDS {
            held = after(&held, &hold(&format!("case-{number}")), at(1));
        }
        let refused = decide(&held, &hold("one-more"), Actor::PURGE, at(2));
        assert!(matches!(refused, Err(Error::TooManyHolds)));
        let replaced = after(&held, &hold("case-0"), at(2));
        assert_eq!(replaced.internals.holds.iter().count(), MAX_HOLDS);
        let first = replaced.internals.holds.iter().find(|(name, _)| **name == named("case-0"));
        assert_eq!(first.unwrap().1.tm_hold, at(2));
    }

    #[test]
    fn a_hold_takes_no_sequence_number() {
        let active = account(Status::Active);
        let held = after(&active, &hold("default"), at(1));
        let lifted = after(&held, &lift("default"), at(2));
        for (account, version) in [(&held, 1), (&lifted, 2)] {
            assert_eq!((account.internals.version, account.internals.sequence), (version, 0));
        }
    }

    #[test]
    fn an_operators_freeze_takes_over_an_owners_and_only_operators_undo_it() {
        let owners = after(&account(Status::Active), &freeze(), at(0));
        let taken_over = after(&owners, &freeze_for_operator(), at(5));
        assert_eq!(taken_over.tm_deletion_scheduled, Some(at(30)), "the date stays");
        for frozen in [taken_over, after(&account(Status::Active), &freeze_for_operator(), at(0))] {
            for command in [Command::Recover(Party::Owner), Command::UnregisterNow] {
                let refused = decide(&frozen, &command, Actor::PURGE, at(6));
                assert!(matches!(refused, Err(Error::AccountFrozen { recoverable: false, .. })));
            }
            let again = decide(&frozen, &freeze(), Actor::PURGE, at(6));
            assert!(matches!(again, Ok(Transition::Unchanged)), "unregistering changes nothing");
            let recovered = after(&frozen, &Command::Recover(Party::Operator), at(6));
            assert_eq!(recovered.status, Status::Active);
            let own = after(&recovered, &freeze(), at(7));
            assert!(decide(&own, &Command::Recover(Party::Owner), Actor::PURGE, at(8)).is_ok());
        }
    }

    #[test]
    fn a_suspended_account_can_be_unregistered_and_is_purged_when_due() {
        let suspended = after(&account(Status::Active), &Command::Suspend, at(1));
        assert_eq!(suspended.status, Status::Active, "the status stays");
        let update = Command::SetMetadata(Metadata::default(), Party::Owner);
        for command in [update, Command::UnregisterNow] {
            assert!(matches!(
                decide(&suspended, &command, Actor::PURGE, at(2)),
                Err(Error::AccountSuspended)
            ));
        }
        let update = Command::SetMetadata(Metadata::default(), Party::Operator);
        assert!(decide(&suspended, &update, Actor::PURGE, at(2)).is_ok());
        let frozen = after(&suspended, &freeze(), at(3));
        let recover = Command::Recover(Party::Owner);
        assert!(matches!(
            decide(&frozen, &recover, Actor::PURGE, at(4)),
            Err(Error::AccountSuspended)
        ));
        let resumed = after(&frozen, &Command::Resume, at(4));
        assert!(decide(&resumed, &recover, Actor::PURGE, at(4)).is_ok());
        let purged = after(&frozen, &Command::ClaimPurge, at(33));
        assert_eq!((purged.status, purged.internals.suspension), (Status::Deleted, None));
    }

    #[test]
    fn a_webhook_fails_until_it_works_is_another_or_is_switched_off() {
        let uri =
            |path: &str| WebhookUri::from_text(&format!("https://hook.example/{path}")).unwrap();
        let set = |uri: WebhookUri| {
            let profile = Profile { webhook_uri: Some(uri), ..Profile::default() };
            Command::Update(profile, Party::Owner)
        };
        let off = Profile { webhook_method: Some(WebhookMethod::None), ..Profile::default() };
        let active = after(&account(Status::Active), &set(uri("a")), at(1));
        assert!(is_unchanged(&active, &Command::WebhookFails(uri("b")), at(9)), "another URI");
        assert!(is_unchanged(&active, &Command::WebhookWorks(uri("a")), at(9)), "it did not fail");
        let failing = after(&active, &Command::WebhookFails(uri("a")), at(2));
        assert_eq!(failing.internals.tm_webhook_failing, Some(at(2)));
        assert_eq!(failing.internals.sequence, active.internals.sequence, "nobody is told");
        assert!(is_unchanged(&failing, &Command::WebhookFails(uri("a")), at(9)), "since then");
        assert!(is_unchanged(&failing, &Command::WebhookWorks(uri("b")), at(9)), "another URI");
        for command in [
            Command::WebhookWorks(uri("a")),
            Command::DisableWebhook(uri("a")),
            Command::Update(off, Party::Owner),
            set(uri("a")),
            set(WebhookUri::default()),
        ] {
            let ended = after(&failing, &command, at(3));
            assert_eq!(ended.internals.tm_webhook_failing, None, "{command:?}");
        }
        let frozen = after(&failing, &freeze(), at(3));
        assert!(frozen.internals.tm_webhook_failing.is_some());
        let deleted = after(&frozen, &Command::UnregisterNow, at(4));
        assert!(is_unchanged(&deleted, &Command::WebhookFails(uri("a")), at(9)));
        assert!(deleted.marks().is_empty());
    }

    #[test]
    fn a_deletion_names_its_plan_and_an_outdated_one_refuses_it() {
        let planned = account(Status::Active);
        let plan = Plan::new(&planned, &std::collections::BTreeMap::new());
        let hash = plan.hash();
        let delete = Command::Delete(Reason::Delete, Some(plan));
        let Ok(Transition::Changed(change)) = decide(&planned, &delete, Actor::PURGE, at(1)) else {
            panic!("not deleted")
        };
        assert_eq!(change.after.status, Status::Deleted);
        let Some(LedgerEntry::Requested(request)) = change.entry else { panic!("not requested") };
        assert_eq!((request.plan, request.tm_due), (Some(hash), at(1)));
        let mut grown = planned;
        grown.internals.sequence += 1;
        assert!(matches!(
            decide(&grown, &delete, Actor::PURGE, at(1)),
            Err(Error::PlanOutdated(_))
        ));
    }

    #[test]
    fn a_late_410_disables_no_webhook_that_was_set_since() {
        let webhook_uri = WebhookUri::trusted("https://example.com/new".to_owned());
        let current = Customer { webhook_uri: webhook_uri.clone(), ..account(Status::Active) };
        let gone = |uri| decide(&current, &Command::DisableWebhook(uri), Actor::PURGE, at(1));
        let replaced = WebhookUri::trusted("https://example.com/old".to_owned());
        assert!(matches!(gone(replaced), Ok(Transition::Unchanged)));
        let Ok(Transition::Changed(change)) = gone(webhook_uri) else { panic!() };
        assert!(change.after.internals.webhook_gone);
    }

    #[test]
    fn a_disabled_webhook_is_enabled_by_setting_its_uri_and_by_nothing_else() {
        let uri = WebhookUri::from_text("https://hook.example/").unwrap();
        let current = Customer { webhook_uri: uri.clone(), ..account(Status::Active) };
        let disabled = after(&current, &Command::DisableWebhook(uri.clone()), at(1));
        let name = Some(Name::from_text("Bob").unwrap());
        let rename = Profile { name, ..Profile::default() };
        let set = Profile { webhook_uri: Some(uri), ..Profile::default() };
        for (before, profile, is_gone) in
            [(&current, &rename, false), (&disabled, &rename, true), (&disabled, &set, false)]
        {
            let update = Command::Update(profile.clone(), Party::Owner);
            assert_eq!(
                after(before, &update, at(2)).internals.webhook_gone,
                is_gone,
                "{profile:?}"
            );
        }
    }

    #[test]
    fn the_project_account_is_never_frozen_or_deleted() {
        let mut own = account(Status::Active);
        own.internals.system = true;
        let delete = Command::Delete(Reason::Delete, None);
        let suspend = Command::Suspend;
        for command in [freeze(), Command::UnregisterNow, delete, suspend] {
            assert!(matches!(
                decide(&own, &command, Actor::PURGE, at(1)),
                Err(Error::LastProjectAdmin)
            ));
        }
    }

    fn party() -> impl Strategy<Value = Party> {
        prop_oneof![Just(Party::Owner), Just(Party::Operator)]
    }

    /// Returns an address with this local part; an empty text for an empty local part.
    fn address(name: &str) -> String {
        if name.is_empty() { String::new() } else { format!("{name}@example.com") }
    }

    fn commands() -> impl Strategy<Value = Command> {
        prop_oneof![
            Just(Command::Update(Profile::default(), Party::Owner)),
            party().prop_map(|by| Command::SetMetadata(Metadata { rtp_debug: Some(true) }, by)),
            party().prop_map(|by| Command::SetBilling(
                Billing { billing_account_id: Some(Id::new(at(0), [9; 10])) },
                by
            )),
            (any::<Option<bool>>(), any::<bool>()).prop_map(|(email_verified, is_known)| {
                let identity_verification_status =
                    is_known.then_some(IdentityVerification::Verified);
                Command::Verify(Verification { email_verified, identity_verification_status })
            }),
            ("[abc]?", party()).prop_map(|(name, by)| update(&address(&name), by)),
            "[abc]".prop_map(|name| prove(&address(&name))),
            Just(freeze()),
            Just(freeze_for_operator()),
            party().prop_map(Command::Recover),
            Just(Command::UnregisterNow),
            Just(Command::Delete(Reason::Delete, None)),
            "[ab]".prop_map(|name| hold(&name)),
            "[ab]".prop_map(|name| lift(&name)),
            Just(Command::Suspend),
            Just(Command::Resume),
            Just(Command::WebhookFails(WebhookUri::default())),
            Just(Command::WebhookWorks(WebhookUri::default())),
            Just(Command::ClaimPurge),
            Just(Command::FinishPurge),
        ]
    }

    proptest! {
        /// After any sequence of commands: deleted is final and blank; a frozen account has a date of deletion, and no
        /// other has; nothing is claimed before its date; versions only increase; and an account leaves the purge queue
        /// only when its purge has finished or it is recovered.
        #[test]
        fn every_sequence_of_commands_keeps_the_invariants(steps in prop::collection::vec((commands(), 0_u64..20), 0..40)) {
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
                if !before.internals.holds.is_empty() {
                    prop_assert_ne!(customer.status, Status::Deleted);
                }
                let told = event.is_some_and(|event| event.audience() == Audience::Owner);
                let numbered = customer.internals.sequence - before.internals.sequence;
                prop_assert_eq!(numbered, u64::from(told));
                if customer.internals.frozen_by_operator {
                    prop_assert_eq!(customer.status, Status::Frozen);
                }
                // A verified address is reserved, and as long as the account is not deleted, only operators take it
                // away.
                let (had, has) = (before.verified_address(), customer.verified_address());
                let reserves = |email| customer.reserved_addresses().any(|own| own == email);
                prop_assert!(has.iter().all(reserves));
                let by_operator = matches!(&command, Command::Update(_, Party::Operator) | Command::Verify(_));
                let is_lost = had.is_some() && has.is_none();
                prop_assert!(!is_lost || by_operator || customer.status == Status::Deleted);
                prop_assert!(!matches!(&command, Command::Update(_, Party::Owner)) || had == has);
            }
        }
    }
}

//! The timeline of an account's deletion: what has happened and what is to happen, and when.

use serde::Serialize;

use super::erasure::Erasure;
use super::notice::{NoticeType, reminders};
use super::receipt::BACKUPS_KEPT;
use super::{Customer, Status, Timestamp};

/// A milestone of an account's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The deletion was requested. With a grace period, the account was frozen.
    Requested,
    /// The owner is reminded by mail that a week is left.
    WeekLeft,
    /// The owner is reminded by mail that a day is left.
    DayLeft,
    /// The grace period ends.
    Due,
    /// The account was deleted. The purge of what it owned has begun, or is about to begin.
    Deleted,
    /// The purge finished.
    Finished,
    /// The erasure was complete: the last of the participants (other systems that keep something for the
    /// account) that it waited for had completed or been waived.
    Complete,
    /// The end of the time in which deleted data can be restored from backups.
    BackupsEnd,
}

/// Returns the milestones of an account's deletion, the earliest first; none if no deletion is requested, or
/// if the request was withdrawn. While a hold prevents the deletion, no due date is included. Until the purge
/// has finished, the end of backups is the earliest that is possible.
#[must_use]
pub fn timeline(customer: &Customer, erasure: Option<&Erasure>) -> Vec<(Milestone, Timestamp)> {
    let erasure = erasure.filter(|erasure| erasure.tm_withdraw.is_none());
    let request = erasure.and_then(|erasure| erasure.request.as_ref());
    let requested = request.map(|request| request.tm_request).or(customer.internals.tm_freeze);
    let due = match customer.status {
        Status::Frozen => customer.due(),
        Status::Deleted => request.map(|request| request.tm_due),
        Status::Initial | Status::Active => return Vec::new(),
    };
    let finish = erasure.and_then(|erasure| erasure.tm_finish);
    let backups = finish.or(customer.tm_delete).or(due).map(|time| time.plus(BACKUPS_KEPT));
    let dated = [
        (Milestone::Requested, requested),
        (Milestone::Due, due),
        (Milestone::Deleted, customer.tm_delete),
        (Milestone::Finished, finish),
        (Milestone::Complete, erasure.and_then(|erasure| erasure.tm_complete)),
        (Milestone::BackupsEnd, backups),
    ];
    let mut milestones: Vec<_> =
        dated.into_iter().filter_map(|(milestone, time)| Some((milestone, time?))).collect();
    if customer.status == Status::Frozen && customer.verified_address().is_some() {
        let reminders = due.into_iter().flat_map(reminders);
        milestones
            .extend(reminders.filter_map(reminder).filter(|(_, time)| Some(*time) > requested));
    }
    milestones.sort_by_key(|(_, time)| *time);
    milestones
}

fn reminder((notice, time): (NoticeType, Timestamp)) -> Option<(Milestone, Timestamp)> {
    match notice {
        NoticeType::WeekLeft => Some((Milestone::WeekLeft, time)),
        NoticeType::DayLeft => Some((Milestone::DayLeft, time)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::customer::Internals;
    use crate::domain::erasure::{ErasureRequest, Reason};
    use crate::domain::hold::{Hold, HoldName, Holds};
    use crate::domain::lifecycle::GRACE;
    use crate::domain::value::{Email, FromText as _};
    use crate::domain::{Actor, Id};

    fn at(days: u64) -> Timestamp {
        let epoch = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        epoch.plus(Duration::from_hours(days * 24))
    }

    fn active() -> Customer {
        let email = Email::from_text("ann@example.com").unwrap();
        let blank = Customer::blank(Id::new(at(0), [1; 10]), at(0));
        Customer { status: Status::Active, email, email_verified: true, ..blank }
    }

    fn frozen() -> Customer {
        let internals = Internals { tm_freeze: Some(at(1)), ..Internals::default() };
        let tm_deletion_scheduled = Some(at(1).plus(GRACE));
        Customer { status: Status::Frozen, tm_deletion_scheduled, internals, ..active() }
    }

    fn requested() -> Erasure {
        let request = ErasureRequest {
            reason: Reason::Unregister,
            by: Actor::PURGE,
            tm_request: at(1),
            tm_due: at(31),
            plan: None,
        };
        Erasure { request: Some(request), ..Erasure::blank(active().id) }
    }

    #[test]
    fn a_frozen_account_is_reminded_and_due_and_its_backups_end() {
        use Milestone::{BackupsEnd, DayLeft, Due, Requested, WeekLeft};
        let expected = [
            (Requested, at(1)),
            (WeekLeft, at(24)),
            (DayLeft, at(30)),
            (Due, at(31)),
            (BackupsEnd, at(66)),
        ];
        assert_eq!(timeline(&frozen(), Some(&requested())), expected);
        assert_eq!(timeline(&frozen(), None), expected, "without a row in the ledger");
    }

    #[test]
    fn an_account_without_a_verified_address_is_not_reminded() {
        use Milestone::{BackupsEnd, Due, Requested};
        let unverified = Customer { email_verified: false, ..frozen() };
        let expected = [(Requested, at(1)), (Due, at(31)), (BackupsEnd, at(66))];
        assert_eq!(timeline(&unverified, Some(&requested())), expected);
    }

    #[test]
    fn a_reminder_that_would_not_have_been_due_after_the_request_is_left_out() {
        for day in [4, 8] {
            let short = Customer { tm_deletion_scheduled: Some(at(day)), ..frozen() };
            let milestones = timeline(&short, Some(&requested()));
            assert!(milestones.iter().all(|(milestone, _)| *milestone != Milestone::WeekLeft));
            assert!(milestones.contains(&(Milestone::DayLeft, at(day - 1))), "{milestones:?}");
        }
    }

    #[test]
    fn nothing_is_due_while_an_account_is_held() {
        let case = Hold { reason: "Case 7".to_owned(), by: Actor::PURGE, tm_hold: at(2) };
        let mut held = frozen();
        held.internals.holds = Holds::default().with(HoldName::parse("case-7").unwrap(), case);
        assert_eq!(timeline(&held, Some(&requested())), [(Milestone::Requested, at(1))]);
    }

    #[test]
    fn an_erased_account_has_what_was_done_and_nothing_that_is_to_come_but_the_end_of_backups() {
        use Milestone::{BackupsEnd, Complete, Deleted, Due, Finished, Requested};
        let deleted = Customer {
            status: Status::Deleted,
            tm_delete: Some(at(31)),
            ..Customer::blank(active().id, at(0))
        };
        let finished =
            Erasure { tm_finish: Some(at(32)), tm_complete: Some(at(40)), ..requested() };
        let expected = [
            (Requested, at(1)),
            (Due, at(31)),
            (Deleted, at(31)),
            (Finished, at(32)),
            (Complete, at(40)),
            (BackupsEnd, at(67)),
        ];
        assert_eq!(timeline(&deleted, Some(&finished)), expected);
    }

    #[test]
    fn a_live_account_has_no_timeline() {
        assert!(timeline(&active(), None).is_empty());
        let withdrawn = Erasure { tm_withdraw: Some(at(2)), ..requested() };
        assert!(timeline(&active(), Some(&withdrawn)).is_empty());
    }
}

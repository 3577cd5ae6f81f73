//! Notices: the messages that an account's owner gets by mail about changes of the account, when each is due, and
//! whether it is still true when it is sent.
//!
//! Only a verified address gets notices, because an unproven one may belong to a stranger.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::Email;
use super::{Customer, Status, Timestamp};

/// Lifetime of a notice: 7 days. A notice that was not sent by then is dropped.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// How long a notice that goes to a former address of the account keeps that address: 24 hours.
pub const SEALED_LIFETIME: Duration = Duration::from_hours(24);

/// Delay before the sender looks again for the receipt that the notice of an erasure contains, if there is
/// none yet: 5 minutes.
pub const RECEIPT_WAIT: Duration = Duration::from_mins(5);

/// Retry schedule of mail: the delays after the first five failed attempts. The sixth attempt is the last.
const RETRY_SCHEDULE: [Duration; 5] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(6),
];

const DAY: Duration = Duration::from_hours(24);

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Type of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeType {
    /// The account was frozen and will be deleted.
    Frozen,
    /// Reminder: the account will be deleted in a week.
    WeekLeft,
    /// Reminder: the account will be deleted in a day.
    DayLeft,
    /// The account was recovered.
    Recovered,
    /// The account was deleted and erased. The notice contains the receipt.
    Erased,
    /// The account's e-mail address was changed.
    AddressChanged,
    /// An agent's password was changed.
    PasswordChanged,
    /// An access key that can administer the account was created.
    AdminKeyCreated,
    /// An operator suspended the account.
    Suspended,
}

/// An occasion for notices: a change of an account that its owner is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The account was frozen.
    Frozen,
    /// The account was recovered.
    Recovered,
    /// The account was deleted.
    Deleted,
    /// The account's e-mail address was changed.
    AddressChanged,
    /// An agent's password was changed.
    PasswordChanged,
    /// An access key that can administer the account was created.
    AdminKeyCreated,
    /// An operator suspended the account.
    Suspended,
}

/// When a notice is due.
#[derive(Clone, Copy, Debug)]
enum When {
    AtOnce,
    /// The notice is due this long before the deletion.
    BeforeDeletion(Duration),
}

/// Which of the account's addresses a notice is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recipient {
    /// The verified address that the account has when the notice is sent.
    Current,
    /// The verified address that the account had before, which is stored in the notice.
    Former,
}

/// Which notices each occasion causes, when they are due, and to which address.
const SENT: &[(Occasion, NoticeType, When, Recipient)] = &[
    (Occasion::Frozen, NoticeType::Frozen, When::AtOnce, Recipient::Current),
    (Occasion::Frozen, NoticeType::WeekLeft, When::BeforeDeletion(WEEK), Recipient::Current),
    (Occasion::Frozen, NoticeType::DayLeft, When::BeforeDeletion(DAY), Recipient::Current),
    (Occasion::Recovered, NoticeType::Recovered, When::AtOnce, Recipient::Current),
    (Occasion::Deleted, NoticeType::Erased, When::AtOnce, Recipient::Former),
    (Occasion::AddressChanged, NoticeType::AddressChanged, When::AtOnce, Recipient::Former),
    (Occasion::PasswordChanged, NoticeType::PasswordChanged, When::AtOnce, Recipient::Current),
    (Occasion::AdminKeyCreated, NoticeType::AdminKeyCreated, When::AtOnce, Recipient::Current),
    (Occasion::Suspended, NoticeType::Suspended, When::AtOnce, Recipient::Current),
];

/// A notice that waits to be sent.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Type of the notice.
    pub notice_type: NoticeType,
    /// Time from which the notice may be sent.
    pub not_before: Timestamp,
    /// Time at which the notice is dropped if it has not been sent.
    pub until: Timestamp,
    /// Time of the event that the notice is about.
    pub tm_event: Timestamp,
    /// When the account's deletion was due after the change that the notice is about; `None` if none was scheduled.
    pub tm_deletion_scheduled: Option<Timestamp>,
    /// The former address that the notice is sent to; `None` for the verified address that the account has when it is
    /// sent.
    pub to: Option<Email>,
}

/// Decision on a notice that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Send it to this address.
    Send(Email),
    /// Look again later: the notice must contain the erasure's receipt, which does not exist yet.
    Wait,
    /// Drop it: it is no longer true, is too old, or has no address to go to.
    Drop,
}

impl NoticeType {
    /// Returns the name under which the type is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::WeekLeft => "week_left",
            Self::DayLeft => "day_left",
            Self::Recovered => "recovered",
            Self::Erased => "erased",
            Self::AddressChanged => "address_changed",
            Self::PasswordChanged => "password_changed",
            Self::AdminKeyCreated => "admin_key_created",
            Self::Suspended => "suspended",
        }
    }
}

impl Occasion {
    /// Returns the occasion of a change from `before` to `after`; `None` if the owner is not notified of it.
    fn of(before: &Customer, after: &Customer) -> Option<Self> {
        match (before.status, after.status) {
            (Status::Deleted, _) => None,
            (_, Status::Deleted) => Some(Self::Deleted),
            (Status::Initial | Status::Active, Status::Frozen) => Some(Self::Frozen),
            (Status::Frozen, Status::Initial | Status::Active) => Some(Self::Recovered),
            _ if before.internals.suspension.is_none() && after.internals.suspension.is_some() => {
                Some(Self::Suspended)
            }
            _ if before.email.is_same_mailbox(&after.email) || after.email_verified => None,
            _ => Some(Self::AddressChanged),
        }
    }
}

/// Returns the reminders of a deletion that is due at `due`, with the time of each.
pub fn reminders(due: Timestamp) -> impl Iterator<Item = (NoticeType, Timestamp)> {
    SENT.iter().filter_map(move |(_, notice_type, when, _)| match when {
        When::AtOnce => None,
        When::BeforeDeletion(time) => Some((*notice_type, due.minus(*time))),
    })
}

impl Notice {
    /// Returns the notices that the change of an account from `before` to `after` causes at `now`.
    #[must_use]
    pub fn caused(before: &Customer, after: &Customer, now: Timestamp) -> Vec<Self> {
        let occasion = Occasion::of(before, after);
        occasion.map(|occasion| Self::on(occasion, before, after, now)).unwrap_or_default()
    }

    /// Returns the notices that an `occasion` at `now` causes; `before` is the account as it was until then.
    /// Omits reminders whose time has passed. Returns none if the account had no verified address.
    #[must_use]
    pub fn on(
        occasion: Occasion,
        before: &Customer,
        after: &Customer,
        now: Timestamp,
    ) -> Vec<Self> {
        let Some(address) = before.verified_address() else { return Vec::new() };
        let rows = SENT.iter().filter(|(of, ..)| *of == occasion);
        rows.filter_map(|(_, notice_type, when, recipient)| {
            let not_before = match when {
                When::AtOnce => now,
                When::BeforeDeletion(time) => {
                    Some(after.tm_deletion_scheduled?.minus(*time)).filter(|due| *due > now)?
                }
            };
            let is_sealed = *recipient == Recipient::Former;
            Some(Self {
                notice_type: *notice_type,
                not_before,
                until: not_before.plus(if is_sealed { SEALED_LIFETIME } else { LIFETIME }),
                tm_event: now,
                tm_deletion_scheduled: after.tm_deletion_scheduled,
                to: is_sealed.then(|| address.clone()),
            })
        })
        .collect()
    }

    /// Returns what is to be done with the notice at `now`, given its account and whether the erasure has a
    /// receipt. Notices of a freeze are dropped unless the account is still frozen with the same date of
    /// deletion, so a recovery or a hold need not withdraw them.
    #[must_use]
    pub fn judge(&self, account: &Customer, has_receipt: bool, now: Timestamp) -> Judgement {
        let is_true = match self.notice_type {
            NoticeType::Frozen | NoticeType::WeekLeft | NoticeType::DayLeft => {
                account.status == Status::Frozen
                    && account.due().is_some_and(|due| due > now)
                    && account.due() == self.tm_deletion_scheduled
            }
            NoticeType::Recovered => account.status.is_live(),
            NoticeType::Suspended => account.internals.suspension.is_some(),
            NoticeType::PasswordChanged | NoticeType::AdminKeyCreated => {
                account.status != Status::Deleted
            }
            NoticeType::Erased | NoticeType::AddressChanged => true,
        };
        if now >= self.until || !is_true {
            return Judgement::Drop;
        }
        if self.notice_type == NoticeType::Erased && !has_receipt {
            return Judgement::Wait;
        }
        let to = self.to.clone().or_else(|| account.verified_address());
        to.map_or(Judgement::Drop, Judgement::Send)
    }

    /// Returns when the sender tries the notice again after a failed attempt; see [`next_attempt`].
    #[must_use]
    pub fn next_attempt(&self, made: u64, now: Timestamp) -> Option<Timestamp> {
        next_attempt(made, self.until, now)
    }
}

/// Returns when the sender tries a mail again if the attempt at `now` fails, after `made` earlier attempts. `None` if
/// it was the last attempt, or if the mail is dropped at `until`, before the next one.
#[must_use]
pub fn next_attempt(made: u64, until: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let wait = RETRY_SCHEDULE.get(usize::try_from(made).ok()?)?;
    Some(now.plus(*wait)).filter(|next| *next < until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::{Internals, Suspension};
    use crate::domain::lifecycle::GRACE;
    use crate::domain::value::FromText as _;
    use crate::domain::{Actor, Id};

    fn at(days: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_hours(days * 24))
    }

    fn active() -> Customer {
        let email = Email::from_text("ann@example.com").unwrap();
        let blank = Customer::blank(Id::new(at(0), [1; 10]), at(0));
        Customer { status: Status::Active, email_verified: true, email, ..blank }
    }

    fn frozen() -> Customer {
        let tm_deletion_scheduled = Some(at(0).plus(GRACE));
        Customer { status: Status::Frozen, tm_deletion_scheduled, ..active() }
    }

    fn types(notices: &[Notice]) -> Vec<(NoticeType, Timestamp)> {
        notices.iter().map(|notice| (notice.notice_type, notice.not_before)).collect()
    }

    #[test]
    fn a_frozen_account_gets_three_notices_and_none_that_is_in_the_past() {
        use NoticeType::{DayLeft, Frozen, WeekLeft};
        let all = types(&Notice::caused(&active(), &frozen(), at(0)));
        assert_eq!(all, [(Frozen, at(0)), (WeekLeft, at(23)), (DayLeft, at(29))]);
        let late = types(&Notice::caused(&active(), &frozen(), at(23)));
        assert_eq!(late, [(Frozen, at(23)), (DayLeft, at(29))]);
    }

    #[test]
    fn a_notice_is_kept_for_a_week_and_one_to_a_former_address_for_a_day() {
        let untils = |after: &Customer| -> Vec<_> {
            Notice::caused(&active(), after, at(0)).iter().map(|notice| notice.until).collect()
        };
        assert_eq!(untils(&frozen()), [at(7), at(30), at(36)]);
        let deleted = Customer { status: Status::Deleted, ..active() };
        assert_eq!(untils(&deleted), [at(1)]);
        assert!(Notice::caused(&deleted, &deleted, at(1)).is_empty(), "it is told once");
    }

    #[test]
    fn a_notice_of_a_recovery_is_sent_while_the_account_lives_and_of_access_until_it_is_deleted() {
        let recovered = Notice::caused(&frozen(), &active(), at(1));
        assert_eq!(types(&recovered), [(NoticeType::Recovered, at(1))]);
        let on = |occasion| Notice::on(occasion, &active(), &active(), at(1));
        let (send, deleted) =
            (Judgement::Send(active().email), Customer { status: Status::Deleted, ..active() });
        for (notices, while_frozen) in [
            (recovered, Judgement::Drop),
            (on(Occasion::PasswordChanged), send.clone()),
            (on(Occasion::AdminKeyCreated), send.clone()),
        ] {
            let [notice] = notices.as_slice() else { panic!("one") };
            assert_eq!(notice.judge(&active(), false, at(2)), send);
            assert_eq!(notice.judge(&frozen(), false, at(2)), while_frozen, "{notice:?}");
            assert_eq!(notice.judge(&deleted, false, at(2)), Judgement::Drop);
        }
    }

    #[test]
    fn a_type_is_stored_by_the_name_that_json_has() {
        for (_, notice_type, ..) in SENT {
            assert_eq!(serde_json::to_value(notice_type).unwrap(), notice_type.name());
        }
    }

    #[test]
    fn only_a_verified_address_gets_notices() {
        let unverified = Customer { email_verified: false, ..active() };
        let withheld = Email::from_text("[email protected]").unwrap();
        for before in [unverified, Customer { email: withheld, ..active() }] {
            assert!(Notice::caused(&before, &frozen(), at(0)).is_empty(), "{before:?}");
        }
    }

    #[test]
    fn a_notice_is_sent_only_while_it_is_true() {
        let notices = Notice::caused(&active(), &frozen(), at(0));
        let [_, week, _] = notices.as_slice() else { panic!("three") };
        let send = Judgement::Send(active().email);
        assert_eq!(week.judge(&frozen(), false, at(23)), send);
        assert_eq!(week.judge(&active(), false, at(23)), Judgement::Drop, "recovered");
        let later = Customer { tm_deletion_scheduled: Some(at(40)), ..frozen() };
        assert_eq!(week.judge(&later, false, at(23)), Judgement::Drop, "frozen for another date");
        assert_eq!(week.judge(&frozen(), false, at(30)), Judgement::Drop, "a week late");
        let day = &notices[2];
        assert_eq!(day.judge(&frozen(), false, at(30)), Judgement::Drop, "due already");
        let unverified = Customer { email_verified: false, ..frozen() };
        assert_eq!(week.judge(&unverified, false, at(23)), Judgement::Drop);
    }

    #[test]
    fn the_last_mail_waits_for_the_receipt_for_a_day() {
        let deleted = Customer { status: Status::Deleted, ..Customer::blank(active().id, at(0)) };
        let notices = Notice::caused(&frozen(), &deleted, at(30));
        let [last] = notices.as_slice() else { panic!("one") };
        assert_eq!(last.judge(&deleted, false, at(30)), Judgement::Wait);
        assert_eq!(last.judge(&deleted, true, at(30)), Judgement::Send(active().email));
        assert_eq!(last.judge(&deleted, true, at(31)), Judgement::Drop);
    }

    #[test]
    fn the_former_address_is_notified_of_a_change_and_not_of_a_respelling() {
        let other = Email::from_text("eve@example.com").unwrap();
        let changed = Customer { email: other, email_verified: false, ..active() };
        let notices = Notice::caused(&active(), &changed, at(1));
        let [notice] = notices.as_slice() else { panic!("one") };
        assert_eq!(notice.judge(&changed, false, at(1)), Judgement::Send(active().email));
        let spelt = Customer { email: Email::from_text("ANN@Example.com").unwrap(), ..active() };
        assert!(Notice::caused(&active(), &spelt, at(1)).is_empty());
        // The verified address is retained, and notified of each change but one that makes it the current address
        // again.
        let mut retaining = changed;
        retaining.internals.retained_email = Some(active().email);
        let third = Email::from_text("joe@example.com").unwrap();
        let again = Customer { email: third, ..retaining.clone() };
        let notices = Notice::caused(&retaining, &again, at(2));
        let [notice] = notices.as_slice() else { panic!("one") };
        assert_eq!(notice.judge(&again, false, at(2)), Judgement::Send(active().email));
        assert!(Notice::caused(&retaining, &active(), at(2)).is_empty());
    }

    #[test]
    fn a_notice_of_a_suspension_is_sent_while_it_lasts() {
        let suspension = Some(Suspension { by: Actor::PURGE, tm_suspend: at(1) });
        let internals = Internals { suspension, ..Internals::default() };
        let suspended = Customer { internals, ..active() };
        let notices = Notice::caused(&active(), &suspended, at(1));
        let [notice] = notices.as_slice() else { panic!("one") };
        assert_eq!(notice.judge(&suspended, false, at(1)), Judgement::Send(active().email));
        assert_eq!(notice.judge(&active(), false, at(1)), Judgement::Drop, "resumed");
        assert!(Notice::caused(&suspended, &suspended, at(2)).is_empty());
        assert!(Notice::caused(&suspended, &active(), at(2)).is_empty());
    }

    #[test]
    fn attempts_end_before_the_notice_does() {
        let deleted = Customer { status: Status::Deleted, ..Customer::blank(active().id, at(0)) };
        let notices = Notice::caused(&active(), &deleted, at(0));
        let next = |made, now| notices[0].next_attempt(made, now);
        assert_eq!(next(0, at(0)), Some(at(0).plus(Duration::from_mins(1))));
        assert_eq!(next(5, at(0)), None, "the last attempt");
        let (last, moment) = (at(1).minus(Duration::from_mins(1)), Duration::from_micros(1));
        assert_eq!(next(0, last.minus(moment)), Some(at(1).minus(moment)));
        assert_eq!(next(0, last), None, "it would be too late");
    }
}

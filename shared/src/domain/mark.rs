//! Marks: states of an account, such as held or suspended, for each of which operators can list the accounts.

use super::{Customer, Timestamp};

/// A state of an account for which operators can list the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The account is frozen and has a date of deletion, whether it is held or not.
    Scheduled,
    /// The account is held.
    Held,
    /// The account is suspended.
    Suspended,
    /// Retries of deliveries to the account's webhook have been failing.
    FailingWebhook,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Self; 4] = [Self::Scheduled, Self::Held, Self::Suspended, Self::FailingWebhook];

    /// Returns the mark's name in keys and page tokens. No status has the same name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Held => "held",
            Self::Suspended => "suspended",
            Self::FailingWebhook => "failing",
        }
    }

    /// Whether the list of accounts with this mark is sorted from the earliest to the latest time; otherwise
    /// it is sorted from the latest to the earliest.
    #[must_use]
    pub const fn is_ascending(self) -> bool {
        matches!(self, Self::Scheduled)
    }
}

impl Customer {
    /// Returns the account's marks, each with the time by which the account is sorted in the list of that mark: the
    /// date of its deletion for [`Mark::Scheduled`], its creation for any other. The project's own account is in no
    /// list.
    #[must_use]
    pub fn marks(&self) -> Vec<(Mark, Timestamp)> {
        let internals = &self.internals;
        if internals.system {
            return Vec::new();
        }
        let marked = |mark, is_so: bool| is_so.then_some((mark, self.tm_create));
        let scheduled = self.tm_deletion_scheduled.map(|due| (Mark::Scheduled, due));
        let others = [
            marked(Mark::Held, !internals.holds.is_empty()),
            marked(Mark::Suspended, internals.suspension.is_some()),
            marked(Mark::FailingWebhook, internals.tm_webhook_failing.is_some()),
        ];
        scheduled.into_iter().chain(others.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::Suspension;
    use crate::domain::hold::{Hold, HoldName};
    use crate::domain::{Actor, Id, Status};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn an_account_has_a_mark_per_state_and_the_projects_own_has_none() {
        let mut account = Customer::blank(Id::new(at(1), [1; 10]), at(1));
        assert!(account.marks().is_empty());
        (account.status, account.tm_deletion_scheduled) = (Status::Frozen, Some(at(9)));
        account.internals.suspension = Some(Suspension { by: Actor::PURGE, tm_suspend: at(2) });
        account.internals.tm_webhook_failing = Some(at(3));
        let created = |mark| (mark, at(1));
        let expected =
            [(Mark::Scheduled, at(9)), created(Mark::Suspended), created(Mark::FailingWebhook)];
        assert_eq!(account.marks(), expected);
        account.internals.system = true;
        assert!(account.marks().is_empty());
    }

    #[test]
    fn no_mark_has_the_name_of_a_status_or_of_another_mark() {
        for (number, mark) in Mark::ALL.into_iter().enumerate() {
            assert!(Status::parse(mark.name()).is_none(), "{mark:?}");
            assert!(
                Mark::ALL[..number].iter().all(|other| other.name() != mark.name()),
                "{mark:?}"
            );
        }
    }

    #[test]
    fn only_dates_of_deletion_are_listed_the_earliest_first() {
        let ascending = Mark::ALL.into_iter().filter(|mark| mark.is_ascending());
        assert_eq!(ascending.collect::<Vec<_>>(), [Mark::Scheduled]);
    }

    #[test]
    fn an_account_that_is_held_is_marked() {
        let mut account = Customer::blank(Id::new(at(1), [1; 10]), at(1));
        let hold = Hold { reason: "a".to_owned(), by: Actor::PURGE, tm_hold: at(2) };
        account.internals.holds = account.internals.holds.with(HoldName::default_name(), hold);
        assert_eq!(account.marks(), [(Mark::Held, at(1))]);
    }
}

//! The backfill: a job that adds index keys and markers (items that list an account under a
//! [mark](super::mark)) to accounts that were last written by a version of this program that did not write
//! them. This module defines the order in which the backfill visits accounts, and the position from which an
//! interrupted backfill continues.

use std::fmt;

use super::Status;
use super::find::{Cursor, Filter};

/// Accounts that a backfill still has to visit: first all accounts that are not deleted, then the deleted
/// ones. Within each of these two groups, the newest accounts come first.
///
/// No account is missed: each group is ordered by time of creation, which never changes, and an account can
/// move only from the first group to the second. [`Display`](fmt::Display) writes the text from which the
/// next call continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unvisited {
    filter: Filter,
    /// Cursor of the next page in the group that `filter` selects; `None` for the group's first page.
    after: Option<Cursor>,
}

/// The two groups of accounts, in order: the text that stands for the start of the group, and the status that
/// selects its accounts (`None`: all that are not deleted).
const PARTS: [(&str, Option<Status>); 2] = [("live", None), ("deleted", Some(Status::Deleted))];

impl Unvisited {
    /// Returns the start of a backfill: all accounts are still to be visited.
    #[must_use]
    pub const fn all() -> Self {
        Self::part(None)
    }

    const fn part(status: Option<Status>) -> Self {
        Self { filter: Filter::Created { status, after: None, before: None }, after: None }
    }

    /// Reads the position that an earlier call wrote as `text`; `None` if `text` is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        PARTS.into_iter().find_map(|(word, status)| {
            let part = Self::part(status);
            if text == word {
                return Some(part);
            }
            let after = part.filter.cursor(text)?;
            Some(Self { after: Some(after), ..part })
        })
    }

    /// Returns the filter that selects the group of accounts to visit next.
    #[must_use]
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns the cursor of the next page in the group that [`filter`](Self::filter()) selects; `None` for its
    /// first page.
    #[must_use]
    pub const fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Returns the accounts left after a page was visited. `next` is the token of the next page in the same
    /// group, if there is one. `None` if no accounts are left.
    #[must_use]
    pub fn beyond(&self, next: Option<&str>) -> Option<Self> {
        match next {
            Some(token) => Self::parse(token),
            None => {
                (*self.filter() == Self::all().filter).then(|| Self::part(Some(Status::Deleted)))
            }
        }
    }
}

impl fmt::Display for Unvisited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.after {
            Some(after) => f.write_str(&self.filter.token(after)),
            None if *self == Self::all() => f.write_str(PARTS[0].0),
            None => f.write_str(PARTS[1].0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Id, Timestamp};

    #[test]
    fn live_accounts_come_first_then_deleted_ones_then_none() {
        let all = Unvisited::all();
        let deleted = all.beyond(None).unwrap();
        assert_eq!((all.to_string(), deleted.to_string()), ("live".into(), "deleted".into()));
        assert_eq!(deleted.beyond(None), None);
    }

    #[test]
    fn text_leads_back_to_where_it_was_written() {
        let now = Timestamp::from_micros(1_700_000_000_000_001).unwrap();
        for cursor in
            [Cursor::Created(now, None), Cursor::Created(now, Some(Id::new(now, [1; 10])))]
        {
            for part in [Unvisited::all(), Unvisited::part(Some(Status::Deleted))] {
                let left = part.beyond(Some(&part.filter.token(&cursor))).unwrap();
                assert_eq!((&left.filter, &left.after), (&part.filter, &Some(cursor.clone())));
                assert_eq!(Unvisited::parse(&left.to_string()), Some(left));
            }
        }
        for text in ["", "active", "deleted~", "x"] {
            assert_eq!(Unvisited::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_listed_from_its_place_on() {
        let all = Unvisited::all();
        assert_eq!(
            (all.after(), all.filter()),
            (None, &Filter::Created { status: None, after: None, before: None })
        );
        assert_eq!(Unvisited::parse("live"), Some(all));
        let deleted = Unvisited::parse("deleted").unwrap();
        assert_eq!(deleted, Unvisited::part(Some(Status::Deleted)));
        let time = Timestamp::parse("2024-01-15T10:30:00Z").unwrap();
        let left = Unvisited::parse("deleted~2024-01-15T10:30:00Z").unwrap();
        assert_eq!(
            (left.filter(), left.after()),
            (deleted.filter(), Some(&Cursor::Created(time, None)))
        );
        assert_eq!(left.beyond(None), None);
    }
}

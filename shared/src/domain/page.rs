//! Pages of lists.

use super::{Customer, Status};

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Token of the next page: a cursor as text. `None` if no row follows.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Returns a page without rows.
    #[must_use]
    pub const fn empty() -> Self {
        Self { rows: Vec::new(), next: None }
    }

    /// Returns this page of the items of `account`, or an empty page if the account is deleted, even if its purge has
    /// not finished.
    #[must_use]
    pub fn unless_deleted(self, account: &Customer) -> Self {
        if account.status == Status::Deleted { Self::empty() } else { self }
    }

    /// Returns a page of the first `size` of `rows`. If there are more rows, `token` makes the next page's
    /// token from the last row of this page.
    pub fn cut(mut rows: Vec<T>, size: usize, token: impl Fn(&T) -> String) -> Self {
        let follows = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| follows).map(token);
        Self { rows, next }
    }
}

/// Maximum and default page size.
pub const MAX_PAGE_SIZE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Id, Timestamp};

    #[test]
    fn a_page_has_a_next_one_only_if_a_row_follows() {
        let cut = |rows| {
            let page = Page::cut(rows, 2, ToString::to_string);
            (page.rows, page.next)
        };
        assert_eq!(cut(vec![]), (vec![], None));
        assert_eq!(cut(vec![1, 2]), (vec![1, 2], None));
        assert_eq!(cut(vec![1, 2, 3]), (vec![1, 2], Some("2".to_owned())));
    }

    #[test]
    fn what_a_deleted_account_owns_is_not_shown() {
        let now = Timestamp::MAX;
        let account = |status| Customer { status, ..Customer::blank(Id::new(now, [1; 10]), now) };
        let page = || Page { rows: vec![1], next: Some("1".to_owned()) };
        let shown = page().unless_deleted(&account(Status::Frozen));
        assert_eq!((shown.rows, shown.next), (vec![1], Some("1".to_owned())));
        let hidden = page().unless_deleted(&account(Status::Deleted));
        assert_eq!((hidden.rows, hidden.next), (vec![], None));
    }
}

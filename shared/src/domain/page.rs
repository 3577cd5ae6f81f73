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

    /// Returns the page of what an account owns: that of a deleted one is empty, even if the purge is not yet done.
    #[must_use]
    pub fn unless_deleted(self, account: &Customer) -> Self {
        if account.status == Status::Deleted { Self::empty() } else { self }
    }

    /// Returns the first `size` of `rows`; if there are more, with the `token` of the last as the next page's.
    pub fn cut(mut rows: Vec<T>, size: usize, token: impl Fn(&T) -> String) -> Self {
        let follows = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| follows).map(token);
        Self { rows, next }
    }
}

/// Maximum and default page size.
pub const MAX_PAGE_SIZE: usize = 100;

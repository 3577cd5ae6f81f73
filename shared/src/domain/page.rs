//! Pages of lists.

/// One page, newest first.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page starts: a cursor in its text form. `None` when no row follows.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page without rows.
    #[must_use]
    pub const fn empty() -> Self {
        Self { rows: Vec::new(), next: None }
    }

    /// The first `size` of `rows`. If there are more, another page follows, behind the `token` of the last.
    pub fn cut(mut rows: Vec<T>, size: usize, token: impl Fn(&T) -> String) -> Self {
        let follows = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| follows).map(token);
        Self { rows, next }
    }
}

/// Maximum and default page size.
pub const MAX_PAGE_SIZE: usize = 100;

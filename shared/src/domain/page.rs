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
}

/// The most rows a page has, and how many it has when nobody says.
pub const MAX_PAGE_SIZE: usize = 100;

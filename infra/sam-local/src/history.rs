//! A list that keeps only its latest entries, such as log lines or events, so that a stack can run for weeks
//! without filling the memory.

use std::{collections::VecDeque, sync::Mutex};

use crate::sync::lock;

/// The latest entries of a list; older ones are dropped.
pub(crate) struct History<T> {
    capacity: usize,
    entries: Mutex<VecDeque<T>>,
}

impl<T: Clone> History<T> {
    /// Returns an empty history that keeps `capacity` entries.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn push(&self, entry: T) {
        let mut entries = lock(&self.entries);
        entries.push_back(entry);
        if entries.len() > self.capacity {
            entries.pop_front();
        }
    }

    /// Returns the entries that are kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<T> {
        lock(&self.entries).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::History;

    #[test]
    fn the_latest_entries_are_kept() {
        let history = History::new(2);
        for entry in 1..=3 {
            history.push(entry);
        }
        assert_eq!(history.entries(), [2, 3]);
        let none = History::new(0);
        none.push(1);
        assert!(none.entries().is_empty());
    }
}

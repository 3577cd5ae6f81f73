//! The mail breaker: limits the messages that the installation sends within an hour.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{Error, Timestamp};
use crate::store::Store;

/// State of the mail breaker during one run of the function that sends mail. The breaker is open when the
/// hour's limit is used up and nothing more is sent. Once open, it stays open until the run ends.
pub(super) struct Breaker<'a> {
    store: &'a Store,
    /// Maximum number of messages within an hour; `None` if there is no limit.
    per_hour: Option<u64>,
    is_open: AtomicBool,
}

impl<'a> Breaker<'a> {
    /// Returns a closed breaker, which lets messages through.
    pub(super) const fn new(store: &'a Store, per_hour: Option<u64>) -> Self {
        Self { store, per_hour, is_open: AtomicBool::new(false) }
    }

    /// Whether this run has found the hour's limit of messages used up.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Counts a message before it is sent; returns false if the hour's limit is used up. A message that two runs
    /// attempt at once is counted twice: the limit is never exceeded, but may not quite be reached.
    pub(super) async fn admits(&self, now: Timestamp) -> Result<bool, Error> {
        let Some(per_hour) = self.per_hour else { return Ok(true) };
        let admits = !self.is_open() && self.store.count_message(per_hour, now).await?;
        if !admits {
            self.is_open.store(true, Ordering::Relaxed);
        }
        Ok(admits)
    }
}

//! The purge's work queue.

use serde::Deserialize;

use super::queue::QueueCursor;
use super::{Store, key};
use crate::domain::{Customer, Error, Id, Timestamp};

/// A due account.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// The account.
    pub id: Id<Customer>,
    /// When it fell due.
    pub since: Timestamp,
}

/// Stage of a due account's purge. Each has partitions of its own in index `due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeStage {
    /// A run has claimed the account.
    Claimed,
    /// No run has claimed the account.
    Unclaimed,
}

impl PurgeStage {
    /// The cursor of the stage's first page.
    #[must_use]
    pub fn beginning(self) -> QueueCursor {
        QueueCursor::beginning(match self {
            Self::Claimed => key::BEGUN,
            Self::Unclaimed => key::DUE,
        })
    }
}

impl Store {
    /// Returns a page of accounts that were due at `until`, those that have waited longest first, and the
    /// cursor of the next page. A page may be empty with more behind it.
    pub async fn list_due(
        &self,
        cursor: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<Due>, QueueCursor), Error> {
        let (items, next) = self.list_queued(&self.accounts, cursor, until).await?;
        let mut found = items.iter().map(DueKey::due).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|due| due.since);
        Ok((found, next))
    }
}

/// The index key of a due account.
#[derive(Deserialize)]
struct DueKey {
    due_sk: String,
}

impl DueKey {
    fn due(&self) -> Result<Due, Error> {
        let read = || {
            let (since, id) = self.due_sk.split_once('#')?;
            Some(Due { id: Id::parse(id)?, since: Timestamp::parse_fixed(since)? })
        };
        read().ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
    }
}

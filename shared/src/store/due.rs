//! The purge's work queue.

use serde::Deserialize;

use super::queue::QueueCursor;
use super::{Store, key};
use crate::domain::{Customer, Error, Id, Timestamp};

/// An account in the queue.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// The account.
    pub id: Id<Customer>,
    /// Since when it has been due.
    pub since: Timestamp,
}

/// Which part of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Accounts whose purge has begun.
    Begun,
    /// Accounts whose purge has not begun.
    Waiting,
}

impl Part {
    /// Its beginning.
    #[must_use]
    pub fn beginning(self) -> QueueCursor {
        QueueCursor::beginning(match self {
            Self::Begun => key::BEGUN,
            Self::Waiting => key::DUE,
        })
    }
}

impl Store {
    /// Accounts of one part of the queue that were due at `until`, those that have been for longest
    /// first, and the place behind them. A page may be empty with more behind it.
    pub async fn list_due(
        &self,
        place: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<Due>, QueueCursor), Error> {
        let (items, next) = self.list_queued(&self.accounts, place, until).await?;
        let mut found = items.iter().map(Waiting::due).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|due| due.since);
        Ok((found, next))
    }
}

/// An account's place in the queue.
#[derive(Deserialize)]
struct Waiting {
    due_sk: String,
}

impl Waiting {
    fn due(&self) -> Result<Due, Error> {
        let read = || {
            let (since, id) = self.due_sk.split_once('#')?;
            Some(Due { id: Id::parse(id)?, since: Timestamp::parse_fixed(since)? })
        };
        read().ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
    }
}

//! The purge's work queue.

use futures_util::future::try_join_all;

use super::{Item, Store, failure, key, string, text};
use crate::domain::{Customer, Error, Id, Timestamp};

/// How many accounts one look at a partition of the queue brings.
const BATCH: i32 = 100;

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

/// A place in one part of the queue: per partition that has more, where its next page starts.
#[derive(Debug)]
pub struct Place(Vec<(&'static str, Option<Item>)>);

impl Place {
    /// The beginning of a part.
    #[must_use]
    pub fn start(part: Part) -> Self {
        let partitions = match part {
            Part::Begun => key::BEGUN,
            Part::Waiting => key::DUE,
        };
        Self(partitions.map(|partition| (partition, None)).into())
    }

    /// The end of a part.
    #[must_use]
    pub const fn end() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing is behind it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// Accounts of one part of the queue that were due at `until`, those that have been for longest
    /// first, and the place behind them. A page may be empty with more behind it.
    pub async fn list_due(
        &self,
        place: Place,
        until: Timestamp,
    ) -> Result<(Vec<Due>, Place), Error> {
        let looks =
            place.0.into_iter().map(|(partition, start)| self.look(partition, start, until));
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        for (due, next) in try_join_all(looks).await? {
            found.extend(due);
            rest.extend(next);
        }
        found.sort_by_key(|due| due.since);
        Ok((found, Place(rest)))
    }

    async fn look(
        &self,
        partition: &'static str,
        start: Option<Item>,
        until: Timestamp,
    ) -> Result<(Vec<Due>, Option<(&'static str, Option<Item>)>), Error> {
        let query = self
            .client
            .query()
            .table_name(&self.accounts)
            .index_name("due")
            .key_condition_expression("due_pk = :partition AND due_sk < :until")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":until", string(key::due_until(until)))
            .limit(BATCH)
            .set_exclusive_start_key(start);
        let answer = query.send().await.map_err(failure)?;
        let due = answer.items.unwrap_or_default().iter().map(due).collect::<Result<_, _>>()?;
        Ok((due, answer.last_evaluated_key.map(|start| (partition, Some(start)))))
    }
}

fn due(item: &Item) -> Result<Due, Error> {
    let sort_key = text(item, "due_sk")?;
    let read = || {
        let (since, id) = sort_key.split_once('#')?;
        Some(Due { id: Id::parse(id)?, since: Timestamp::parse_fixed(since)? })
    };
    read().ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
}

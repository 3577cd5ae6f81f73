//! Work queues: sparse indexes named `due`, in a few partitions, by the time at which something is due.

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::{Item, Store, answer, key, string};
use crate::domain::{Error, Timestamp};

/// How many items one look at a partition brings.
const BATCH: i32 = 100;

/// A place in a queue: per partition that has more, where its next page starts.
#[derive(Debug)]
pub struct QueueCursor(Vec<(&'static str, Option<Item>)>);

impl QueueCursor {
    /// The beginning of the queue in these partitions.
    pub(super) fn beginning(partitions: [&'static str; 4]) -> Self {
        Self(partitions.map(|partition| (partition, None)).into())
    }

    /// The end of a queue.
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
    /// What was due at `until`, per partition in the order in which it was, and the place behind it. A page
    /// may be empty with more behind it.
    pub(super) async fn list_queued<T: DeserializeOwned>(
        &self,
        table: &str,
        place: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<T>, QueueCursor), Error> {
        let looks =
            place.0.into_iter().map(|(partition, start)| self.look(table, partition, start, until));
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        for (items, next) in try_join_all(looks).await? {
            found.extend(items);
            rest.extend(next);
        }
        Ok((found, QueueCursor(rest)))
    }

    async fn look<T: DeserializeOwned>(
        &self,
        table: &str,
        partition: &'static str,
        start: Option<Item>,
        until: Timestamp,
    ) -> Result<(Vec<T>, Option<(&'static str, Option<Item>)>), Error> {
        let query = self
            .client
            .query()
            .table_name(table)
            .index_name("due")
            .key_condition_expression("due_pk = :partition AND due_sk < :until")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":until", string(key::due_until(until)))
            .limit(BATCH)
            .set_exclusive_start_key(start);
        let (found, next) = answer::query(query).await?;
        Ok((found, next.map(|start| (partition, Some(start)))))
    }
}

//! Work queues: sparse indexes named `due`, in a few partitions each, ordered by the time at which work is due.

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::dynamodb::{Item, Store, Table, page, string};
use super::key;
use crate::domain::{Error, Timestamp};

/// Maximum number of items that a page has from one partition.
const BATCH: i32 = 100;

/// A cursor of a queue: for each partition that has more, the key after which its next page starts; `None` for its
/// first page.
#[derive(Debug)]
pub struct QueueCursor(Vec<(&'static str, Option<Item>)>);

impl QueueCursor {
    /// The cursor of the first page of a queue in these partitions.
    pub(super) fn beginning(partitions: &[&'static str]) -> Self {
        Self(partitions.iter().map(|partition| (*partition, None)).collect())
    }

    /// The cursor after the last page of a queue.
    #[must_use]
    pub const fn end() -> Self {
        Self(Vec::new())
    }

    /// Whether there are no more pages.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// Returns a page of the items that were due at `until`, sorted within each partition by the time at which they
    /// were due, and the cursor of the next page. A page may be empty although more follow.
    pub(super) async fn list_queued<T: DeserializeOwned>(
        &self,
        table: Table,
        cursor: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<T>, QueueCursor), Error> {
        let pages = cursor
            .0
            .into_iter()
            .map(|(partition, start)| self.list_partition(table, partition, start, until));
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        for (items, next) in try_join_all(pages).await? {
            found.extend(items);
            rest.extend(next);
        }
        Ok((found, QueueCursor(rest)))
    }

    async fn list_partition<T: DeserializeOwned>(
        &self,
        table: Table,
        partition: &'static str,
        start: Option<Item>,
        until: Timestamp,
    ) -> Result<(Vec<T>, Option<(&'static str, Option<Item>)>), Error> {
        let query = self
            .query(table)
            .index_name("due")
            .key_condition_expression("due_pk = :partition AND due_sk < :until")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":until", string(key::due_until(until)))
            .limit(BATCH)
            .set_exclusive_start_key(start);
        let (found, next) = page(query).await?;
        Ok((found, next.map(|start| (partition, Some(start)))))
    }
}

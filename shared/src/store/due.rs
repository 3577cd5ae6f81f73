//! The purge's work queue.

use futures_util::future::try_join_all;

use super::{Store, failure, key, string, text};
use crate::domain::{Customer, Error, Id, Timestamp};

/// How many accounts of each partition one look at the queue brings.
const BATCH: i32 = 25;

impl Store {
    /// Accounts that the purge must look at, longest due first in each partition. A later look after
    /// these are done brings others.
    pub async fn list_due(&self, now: Timestamp) -> Result<Vec<Id<Customer>>, Error> {
        let partitions = key::DUE.iter().map(|partition| self.list_due_in(partition, now));
        Ok(try_join_all(partitions).await?.concat())
    }

    async fn list_due_in(
        &self,
        partition: &str,
        now: Timestamp,
    ) -> Result<Vec<Id<Customer>>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.accounts)
            .index_name("due")
            .key_condition_expression("due_pk = :partition AND due_sk < :until")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":until", string(key::due_until(now)))
            .limit(BATCH);
        let answer = query.send().await.map_err(failure)?;
        let items = answer.items.unwrap_or_default();
        items
            .iter()
            .map(|item| {
                let sort_key = text(item, "due_sk")?;
                let id = sort_key.split_once('#').and_then(|(_, id)| Id::parse(id));
                id.ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
            })
            .collect()
    }
}

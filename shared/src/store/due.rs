//! The purge's work queue.

use super::{Item, Store, failure, key, string, text};
use crate::domain::{Customer, Error, Id, Timestamp};

/// How many accounts one look at the queue brings.
const BATCH: i32 = 100;

/// A way through the queue, from the account that is longest due. Accounts that stay in the queue
/// behind it are not met again.
#[derive(Debug)]
pub struct DueAccounts<'a> {
    store: &'a Store,
    until: Timestamp,
    partitions: std::slice::Iter<'static, &'static str>,
    /// The partition under way, and where its next page starts.
    page: Option<(&'static str, Option<Item>)>,
}

impl Store {
    /// Accounts that are frozen and due at `until`, or deleted and not yet purged.
    #[must_use]
    pub fn due_accounts(&self, until: Timestamp) -> DueAccounts<'_> {
        DueAccounts { store: self, until, partitions: key::DUE.iter(), page: None }
    }
}

impl DueAccounts<'_> {
    /// The next accounts, at times none; `None` at the end of the queue.
    pub async fn next(&mut self) -> Result<Option<Vec<Id<Customer>>>, Error> {
        let first = || self.partitions.next().map(|partition| (*partition, None));
        let Some((partition, start)) = self.page.take().or_else(first) else { return Ok(None) };
        let query = self
            .store
            .client
            .query()
            .table_name(&self.store.accounts)
            .index_name("due")
            .key_condition_expression("due_pk = :partition AND due_sk < :until")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":until", string(key::due_until(self.until)))
            .limit(BATCH)
            .set_exclusive_start_key(start);
        let answer = query.send().await.map_err(failure)?;
        self.page = answer.last_evaluated_key.map(|start| (partition, Some(start)));
        answer.items.unwrap_or_default().iter().map(account).collect::<Result<_, _>>().map(Some)
    }
}

fn account(item: &Item) -> Result<Id<Customer>, Error> {
    let sort_key = text(item, "due_sk")?;
    let id = sort_key.split_once('#').and_then(|(_, id)| Id::parse(id));
    id.ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
}

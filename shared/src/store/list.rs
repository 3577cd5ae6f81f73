//! Pages of one kind of what an account owns.

use std::collections::HashMap;

use super::{Store, Stored, failure, key, read, string, text};
use crate::aws::Call as _;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id, Page};

impl Store {
    /// A page of an account's things of one kind, newest first, below the one with the id `after`.
    pub(super) async fn list_kind<T: Stored>(
        &self,
        customer: Id<Customer>,
        kind: Kind,
        size: usize,
        after: Option<Id<T>>,
    ) -> Result<Page<T>, Error> {
        let partition = key::partition(customer);
        let mut start = after.map(|id| {
            HashMap::from([
                ("pk".to_owned(), string(&partition)),
                ("sk".to_owned(), string(key::owned(kind, id))),
            ])
        });
        // One more than asked for tells whether another page follows.
        let mut items = Vec::with_capacity(size + 1);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.accounts)
                .consistent_read(true)
                .scan_index_forward(false)
                .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
                .expression_attribute_values(":pk", string(&partition))
                .expression_attribute_values(":kind", string(kind.prefix()))
                .limit(i32::try_from(size + 1 - items.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let answer = query.call().await.map_err(failure)?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || items.len() > size {
                break;
            }
        }
        let follows = items.len() > size;
        items.truncate(size);
        let next = match items.last().filter(|_| follows) {
            Some(last) => text(last, "sk")?.strip_prefix(kind.prefix()).map(str::to_owned),
            None => None,
        };
        Ok(Page { rows: items.into_iter().map(read).collect::<Result<_, _>>()?, next })
    }
}

//! Pages of one kind of what an account owns.

use std::collections::HashMap;

use super::{Store, Stored, answer, key, string};
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
        id: impl Fn(&T) -> Id<T>,
    ) -> Result<Page<T>, Error> {
        let partition = key::partition(customer);
        let mut start = after.map(|id| {
            HashMap::from([
                ("pk".to_owned(), string(&partition)),
                ("sk".to_owned(), string(key::owned(kind, id))),
            ])
        });
        // One more than asked for tells whether another page follows.
        let mut rows: Vec<T> = Vec::with_capacity(size + 1);
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
                .limit(i32::try_from(size + 1 - rows.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let (found, next) = answer::query::<T::Attributes>(query).await?;
            rows.extend(found.into_iter().map(Into::into));
            start = next;
            if start.is_none() || rows.len() > size {
                break;
            }
        }
        let follows = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| follows).map(|last| id(last).to_string());
        Ok(Page { rows, next })
    }
}

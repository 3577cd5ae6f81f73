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
        let start = after.map(|id| {
            HashMap::from([
                ("pk".to_owned(), string(&partition)),
                ("sk".to_owned(), string(key::owned(kind, id))),
            ])
        });
        let query = self
            .client
            .query()
            .table_name(&self.accounts)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
            .expression_attribute_values(":pk", string(&partition))
            .expression_attribute_values(":kind", string(kind.prefix()))
            .set_exclusive_start_key(start);
        let rows: Vec<T::Attributes> = answer::first(query, size + 1).await?;
        let rows = rows.into_iter().map(Into::into).collect();
        Ok(Page::cut(rows, size, |last| id(last).to_string()))
    }
}

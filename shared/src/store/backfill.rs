//! Backfill of accounts that earlier versions of the program wrote: adds the index keys and markers that this
//! version writes. A marker is an item that makes an account appear in a list for operators, such as that of
//! suspended accounts.

use super::dynamodb::{CommitResult, Item, Leg, Store, UpdateExpression, to_item};
use super::key;
use super::revise::{Update, revise};
use super::root::{CustomerAttributes, decided_on};
use super::stored::read;
use crate::domain::{Customer, Error, Id};

/// Attributes that are keys of the accounts table's indexes, without `status`, which every account has.
pub const INDEX_KEYS: [&str; 5] = ["list_pk", "list_sk", "name_key", "due_pk", "due_sk"];

impl Store {
    /// Writes the missing or outdated index keys and the missing markers of these accounts, 100 at most. Returns the
    /// number of accounts that were changed.
    pub async fn complete_accounts(&self, customers: &[Id<Customer>]) -> Result<u64, Error> {
        let keys: Vec<_> = customers.iter().map(|id| key::customer(*id).untyped()).collect();
        let found = self.get_items(&keys).await?;
        let mut changed = 0;
        for root in keys.iter().filter_map(|key| found.find(key)) {
            changed += u64::from(revise(root.clone(), |root| self.complete(root)).await?);
        }
        Ok(changed)
    }

    /// Writes the missing or outdated index keys and the missing markers of one account. Also returns whether
    /// the account was changed. The account's version is not incremented, because no other request's decision
    /// depends on what changes here.
    async fn complete(&self, root: Item) -> Result<(Update<Item>, bool), Error> {
        let customer: Customer = read(root.clone())?;
        let complete = to_item(CustomerAttributes::from(&customer))?;
        let keys = UpdateExpression::between(&INDEX_KEYS, &root, &complete);
        let unmarked = self.list_unmarked(&customer).await?;
        if keys.is_empty() && unmarked.is_empty() {
            return Ok((Update::Written, false));
        }
        let (address, as_read) = (key::customer(customer.id).address(), decided_on(&customer));
        let mut transaction = if keys.is_empty() {
            self.transaction().check(address, &as_read)?
        } else {
            self.transaction().update(address, &keys, Some(&as_read))?
        };
        for mark in unmarked {
            transaction = transaction.put_marker(mark, customer.id)?;
        }
        match transaction.run().await? {
            CommitResult::Written => Ok((Update::Written, true)),
            CommitResult::Refused(legs) => match legs.into_iter().next() {
                Some(Leg::Failed(Some(newer))) => Ok((Update::Outdated(Box::new(newer)), false)),
                _ => Err(Error::Internal("the account is gone".to_owned())),
            },
        }
    }
}

//! Completes accounts with the index keys that this version of the program writes and they lack.

use super::dynamodb::{Item, Store, UpdateExpression, Write, to_item};
use super::key;
use super::revise::{Update, revise};
use super::root::{CustomerAttributes, decided_on};
use super::stored::read;
use crate::domain::{Customer, Error, Id};

/// Keys of the accounts table's indexes, but for `status`, which every account has.
pub const INDEX_KEYS: [&str; 5] = ["list_pk", "list_sk", "name_key", "due_pk", "due_sk"];

impl Store {
    /// Writes the index keys of these accounts, 100 at most, that are missing or outdated. Returns the number of accounts
    /// that were changed.
    pub async fn complete_index_keys(&self, customers: &[Id<Customer>]) -> Result<u64, Error> {
        let keys: Vec<_> = customers.iter().map(|id| key::customer(*id).untyped()).collect();
        let found = self.get_items(&keys).await?;
        let mut changed = 0;
        for root in keys.iter().filter_map(|key| found.find(key)) {
            changed += u64::from(revise(root.clone(), |root| self.complete(root)).await?);
        }
        Ok(changed)
    }

    /// Whether the account was changed. Its version stays: what others have read of it is still so.
    async fn complete(&self, root: Item) -> Result<(Update<Item>, bool), Error> {
        let customer: Customer = read(root.clone())?;
        let complete = to_item(CustomerAttributes::from(&customer))?;
        let update = UpdateExpression::between(&INDEX_KEYS, &root, &complete);
        if update.is_empty() {
            return Ok((Update::Written, false));
        }
        let address = key::customer(customer.id).address();
        match self.update(address, &update, &decided_on(&customer)).await? {
            Write::Written(_) => Ok((Update::Written, true)),
            Write::Refused(Some(newer)) => Ok((Update::Outdated(Box::new(newer)), false)),
            Write::Refused(None) => Err(Error::Internal("the account is gone".to_owned())),
        }
    }
}

//! E-mail addresses of accounts. Each address has a partition, which has an entry for every account with this
//! address and, if the address is reserved for one account, that account's lock. Entries and locks are
//! written in the transaction that changes the account.

use serde::{Deserialize, Serialize};

use super::dynamodb::{CommitResult, Leg, Store, Table, Transaction, first, string};
use super::fields::stored;
use super::key::{self, Key};
use super::login::held_by;
use super::stored::{Stored, item};
use crate::domain::value::{AddressHash, Email};
use crate::domain::{Customer, Error, Id};

stored! {
    /// Lock that reserves an e-mail address for one account.
    #[derive(Serialize, Deserialize)]
    pub struct EmailLock {
        customer_id: Id<Customer> => Deleted,
    }
}

stored! {
    /// Item in the partition of an e-mail address: says that an account has the address. An account that was
    /// written before such entries were introduced has none until its address changes.
    #[derive(Serialize, Deserialize)]
    pub struct EmailEntry {
        customer_id: Id<Customer> => Deleted,
    }
}

impl From<EmailLock> for Id<Customer> {
    fn from(lock: EmailLock) -> Self {
        lock.customer_id
    }
}

impl Stored for Id<Customer> {
    type Attributes = EmailLock;
}

/// Keys of the locks and entries of e-mail addresses that a change of an account writes or deletes.
#[derive(Debug)]
pub(super) struct AddressChange {
    customer: Id<Customer>,
    released: Vec<Key<Id<Customer>>>,
    reserved: Vec<Key<Id<Customer>>>,
    entered: Vec<Key<()>>,
    left: Vec<Key<()>>,
}

impl AddressChange {
    /// Returns the locks and entries to write and delete when an account changes from `before` to `after`.
    pub(super) fn of(before: &Customer, after: &Customer) -> Self {
        let (had, has) = (partitions(before.addresses()), partitions(after.addresses()));
        let was_reserved = partitions(before.reserved_addresses());
        let is_reserved = partitions(after.reserved_addresses());
        let lock = |partition: &String| key::email_lock(partition);
        let entry = |partition: &String| key::email_entry(partition, after.id);
        Self {
            customer: after.id,
            released: without(&was_reserved, &is_reserved).map(lock).collect(),
            reserved: without(&is_reserved, &was_reserved).map(lock).collect(),
            entered: without(&has, &had).map(entry).collect(),
            left: without(&had, &has).map(entry).collect(),
        }
    }

    /// Returns the locks and entries to write when an account is created.
    pub(super) fn of_new(customer: &Customer) -> Self {
        Self::of(&Customer::blank(customer.id, customer.tm_create), customer)
    }

    /// If the transaction was refused because it would delete locks that belong to another account, leaves
    /// out those deletions. (After a restore, an address may have been reserved for another account.) Returns
    /// whether any were left out: the transaction may succeed without them.
    pub(super) fn leave_foreign_locks(&mut self, result: &CommitResult) -> bool {
        let CommitResult::Refused(legs) = result else { return false };
        if legs.first().is_some_and(Leg::failed) {
            return false;
        }
        let before = self.released.len();
        let mut legs = legs.iter().skip(1);
        self.released.retain(|_| !legs.next().is_some_and(Leg::failed));
        self.released.len() < before
    }
}

impl Store {
    /// Returns at most three accounts that have this address: first the one for which it is reserved, then
    /// the newest.
    pub async fn list_carriers(&self, address: &AddressHash) -> Result<Vec<Id<Customer>>, Error> {
        const MOST: usize = 3;
        let partition = key::email_of(address);
        let lock = key::email_lock(&partition);
        let holder = self.get_items(&[lock.untyped()]).await?.get(&lock)?;
        let mut found: Vec<Id<Customer>> = holder.into_iter().collect();
        for customer in self.list_newest(&partition, MOST).await? {
            if !found.contains(&customer) {
                found.push(customer);
            }
        }
        found.truncate(MOST);
        Ok(found)
    }

    /// Returns up to `most` accounts that have an entry in the partition of an address, newest first.
    async fn list_newest(&self, partition: &str, most: usize) -> Result<Vec<Id<Customer>>, Error> {
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :partition AND begins_with(sk, :mailbox)")
            .expression_attribute_values(":partition", string(partition))
            .expression_attribute_values(":mailbox", string(key::MAILBOX));
        let entries: Vec<EmailEntry> = first(query, most).await?;
        Ok(entries.into_iter().map(|entry| entry.customer_id).collect())
    }
}

impl Transaction<'_> {
    /// Adds the writes and deletions of `change`. The deletions of locks come first, directly after the
    /// action on the account's root, as [`AddressChange::leave_foreign_locks`] expects.
    pub(super) fn change_addresses(mut self, change: &AddressChange) -> Result<Self, Error> {
        let customer_id = change.customer;
        let own = held_by(customer_id);
        for lock in &change.released {
            self = self.delete(lock.address(), Some(&own))?;
        }
        for lock in &change.reserved {
            let lock = item(lock, EmailLock { customer_id })?;
            self = self.put(Table::Accounts, lock, Some(&own))?;
        }
        for entry in &change.entered {
            self = self.put(Table::Accounts, item(entry, EmailEntry { customer_id })?, None)?;
        }
        for entry in &change.left {
            self = self.delete(entry.address(), None)?;
        }
        Ok(self)
    }
}

/// Returns the partitions of addresses. Text that is no valid address is left out.
fn partitions<'a>(addresses: impl Iterator<Item = &'a Email>) -> Vec<String> {
    addresses.filter_map(key::email).collect()
}

fn without<'a>(all: &'a [String], others: &'a [String]) -> impl Iterator<Item = &'a String> {
    all.iter().filter(|one| !others.contains(one))
}

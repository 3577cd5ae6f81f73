//! The inventory of an account: all items that it owns, of any kind. The purge uses it to list and delete
//! them.

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::dynamodb::{Item, Store, Table, count, internal, raw_page, string};
use super::key;
use crate::domain::counts::Counts;
use crate::domain::erasure::InventoryCursor;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id};

/// Maximum number of items in a batch of deletions: DynamoDB's limit.
const BATCH: usize = 25;

/// Maximum number of batches that are deleted at the same time: each takes a connection.
const BATCHES_AT_ONCE: usize = 8;

/// Maximum number of items on a page, so that a page of small items does not take long.
const PAGE: i32 = 1_000;

/// An item of a known kind that an account owns.
#[derive(Clone, Debug)]
pub struct Owned {
    sk: String,
    /// Kind of the item.
    pub kind: Kind,
    /// Id of the item; `None` for sessions and idempotency keys, whose sort keys do not end in a single UUID.
    pub id: Option<Uuid>,
    /// For an agent, its login key: the hash under which the lock on its user name is stored. `None` for
    /// other kinds.
    pub login: Option<String>,
}

/// A page of an account's inventory: up to 1,000 items or 1 MB.
#[derive(Clone, Debug)]
pub struct OwnedPage {
    /// The items of known kinds, in the order of their sort keys.
    pub items: Vec<Owned>,
    /// Number of items of unknown kinds.
    pub unknown: u64,
    /// Cursor of the next page; `None` if this is the last one.
    pub next: Option<InventoryCursor>,
}

impl Owned {
    /// Reads an owned item; `None` if its kind is unknown. An item of an unknown kind may have attributes of
    /// any type.
    fn of(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        Self::new(text("sk")?, text("login"))
    }

    /// Reads the kind and id of an item from its sort key. `None` if the kind is unknown.
    pub(crate) fn new(sk: String, login: Option<String>) -> Option<Self> {
        let (kind, bytes) = key::kind_and_bytes(&sk)?;
        Some(Self { sk, kind, id: Uuid::from_slice(&bytes).ok(), login })
    }

    /// Returns the cursor after this item.
    #[must_use]
    pub fn position(&self) -> InventoryCursor {
        InventoryCursor::of(self.sk.clone())
    }
}

impl Store {
    /// Returns a page of an account's inventory that starts after `cursor`, read consistently.
    pub async fn list_owned(
        &self,
        customer: Id<Customer>,
        cursor: &InventoryCursor,
    ) -> Result<OwnedPage, Error> {
        let after = cursor.sort_key().max(key::ROOT);
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk > :after")
            .projection_expression("sk, login")
            .limit(PAGE)
            .expression_attribute_values(":pk", string(key::partition(customer)))
            .expression_attribute_values(":after", string(after));
        let (found, next) = raw_page(query).await?;
        let next = next.as_ref().map(sort_key).transpose()?;
        let items: Vec<_> = found.iter().filter_map(Owned::of).collect();
        Ok(OwnedPage {
            unknown: (found.len() - items.len()) as u64,
            items,
            next: next.map(InventoryCursor::of),
        })
    }

    /// Counts the items that an account owns, by kind, and their size in kilobytes.
    pub async fn count_owned(&self, customer: Id<Customer>) -> Result<(Counts, u64), Error> {
        let counting = Kind::ALL.iter().map(|kind| self.count_kind(customer, *kind));
        let counted = try_join_all(counting).await?;
        let kilobytes = counted.iter().map(|(_, kilobytes)| kilobytes).sum();
        let counts = Kind::ALL.iter().copied().zip(counted.into_iter().map(|(count, _)| count));
        Ok((counts.filter(|(_, count)| *count > 0).collect(), kilobytes))
    }

    async fn count_kind(&self, customer: Id<Customer>, kind: Kind) -> Result<(u64, u64), Error> {
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
            .expression_attribute_values(":pk", string(key::partition(customer)))
            .expression_attribute_values(":kind", string(kind.prefix()));
        let (count, units) = count(query).await?;
        Ok((count, if count == 0 { 0 } else { kilobytes(units) }))
    }

    /// Deletes items of an account. Items that are gone already are ignored.
    pub async fn delete_owned(&self, customer: Id<Customer>, owned: &[Owned]) -> Result<(), Error> {
        let partition = key::partition(customer);
        let keys: Vec<Item> =
            owned.iter().map(|owned| key::attributes(&partition, &owned.sk)).collect();
        let batches: Vec<_> = keys
            .chunks(BATCH)
            .map(|batch| self.batch_delete(Table::Accounts, batch.to_vec()))
            .collect();
        stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }
}

fn sort_key(key: &Item) -> Result<String, Error> {
    let key = key.get("sk").and_then(|key| key.as_s().ok());
    key.cloned().ok_or_else(|| internal("a key without its sort key"))
}

/// Returns the kilobytes that a consistent read has read: 4 per read unit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of units is small and not negative"
)]
fn kilobytes(units: f64) -> u64 {
    (units * 4.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dynamodb::any_values;

    #[test]
    fn an_item_of_an_unknown_kind_may_have_attributes_of_any_type() {
        for value in any_values() {
            let item =
                Item::from([("sk".to_owned(), string("FAX#1")), ("login".to_owned(), value)]);
            assert!(Owned::of(&item).is_none(), "{item:?}");
        }
    }

    #[test]
    fn a_login_that_is_no_text_names_no_lock() {
        for value in any_values() {
            let sk = key::owned(Kind::Agent, Uuid::from_u128(1));
            let item = Item::from([("sk".to_owned(), string(sk)), ("login".to_owned(), value)]);
            assert_eq!(Owned::of(&item).map(|owned| owned.login), Some(None), "{item:?}");
        }
    }
}

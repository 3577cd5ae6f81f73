//! Everything an account owns, whatever it is: what the purge reads and deletes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use uuid::Uuid;

use super::attribute::MaybeText;
use super::{Item, MAX_TRIES, Store, answer, failure, key, pause, string, unavailable};
use crate::domain::erasure::{Counts, InventoryCursor};
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id};
use crate::platform::aws::Call as _;

/// How many items one batch deletes: DynamoDB's limit.
const BATCH: usize = 25;

/// How many batches are deleted at the same time: each takes a connection.
const BATCHES_AT_ONCE: usize = 8;

/// How many items a page has at most, so that small ones do not make a page that takes long.
const PAGE: i32 = 1_000;

/// Something that an account owns, of a kind that we know.
#[derive(Clone, Debug)]
pub struct Owned {
    sk: String,
    /// Its kind.
    pub kind: Kind,
    /// Its id, but for what is found by a hash.
    pub id: Option<Uuid>,
    /// Names the user name's lock of an agent.
    pub login: Option<String>,
}

/// As much of what an account owns as one query reads: 1,000 items, or 1 MB.
#[derive(Clone, Debug)]
pub struct OwnedPage {
    /// In the order of their sort keys.
    pub items: Vec<Owned>,
    /// How many there are besides that are nothing that we know.
    pub unknown: u64,
    /// Where the next page starts; none if this is the last one.
    pub next: Option<InventoryCursor>,
}

/// Something in an account's partition. What we do not know may have a `login` of any type.
#[derive(Deserialize)]
struct Thing {
    sk: String,
    login: Option<MaybeText>,
}

impl Thing {
    fn owned(self) -> Option<Owned> {
        let login = self.login.as_ref().and_then(MaybeText::as_str).map(str::to_owned);
        Owned::new(self.sk, login)
    }
}

impl Owned {
    /// Reads the kind and id of an item from its sort key. `None` if the kind is unknown.
    pub(crate) fn new(sk: String, login: Option<String>) -> Option<Self> {
        let (kind, bytes) = key::kind_and_bytes(&sk)?;
        Some(Self { sk, kind, id: Uuid::from_slice(&bytes).ok(), login })
    }

    /// Its place.
    #[must_use]
    pub fn position(&self) -> InventoryCursor {
        InventoryCursor::of(self.sk.clone())
    }
}

impl Store {
    /// A page of what an account owns: all that is there, as a consistent read sees it.
    pub async fn list_owned(
        &self,
        customer: Id<Customer>,
        behind: &InventoryCursor,
    ) -> Result<OwnedPage, Error> {
        let behind = behind.sort_key().max(key::ROOT);
        let query = self
            .client
            .query()
            .table_name(&self.accounts)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk > :behind")
            .projection_expression("sk, login")
            .limit(PAGE)
            .expression_attribute_values(":pk", string(key::partition(customer)))
            .expression_attribute_values(":behind", string(behind));
        let (found, next) = answer::query::<Thing>(query).await?;
        let next = next.as_ref().map(sort_key).transpose()?;
        let count = found.len();
        let items: Vec<_> = found.into_iter().filter_map(Thing::owned).collect();
        Ok(OwnedPage {
            unknown: (count - items.len()) as u64,
            items,
            next: next.map(InventoryCursor::of),
        })
    }

    /// How many things of each kind an account owns, and how many kilobytes they are in all.
    pub async fn count_owned(&self, customer: Id<Customer>) -> Result<(Counts, u64), Error> {
        let counting = Kind::ALL.iter().map(|kind| self.count_kind(customer, *kind));
        let counted = try_join_all(counting).await?;
        let kilobytes = counted.iter().map(|(_, kilobytes)| kilobytes).sum();
        let counts = Kind::ALL.iter().copied().zip(counted.into_iter().map(|(count, _)| count));
        Ok((counts.filter(|(_, count)| *count > 0).collect(), kilobytes))
    }

    async fn count_kind(&self, customer: Id<Customer>, kind: Kind) -> Result<(u64, u64), Error> {
        let (mut count, mut kilobytes, mut start) = (0, 0, None);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.accounts)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
                .expression_attribute_values(":pk", string(key::partition(customer)))
                .expression_attribute_values(":kind", string(kind.prefix()))
                .set_exclusive_start_key(start);
            let (found, units, next) = answer::count(query).await?;
            count += found;
            kilobytes += size(units);
            start = next;
            if start.is_none() {
                return Ok((count, if count == 0 { 0 } else { kilobytes }));
            }
        }
    }

    /// Deletes these things of an account. Those that are gone already are no error.
    pub async fn delete_owned(&self, customer: Id<Customer>, owned: &[Owned]) -> Result<(), Error> {
        let partition = key::partition(customer);
        let key = |owned: &Owned| {
            HashMap::from([
                ("pk".to_owned(), string(&partition)),
                ("sk".to_owned(), string(&owned.sk)),
            ])
        };
        let keys: Vec<Item> = owned.iter().map(key).collect();
        let batches: Vec<_> =
            keys.chunks(BATCH).map(|batch| self.batch_delete(batch.to_vec())).collect();
        stream::iter(batches).buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }

    async fn batch_delete(&self, keys: Vec<Item>) -> Result<(), Error> {
        let delete = |key| -> Result<WriteRequest, Error> {
            let delete =
                DeleteRequest::builder().set_key(Some(key)).build().map_err(unavailable)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left: Vec<WriteRequest> = keys.into_iter().map(delete).collect::<Result<_, _>>()?;
        for attempt in 0..MAX_TRIES {
            let write = self.client.batch_write_item().request_items(&self.accounts, left);
            let answer = write.call().await.map_err(failure)?;
            left = answer
                .unprocessed_items
                .unwrap_or_default()
                .remove(&self.accounts)
                .unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable("DynamoDB left deletions unprocessed".to_owned()))
    }
}

fn sort_key(place: &Item) -> Result<String, Error> {
    let key = place.get("sk").and_then(|key| key.as_s().ok());
    key.cloned().ok_or_else(|| Error::Internal("a place has no sort key".to_owned()))
}

/// The size in kilobytes of what a consistent read of this many units has read: 4 each.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of units is small and not negative"
)]
fn size(units: f64) -> u64 {
    (units * 4.0).ceil() as u64
}

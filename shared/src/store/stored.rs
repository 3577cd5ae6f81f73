//! Conversion between stored items and the domain's values, for all types of items, and reads of such values.

use std::collections::HashMap;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dynamodb::{self, Item, Store, Table, internal, to_item};
use super::fields::Declared;
use super::key::Key;
use crate::domain::Error;

/// A value that is stored as an item.
pub trait Stored: Sized {
    /// The item's attributes.
    type Attributes: DeserializeOwned + Into<Self> + Declared;
}

/// Items that were read together, by their keys.
#[derive(Debug, Default)]
pub struct Items(HashMap<(Table, String, String), Item>);

impl Items {
    /// Returns the value at `key`; `None` if there was no item.
    pub fn get<T: Stored>(&self, key: &Key<T>) -> Result<Option<T>, Error> {
        self.find(key).cloned().map(read).transpose()
    }

    /// Returns the item at `key`; `None` if there was none.
    pub(super) fn find<T>(&self, key: &Key<T>) -> Option<&Item> {
        self.0.get(&(key.table, key.pk.clone(), key.sk.clone()))
    }
}

impl Store {
    /// Reads the items at `keys`, consistently and in one round trip. The future is boxed, so that it is
    /// compiled once in this crate and not again in every Lambda function.
    #[must_use]
    pub fn get_items<'a>(&'a self, keys: &'a [Key<()>]) -> BoxFuture<'a, Result<Items, Error>> {
        async move {
            let addresses: Vec<_> = keys.iter().map(Key::address).collect();
            let found = self.batch_get(&addresses).await?;
            found.into_iter().map(by_key).collect::<Result<_, _>>().map(Items)
        }
        .boxed()
    }

    /// Reads the value at `key` consistently.
    pub(super) async fn get_stored<T: Stored>(&self, key: &Key<T>) -> Result<Option<T>, Error> {
        self.get(key.address()).await?.map(read).transpose()
    }
}

fn by_key((table, item): (Table, Item)) -> Result<((Table, String, String), Item), Error> {
    let text = |name: &str| {
        let text = item.get(name).and_then(|value| value.as_s().ok());
        text.cloned().ok_or_else(|| internal("an item without its key"))
    };
    let (pk, sk) = match table {
        Table::Outbox => (text("id")?, String::new()),
        Table::Accounts | Table::Erasures => (text("pk")?, text("sk")?),
    };
    Ok(((table, pk, sk), item))
}

/// Converts an item into the value that it stores.
pub(super) fn read<T: Stored>(item: Item) -> Result<T, Error> {
    dynamodb::read::<T::Attributes>(item).map(Into::into)
}

/// Returns an item with this key and these attributes.
pub(super) fn item<T>(key: &Key<T>, attributes: impl Serialize) -> Result<Item, Error> {
    let mut item = to_item(attributes)?;
    item.extend(key.address().key);
    Ok(item)
}

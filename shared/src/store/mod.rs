//! The DynamoDB tables: one file per aggregate, keys in [`key`], one transaction per change.
//!
//! The verbs say the condition: `insert_` must not exist, `get_` may not exist, `update_` must be the
//! version it was decided on, `delete_` may be gone already.

pub mod access_key;
pub mod agent;
mod answer;
mod assignment;
mod attribute;
pub mod capacity;
mod child;
mod conditional;
pub mod customer;
pub mod delivery;
pub mod due;
pub mod erasure;
pub mod fields;
mod find;
pub mod host;
pub mod idempotency;
pub mod key;
mod list;
pub mod login;
pub mod outbox;
pub mod owned;
pub mod queue;
pub mod quota;
pub mod resource;
pub mod session;
pub mod throttle;
mod transaction;

use std::any::type_name;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_types::body::SdkBody;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::Error;
use crate::platform::aws;
use answer::{Unread, UnreadItem};
use key::Key;

/// The tables.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    accounts: String,
    outbox: String,
    erasures: String,
}

/// How an update ended.
#[derive(Debug)]
pub enum Update<T> {
    /// It is now what it was to become.
    Written,
    /// Another writer came first and made it this.
    Outdated(Box<T>),
}

/// An item as DynamoDB has it.
type Item = HashMap<String, AttributeValue>;

/// Something that is kept as an item.
pub trait Stored: Sized {
    /// The item's attributes.
    type Attributes: DeserializeOwned + Into<Self> + fields::Declared;
}

/// Items that were read together.
#[derive(Debug, Default)]
pub struct Items(HashMap<(String, String), UnreadItem>);

impl Items {
    /// The `T` at `key`, if it was there.
    pub fn get<T: Stored>(&self, key: &Key<T>) -> Result<Option<T>, Error> {
        let attributes = self.find(key).map(UnreadItem::read::<T::Attributes>).transpose()?;
        Ok(attributes.map(Into::into))
    }

    fn find<T>(&self, key: &Key<T>) -> Option<&UnreadItem> {
        self.0.get(&(key.pk.clone(), key.sk.clone()))
    }

    /// By their keys.
    fn of(items: Vec<UnreadItem>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Place {
            pk: String,
            sk: String,
        }

        let by_key = |item: UnreadItem| {
            let Place { pk, sk } = item.read()?;
            Ok(((pk, sk), item))
        };
        items.into_iter().map(by_key).collect::<Result<_, Error>>().map(Self)
    }
}

/// The same key twice is a mistake to DynamoDB, but a caller may well read its own account.
fn distinct(keys: &[Key<()>]) -> Vec<Item> {
    let mut distinct = Vec::with_capacity(keys.len());
    for key in keys.iter().map(Key::attributes) {
        if !distinct.contains(&key) {
            distinct.push(key);
        }
    }
    distinct
}

impl Store {
    /// The tables with these names.
    #[must_use]
    pub const fn new(client: Client, accounts: String, outbox: String, erasures: String) -> Self {
        Self { client, accounts, outbox, erasures }
    }

    /// Opens a connection, for which the first request would have to wait otherwise. What it asks for,
    /// `GET /`, `DynamoDB` answers to anybody: it needs no permission and takes no capacity.
    pub async fn connect(&self) {
        let ask = self.client.batch_get_item().customize().mutate_request(|request| {
            // It is a method.
            let _ = request.set_method("GET");
            for header in ["content-length", "content-type", "x-amz-target"] {
                request.headers_mut().remove(header);
            }
            *request.body_mut() = SdkBody::empty();
        });
        let once = Config::builder().retry_config(RetryConfig::disabled());
        // The answer is no table's, so the SDK does not understand it. If there was none, the first request
        // finds out.
        let _ = ask.config_override(once).send().await;
    }

    /// Reads all of `keys` of the accounts table in one consistent round trip. Boxed, as every function does it.
    #[must_use]
    pub fn get_items<'a>(&'a self, keys: &'a [Key<()>]) -> BoxFuture<'a, Result<Items, Error>> {
        self.get_from([(self.accounts.as_str(), keys)]).boxed()
    }

    /// Reads keys of several tables in one consistent round trip.
    async fn get_from<const N: usize>(
        &self,
        tables: [(&str, &[Key<()>]); N],
    ) -> Result<Items, Error> {
        let wanted = tables.map(|(table, keys)| (table.to_owned(), distinct(keys)));
        let found = self.batch_get(wanted.into()).await?;
        Items::of(found.into_values().flatten().collect())
    }

    /// Reads these keys, per table, consistently.
    async fn batch_get(&self, mut wanted: HashMap<String, Vec<Item>>) -> Result<Unread, Error> {
        let mut items = Unread::new();
        // No keys are a mistake to DynamoDB, but a queue may well be empty.
        wanted.retain(|_, keys| !keys.is_empty());
        if wanted.is_empty() {
            return Ok(items);
        }
        for attempt in 0..MAX_TRIES {
            let mut request = self.client.batch_get_item();
            for (table, keys) in wanted {
                let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
                request = request.request_items(table, keys.build().map_err(unavailable)?);
            }
            let (found, rest) = answer::batch_get(request).await?;
            for (table, found) in found {
                items.entry(table).or_default().extend(found);
            }
            wanted = rest;
            if wanted.is_empty() {
                return Ok(items);
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable("DynamoDB left keys unprocessed".to_owned()))
    }
}

impl<T> Key<T> {
    fn attributes(&self) -> Item {
        HashMap::from([("pk".to_owned(), string(&self.pk)), ("sk".to_owned(), string(&self.sk))])
    }
}

/// How often something is tried that other writers or a busy table got in the way of.
const MAX_TRIES: u32 = 6;

/// Waits before try `attempt + 1`: up to 25 ms, 50 ms, 100 ms … with full jitter.
async fn pause(attempt: u32) {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    let longest = Duration::from_millis(25) * 2_u32.pow(attempt.min(5));
    tokio::time::sleep(longest * u32::from(byte[0]) / 255).await;
}

fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn read<T: Stored>(item: Item) -> Result<T, Error> {
    let attributes = serde_dynamo::from_item::<_, T::Attributes>(item);
    // What the error says may repeat a value of the item.
    attributes
        .map(Into::into)
        .map_err(|_| Error::Internal(format!("unreadable {}", type_name::<T>())))
}

/// The item at `key` with these attributes.
fn item<T>(key: &Key<T>, attributes: impl Serialize) -> Result<Item, Error> {
    let mut item: Item =
        serde_dynamo::to_item(attributes).map_err(|error| Error::Internal(error.to_string()))?;
    item.extend(key.attributes());
    Ok(item)
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn failure<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> Error {
    aws::failure("DynamoDB", &error)
}

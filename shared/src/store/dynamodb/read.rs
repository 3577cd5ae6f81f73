//! Reads: batches of items, single items, and queries.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::types::{
    Get, KeysAndAttributes, ReturnConsumedCapacity, Select, TransactGetItem,
};
use serde::de::DeserializeOwned;

use super::tables::{Address, Store, Table};
use super::transaction::is_passing;
use super::value::{Item, read, unavailable};
use crate::domain::Error;
use crate::patience::Tries;
use crate::platform::aws::{Call as _, dynamodb_failure};

/// Result of [`Store::probe`]: the item, or that a transaction is writing it at the moment.
#[derive(Debug)]
pub(crate) enum Probe {
    /// No transaction is writing the item; `None` if there is no item.
    Free(Option<Item>),
    /// A transaction is writing the item, or the read was throttled.
    Busy,
}

/// A page of a query: its items, and the key after which the next page starts.
pub(crate) type QueryPage<T> = (Vec<T>, Option<Item>);

impl Store {
    /// Reads an item consistently.
    pub(in crate::store) async fn get(&self, address: Address) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(self.name(address.table));
        let get = get.set_key(Some(address.key)).consistent_read(true);
        Ok(get.call().await.map_err(dynamodb_failure)?.item)
    }

    /// Reads an item, unless a transaction is writing it at the moment. Reads by `TransactGetItems`, which
    /// `DynamoDB` refuses for such an item; other reads would return a state that is about to be outdated.
    /// Costs two read units per 4 KB.
    pub(in crate::store) async fn probe(&self, address: Address) -> Result<Probe, Error> {
        let get = Get::builder().table_name(self.name(address.table));
        let get = get.set_key(Some(address.key)).build().map_err(unavailable)?;
        let get = TransactGetItem::builder().get(get).build();
        match self.client.transact_get_items().transact_items(get).call().await {
            Ok(answer) => {
                let found = answer.responses.unwrap_or_default().into_iter().next();
                Ok(Probe::Free(found.and_then(|found| found.item)))
            }
            Err(error) if is_busy(&error) => Ok(Probe::Busy),
            Err(error) => Err(dynamodb_failure(error)),
        }
    }

    /// Reads up to 100 items consistently, in one call, or in more if DynamoDB leaves some of the keys
    /// unprocessed. Items that do not exist are left out.
    pub(in crate::store) async fn batch_get(
        &self,
        addresses: &[Address],
    ) -> Result<Vec<(Table, Item)>, Error> {
        let mut wanted = self.requests(addresses)?;
        let (mut found, mut tries) = (Vec::with_capacity(addresses.len()), Tries::new());
        // A batch of no keys is an error to DynamoDB.
        while !wanted.is_empty() {
            let get = self.client.batch_get_item().set_request_items(Some(wanted));
            let answer = get.call().await.map_err(dynamodb_failure)?;
            let mut responses = answer.responses.unwrap_or_default();
            for table in [Table::Accounts, Table::Outbox, Table::Erasures] {
                let items = responses.remove(self.name(table)).unwrap_or_default();
                found.extend(items.into_iter().map(|item| (table, item)));
            }
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if !wanted.is_empty() && !tries.pause().await {
                return Err(unavailable("DynamoDB left keys unprocessed"));
            }
        }
        Ok(found)
    }

    /// Returns the keys to read, by table and without duplicates: DynamoDB refuses a batch that names a key twice.
    fn requests(&self, addresses: &[Address]) -> Result<HashMap<String, KeysAndAttributes>, Error> {
        let mut keys: HashMap<String, Vec<Item>> = HashMap::new();
        for address in addresses {
            let keys = keys.entry(self.name(address.table).to_owned()).or_default();
            if !keys.contains(&address.key) {
                keys.push(address.key.clone());
            }
        }
        let request = |(table, keys)| {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            Ok((table, keys.build().map_err(unavailable)?))
        };
        keys.into_iter().map(request).collect()
    }
}

fn is_busy<R>(error: &SdkError<TransactGetItemsError, R>) -> bool {
    let Some(TransactGetItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return false;
    };
    cancelled.cancellation_reasons().iter().any(is_passing)
}

/// Returns a page of a query.
pub(crate) async fn page<T: DeserializeOwned>(
    query: QueryFluentBuilder,
) -> Result<QueryPage<T>, Error> {
    let (items, next) = raw_page(query).await?;
    Ok((items.into_iter().map(read).collect::<Result<_, _>>()?, next))
}

/// Returns a page of a query, as raw items.
pub(crate) async fn raw_page(query: QueryFluentBuilder) -> Result<QueryPage<Item>, Error> {
    let answer = query.call().await.map_err(dynamodb_failure)?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
}

/// All items of a query, however many pages that takes.
pub(crate) async fn all(query: QueryFluentBuilder) -> Result<Vec<Item>, Error> {
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let (found, next) = raw_page(query.clone().set_exclusive_start_key(start)).await?;
        items.extend(found);
        start = next;
        if start.is_none() {
            return Ok(items);
        }
    }
}

/// The first `count` items of a query, however many pages that takes.
pub(crate) async fn first<T: DeserializeOwned>(
    query: QueryFluentBuilder,
    count: usize,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::with_capacity(count);
    let mut start = query.get_exclusive_start_key().clone();
    loop {
        let limit = i32::try_from(count - items.len()).unwrap_or(i32::MAX);
        let (found, next) = page(query.clone().limit(limit).set_exclusive_start_key(start)).await?;
        items.extend(found);
        start = next;
        if start.is_none() || items.len() >= count {
            return Ok(items);
        }
    }
}

/// Returns the number of items that a query finds and the read units that the query consumes.
pub(crate) async fn count(query: QueryFluentBuilder) -> Result<(u64, f64), Error> {
    let query = query.select(Select::Count).return_consumed_capacity(ReturnConsumedCapacity::Total);
    let (mut count, mut units, mut start) = (0, 0.0, None);
    loop {
        let page = query.clone().set_exclusive_start_key(start);
        let answer = page.call().await.map_err(dynamodb_failure)?;
        count += u64::try_from(answer.count).unwrap_or_default();
        units +=
            answer.consumed_capacity.and_then(|capacity| capacity.capacity_units).unwrap_or(0.0);
        start = answer.last_evaluated_key;
        if start.is_none() {
            return Ok((count, units));
        }
    }
}

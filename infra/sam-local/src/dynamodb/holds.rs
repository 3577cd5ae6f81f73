//! Locks the items of transactions in flight, so that other calls conflict with them as on AWS.
//!
//! `DynamoDB` commits a transaction in two phases: it first locks every item that the transaction names
//! and checks the conditions, then writes. The embedded emulator does both at once, so its transactions
//! never conflict. This module adds the first phase, for transactions that a fault, the stack's option
//! `contention` or `DynamoDb::begin` keeps in flight: such a transaction locks its items when it arrives,
//! waits, commits atomically in the emulator, and unlocks the items. Until then
//!
//! - another transaction that names one of the items is refused at once, `TransactGetItems` included:
//!   `TransactionCanceledException` with the reason `TransactionConflict` for each such item. Condition
//!   checks lock and conflict like writes;
//! - the same transaction sent again (same `ClientRequestToken`) is refused with
//!   `TransactionInProgressException`;
//! - a single write is refused with `TransactionConflictException`;
//! - `BatchWriteItem` leaves the items out and returns them as `UnprocessedItems`;
//! - every other read (all but `TransactGetItems`) passes, and sees the items as before the transaction.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    batch,
    reply::Reply,
    request::{ItemKey, Request, batch_item_key},
};
use crate::{sync::lock, template::Table};

/// `DynamoDB`'s message for a conflict with a transaction in flight.
pub(super) const CONFLICT: &str = "Transaction is ongoing for the item";

/// The locked items, each with the transaction that holds it.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<ItemKey, Holder>>);

/// The transaction that holds an item.
#[derive(Clone, PartialEq)]
struct Holder {
    /// The transaction's `ClientRequestToken`.
    token: Option<String>,
}

/// An RAII guard of one transaction's locks: dropping it unlocks the items.
pub(super) struct Hold {
    holds: Arc<Holds>,
    items: Vec<ItemKey>,
}

impl Holds {
    /// Locks the items of a transaction. Fails if one of them is locked already.
    pub(super) fn hold(self: &Arc<Self>, request: &Request<'_>) -> Result<Hold, Reply> {
        let mut held = lock(&self.0);
        refuse(&held, request)?;
        let items: Vec<_> = request.transaction_items().filter_map(|(_, item)| item).collect();
        let holder = Holder { token: token(request) };
        held.extend(items.iter().map(|item| (item.clone(), holder.clone())));
        Ok(Hold { holds: Arc::clone(self), items })
    }

    /// Refuses a transaction or single write that names a locked item; lets every other call pass.
    pub(super) fn check(&self, request: &Request<'_>) -> Result<(), Reply> {
        refuse(&lock(&self.0), request)
    }

    /// Takes the writes of locked items out of a `BatchWriteItem`, and returns them as `UnprocessedItems`.
    pub(super) fn withhold(&self, operation: &str, body: &mut Value, tables: &[Table]) -> Value {
        let held = lock(&self.0);
        if held.is_empty() || operation != "BatchWriteItem" {
            return json!({});
        }
        batch::withhold(operation, body, |table, entry| {
            batch_item_key(tables, table, entry).is_some_and(|item| held.contains_key(&item))
        })
    }
}

fn refuse(held: &HashMap<ItemKey, Holder>, request: &Request<'_>) -> Result<(), Reply> {
    if held.is_empty() {
        return Ok(());
    }
    match request.operation {
        "TransactGetItems" | "TransactWriteItems" => refuse_transaction(held, request),
        "PutItem" | "UpdateItem" | "DeleteItem"
            if request.written().iter().any(|item| held.contains_key(item)) =>
        {
            Err(Reply::exception(400, "TransactionConflictException", CONFLICT))
        }
        _ => Ok(()),
    }
}

fn refuse_transaction(held: &HashMap<ItemKey, Holder>, request: &Request<'_>) -> Result<(), Reply> {
    let holders =
        request.transaction_items().map(|(_, item)| item.and_then(|item| held.get(&item)));
    let holders: Vec<_> = holders.collect();
    let token = token(request);
    if token.is_some() && holders.iter().flatten().any(|holder| holder.token == token) {
        let message = "The transaction with the given request token is already in progress";
        return Err(Reply::exception(400, "TransactionInProgressException", message));
    }
    if holders.iter().all(Option::is_none) {
        return Ok(());
    }
    let reason = |holder: Option<&Holder>| match holder {
        Some(_) => json!({"Code": "TransactionConflict", "Message": CONFLICT}),
        None => json!({"Code": "None"}),
    };
    Err(Reply::canceled(holders.into_iter().map(reason).collect()))
}

fn token(request: &Request<'_>) -> Option<String> {
    request.body["ClientRequestToken"].as_str().map(str::to_owned)
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = lock(&self.holds.0);
        for item in &self.items {
            held.remove(item);
        }
    }
}

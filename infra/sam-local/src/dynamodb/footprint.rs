//! Footprints: the data that a call reads and writes. They tell whether the order of two calls can matter.

use std::collections::BTreeSet;

use serde_json::Value;

use super::request::{ItemKey, Request, Write};
use crate::template;

/// The items, partitions and tables that a call reads and writes, as paths. The path of a table is a prefix of the
/// paths of its partitions and items.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    /// Items that a phase of a transaction locks or unlocks; empty for a call that runs in a single phase.
    locks: BTreeSet<String>,
}

impl Footprint {
    /// Whether the call may change anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Whether the order of two calls can matter: both write or lock the same thing, or one writes what the other
    /// reads.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        meet(&self.writes, &other.writes)
            || meet(&self.writes, &other.reads)
            || meet(&self.reads, &other.writes)
            || meet(&self.locks, &other.locks)
            || meet(&self.locks, &other.writes)
            || meet(&self.writes, &other.locks)
    }

    /// Returns the footprint of the first phase of a transaction, which locks its items.
    pub(super) fn of_lock(request: &Request<'_>) -> Self {
        let items = request.transaction_items().filter_map(|(_, item)| item);
        let locks = items.map(|item| item_path(request, &item)).collect();
        Self { locks, ..Self::default() }
    }

    /// Returns the footprint of the second phase of a transaction, which writes and unlocks its items.
    pub(super) fn of_commit(request: &Request<'_>, item_at: impl Fn(&ItemKey) -> Value) -> Self {
        Self { locks: Self::of_lock(request).locks, ..Self::of(request, item_at) }
    }

    /// Returns the footprint of a request; `item_at` returns the item that is stored under a key now, or
    /// null.
    pub(super) fn of(request: &Request<'_>, item_at: impl Fn(&ItemKey) -> Value) -> Self {
        let mut writes = BTreeSet::new();
        for write in request.writes() {
            if let Some(key) = request.item_key(write.table, write.named) {
                writes.insert(item_path(request, &key));
                writes.extend(index_partitions(request, &write, &key, &item_at(&key)));
            }
        }
        let reads = match request.operation {
            "Query" | "Scan" => BTreeSet::from([range_path(request)]),
            _ => request.read_keys().iter().map(|key| item_path(request, key)).collect(),
        };
        Self { reads, writes, locks: BTreeSet::new() }
    }
}

fn meet(some: &BTreeSet<String>, others: &BTreeSet<String>) -> bool {
    let overlaps = |one: &String| {
        others
            .iter()
            .any(|other| other.starts_with(one.as_str()) || one.starts_with(other.as_str()))
    };
    some.iter().any(overlaps)
}

fn item_path(request: &Request<'_>, key: &ItemKey) -> String {
    let table = request.tables.iter().find(|table| table.name == key.table);
    let names = table.into_iter().flat_map(|table| template::key_names(&table.request));
    let parts = names.map(|name| format!("{}|", key.key[name]));
    format!("{}|{}", key.table, parts.collect::<String>())
}

/// Returns the path of the data that a query or scan reads: one partition of a table or index if the request names it,
/// otherwise the whole table or index.
fn range_path(request: &Request<'_>) -> String {
    let table = request.body["TableName"].as_str().unwrap_or_default();
    let index = request.body["IndexName"].as_str();
    let read = index.map_or_else(|| table.to_owned(), |index| format!("{table}/{index}"));
    match request.partition() {
        Some(value) => format!("{read}|{value}|"),
        None => format!("{read}|"),
    }
}

/// Returns the partitions of global secondary indexes that a write may change: those that contain the item as
/// it is now (`before`), and those into which the write may move it.
fn index_partitions(
    request: &Request<'_>,
    write: &Write<'_>,
    key: &ItemKey,
    before: &Value,
) -> BTreeSet<String> {
    let table = request.tables.iter().find(|table| table.name == key.table);
    let indexes = table.and_then(|table| table.request["GlobalSecondaryIndexes"].as_array());
    let mut partitions = BTreeSet::new();
    for index in indexes.into_iter().flatten() {
        let index_name = index["IndexName"].as_str().unwrap_or_default();
        let name = format!("{}/{index_name}|", key.table);
        let hash = template::key_names(index).next().unwrap_or_default();
        let values = [&before[hash], &write.leg["Item"][hash]];
        let values = values.into_iter().filter(|value| value.is_object());
        partitions.extend(values.map(|value| format!("{name}{value}|")));
        // An update expression is not parsed: one that names the key may set it to anything.
        let update = &write.leg["UpdateExpression"];
        let names = &write.leg["ExpressionAttributeNames"];
        if update.is_string() && format!("{update}{names}").contains(hash) {
            partitions.insert(name);
        }
    }
    partitions
}

//! What a call touches, as its request tells.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{ACCOUNT, REGION, permissions::Access, template};

/// A call's request, and the tables it may be about.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) operation: &'a str,
    pub(super) body: &'a Value,
    pub(super) tables: &'a [template::Table],
}

/// An item's place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) table: String,
    pub(super) key: Value,
}

/// What a call reads and writes: items, partitions or whole tables. One that begins like another
/// contains it.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
}

impl Footprint {
    /// Whether the call may change anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Whether the order of two calls can matter: both touch something that at least one writes.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        meet(&self.writes, &other.writes)
            || meet(&self.writes, &other.reads)
            || meet(&self.reads, &other.writes)
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

/// One item that a request writes.
struct Write<'a> {
    table: &'a str,
    /// The item, or its key.
    named: &'a Value,
    /// All that is said of it.
    leg: &'a Value,
}

/// The item that a leg of a request is about, or its key.
fn named(leg: &Value) -> &Value {
    if leg["Key"].is_object() { &leg["Key"] } else { &leg["Item"] }
}

/// The keys that a batch reads of one table.
fn batch_keys(wanted: &Value) -> impl Iterator<Item = &Value> {
    wanted["Keys"].as_array().into_iter().flatten()
}

/// The legs of a batch's requests to one table.
fn batch_legs(requests: &Value) -> impl Iterator<Item = &Value> {
    let requests = requests.as_array().into_iter().flatten();
    requests.filter_map(Value::as_object).flatten().map(|(_, leg)| leg)
}

/// An action on a table, or on an index behind its table's name.
fn access<'a>(action: &str, place: &str, partitions: Vec<&'a str>) -> Access<'a> {
    let resource = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{place}");
    Access { action: format!("dynamodb:{action}"), resource, partitions }
}

fn table(leg: &Value) -> &str {
    leg["TableName"].as_str().unwrap_or_default()
}

impl Request<'_> {
    /// Whether the request names the table with this logical id.
    pub(super) fn names(&self, id: &str) -> bool {
        let Some(table) = self.tables.iter().find(|table| table.id == id) else { return false };
        let is_it = |name: &Value| *name == *table.name;
        is_it(&self.body["TableName"])
            || self.body["RequestItems"].get(&table.name).is_some()
            || self.legs().any(|(_, leg)| is_it(&leg["TableName"]))
    }

    /// Whether the request does not ask for a consistent answer.
    pub(super) fn may_be_stale(&self) -> bool {
        self.body["ConsistentRead"] != true
    }

    /// The name of the attribute by which a query's answer is sorted.
    pub(super) fn sort_key(&self) -> Option<&str> {
        let table = self.tables.iter().find(|table| self.body["TableName"] == *table.name)?;
        match &self.body["IndexName"] {
            Value::Null => template::key_names(&table.request).nth(1),
            index => {
                let mut indexes = table.request["GlobalSecondaryIndexes"].as_array()?.iter();
                template::key_names(indexes.find(|one| one["IndexName"] == *index)?).nth(1)
            }
        }
    }

    /// The places that the request may change.
    pub(super) fn written(&self) -> Vec<Place> {
        self.writes().iter().filter_map(|write| self.place(write.table, write.named)).collect()
    }

    /// What the caller must be allowed to do. A transaction needs the action of each of its legs.
    pub(super) fn accesses(&self) -> Vec<Access<'_>> {
        match self.operation {
            "TransactGetItems" | "TransactWriteItems" => {
                let leg = |(kind, leg)| {
                    self.access(&format!("{kind}Item"), table(leg), [named(leg)].into_iter())
                };
                self.legs().map(leg).collect()
            }
            "BatchGetItem" => {
                let keys = |(table, wanted)| self.access(self.operation, table, batch_keys(wanted));
                self.batches().map(keys).collect()
            }
            "BatchWriteItem" => {
                let writes = |(table, requests)| {
                    self.access(self.operation, table, batch_legs(requests).map(named))
                };
                self.batches().map(writes).collect()
            }
            "Query" | "Scan" => {
                let index = self.body["IndexName"].as_str();
                let index = index.map(|index| format!("/index/{index}")).unwrap_or_default();
                let place = format!("{}{index}", table(self.body));
                let partition = self.partition().and_then(|value| value["S"].as_str());
                vec![access(self.operation, &place, partition.into_iter().collect())]
            }
            _ => {
                vec![self.access(self.operation, table(self.body), [named(self.body)].into_iter())]
            }
        }
    }

    /// An action on items of a table.
    fn access<'a>(
        &self,
        action: &str,
        table: &str,
        items: impl Iterator<Item = &'a Value>,
    ) -> Access<'a> {
        let described = self.tables.iter().find(|one| one.name == table);
        let hash = described.and_then(|table| template::key_names(&table.request).next());
        access(action, table, items.filter_map(|item| item[hash?]["S"].as_str()).collect())
    }

    /// What the request reads and writes; `item_at` tells what is at a place now.
    pub(super) fn footprint(&self, item_at: impl Fn(&Place) -> Value) -> Footprint {
        let mut writes = BTreeSet::new();
        for write in self.writes() {
            if let Some(place) = self.place(write.table, write.named) {
                writes.insert(self.name(&place));
                writes.extend(self.index_partitions(&write, &place, &item_at(&place)));
            }
        }
        let names = |places: Vec<Place>| places.iter().map(|place| self.name(place)).collect();
        let reads = match self.operation {
            "GetItem" => {
                names(self.place(table(self.body), &self.body["Key"]).into_iter().collect())
            }
            "BatchGetItem" => names(self.keys()),
            "TransactGetItems" | "TransactWriteItems" => {
                let place = |(_, leg): (&str, &Value)| self.place(table(leg), named(leg));
                names(self.legs().filter_map(place).collect())
            }
            "Query" | "Scan" => BTreeSet::from([self.range()]),
            _ => BTreeSet::new(),
        };
        Footprint { reads, writes }
    }

    fn writes(&self) -> Vec<Write<'_>> {
        let write = |leg| Write { table: table(leg), named: named(leg), leg };
        match self.operation {
            "PutItem" | "DeleteItem" | "UpdateItem" => vec![write(self.body)],
            "TransactWriteItems" => {
                let writes = self.legs().filter(|(kind, _)| *kind != "ConditionCheck");
                writes.map(|(_, leg)| write(leg)).collect()
            }
            "BatchWriteItem" => {
                let legs = |(table, requests)| batch_legs(requests).map(move |leg| (table, leg));
                let legs = self.batches().flat_map(legs);
                legs.map(|(table, leg)| Write { table, named: named(leg), leg }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The partitions of indexes that a write changes, `before` being what is at its place: those that
    /// the item leaves, and those that it may get into.
    fn index_partitions(
        &self,
        write: &Write<'_>,
        place: &Place,
        before: &Value,
    ) -> BTreeSet<String> {
        let table = self.tables.iter().find(|table| table.name == place.table);
        let indexes = table.and_then(|table| table.request["GlobalSecondaryIndexes"].as_array());
        let mut partitions = BTreeSet::new();
        for index in indexes.into_iter().flatten() {
            let index_name = index["IndexName"].as_str().unwrap_or_default();
            let name = format!("{}/{index_name}|", place.table);
            let hash = template::key_names(index).next().unwrap_or_default();
            let values = [&before[hash], &write.leg["Item"][hash]];
            let values = values.into_iter().filter(|value| value.is_object());
            partitions.extend(values.map(|value| format!("{name}{value}|")));
            // What an update does to a key, it says in words; they are not read here.
            let update = &write.leg["UpdateExpression"];
            let names = &write.leg["ExpressionAttributeNames"];
            if update.is_string() && format!("{update}{names}").contains(hash) {
                partitions.insert(name);
            }
        }
        partitions
    }

    /// The legs of a transaction, each with its kind.
    fn legs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let legs = self.body["TransactItems"].as_array().into_iter().flatten();
        legs.filter_map(Value::as_object).flatten().map(|(kind, leg)| (kind.as_str(), leg))
    }

    /// The requests of a batch by table.
    fn batches(&self) -> impl Iterator<Item = (&str, &Value)> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        tables.map(|(table, requests)| (table.as_str(), requests))
    }

    /// The places that a batch reads.
    fn keys(&self) -> Vec<Place> {
        let keys =
            |(table, wanted)| batch_keys(wanted).filter_map(move |key| self.place(table, key));
        self.batches().flat_map(keys).collect()
    }

    /// The place of `item`, which may have more attributes than its key.
    fn place(&self, table: &str, item: &Value) -> Option<Place> {
        let table = self.tables.iter().find(|one| one.name == table)?;
        let attribute = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        let key: Map<_, _> = template::key_names(&table.request).filter_map(attribute).collect();
        Some(Place { table: table.name.clone(), key: key.into() })
    }

    fn name(&self, place: &Place) -> String {
        let table = self.tables.iter().find(|table| table.name == place.table);
        let names = table.into_iter().flat_map(|table| template::key_names(&table.request));
        let parts = names.map(|name| format!("{}|", place.key[name]));
        format!("{}|{}", place.table, parts.collect::<String>())
    }

    /// What a query reads: a partition of a table or of an index; all of it, if the query is not
    /// understood.
    fn range(&self) -> String {
        let name = table(self.body);
        let index = self.body["IndexName"].as_str();
        let read = index.map_or_else(|| name.to_owned(), |index| format!("{name}/{index}"));
        match self.partition() {
            Some(value) => format!("{read}|{value}|"),
            None => format!("{read}|"),
        }
    }

    /// The partition key that a query names, if it is understood.
    fn partition(&self) -> Option<&Value> {
        let table = self.tables.iter().find(|one| one.name == table(self.body))?;
        let described = match self.body["IndexName"].as_str() {
            None => &table.request,
            Some(index) => {
                let indexes = table.request["GlobalSecondaryIndexes"].as_array()?;
                indexes.iter().find(|one| one["IndexName"] == index)?
            }
        };
        let names = &self.body["ExpressionAttributeNames"];
        let hash = template::key_names(described).next()?;
        let condition = self.body["KeyConditionExpression"].as_str()?;
        let equals = condition.split(" AND ").find_map(|one| {
            let (attribute, value) = one.split_once('=')?;
            let attribute = attribute.trim();
            let attribute = names[attribute].as_str().unwrap_or(attribute);
            (attribute == hash).then(|| value.trim())
        });
        let value = &self.body["ExpressionAttributeValues"][equals?];
        value.is_object().then_some(value)
    }
}

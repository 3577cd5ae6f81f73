//! What a call touches, as its request tells.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::template;

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
pub(crate) struct Footprint {
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
}

impl Footprint {
    pub(crate) fn writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Whether the order of two calls can matter: both touch something that at least one writes.
    pub(crate) fn meets(&self, other: &Self) -> bool {
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

    /// What the request may change.
    pub(super) fn written(&self) -> Vec<Place> {
        match self.operation {
            "PutItem" => self.place(&self.body["TableName"], &self.body["Item"]),
            "DeleteItem" | "UpdateItem" => self.place(&self.body["TableName"], &self.body["Key"]),
            "BatchWriteItem" => {
                self.batch(|write| [&write["PutRequest"]["Item"], &write["DeleteRequest"]["Key"]])
            }
            "TransactWriteItems" => {
                let writes = self.legs().filter(|(kind, _)| *kind != "ConditionCheck");
                writes.filter_map(|(_, leg)| self.leg_place(leg)).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn footprint(&self) -> Footprint {
        let items = |places: Vec<Place>| places.iter().map(|one| self.name(one)).collect();
        let writes = items(self.written());
        let reads = match self.operation {
            "GetItem" => items(self.place(&self.body["TableName"], &self.body["Key"])),
            "BatchGetItem" => items(self.keys()),
            "TransactGetItems" | "TransactWriteItems" => {
                items(self.legs().filter_map(|(_, leg)| self.leg_place(leg)).collect())
            }
            "Query" | "Scan" => BTreeSet::from([self.range()]),
            _ => BTreeSet::new(),
        };
        Footprint { reads, writes }
    }

    /// The legs of a transaction, each with its kind.
    fn legs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let legs = self.body["TransactItems"].as_array().into_iter().flatten();
        legs.filter_map(Value::as_object).flatten().map(|(kind, leg)| (kind.as_str(), leg))
    }

    fn leg_place(&self, leg: &Value) -> Option<Place> {
        let item = if leg["Key"].is_object() { &leg["Key"] } else { &leg["Item"] };
        self.place(&leg["TableName"], item).pop()
    }

    fn keys(&self) -> Vec<Place> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        let keys = |(table, wanted): (&String, &Value)| {
            let keys = wanted["Keys"].as_array().into_iter().flatten();
            let table = json!(table);
            keys.flat_map(|key| self.place(&table, key)).collect::<Vec<_>>()
        };
        tables.flat_map(keys).collect()
    }

    fn batch<'v>(&'v self, items: impl Fn(&'v Value) -> [&'v Value; 2]) -> Vec<Place> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        let places = |(table, writes): (&String, &'v Value)| {
            let table = json!(table);
            let writes = writes.as_array().into_iter().flatten();
            writes.flat_map(&items).flat_map(|item| self.place(&table, item)).collect::<Vec<_>>()
        };
        tables.flat_map(places).collect()
    }

    /// The place of `item`, which may have more attributes than its key; none if it is no item.
    fn place(&self, table: &Value, item: &Value) -> Vec<Place> {
        let found = self.tables.iter().find(|one| *table == *one.name);
        let (Some(found), Some(item)) = (found, item.as_object()) else { return Vec::new() };
        let key: Map<_, _> = template::key_names(&found.request)
            .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
            .collect();
        vec![Place { table: found.name.clone(), key: key.into() }]
    }

    fn name(&self, place: &Place) -> String {
        let table = self.tables.iter().find(|table| table.name == place.table);
        let names = table.into_iter().flat_map(|table| template::key_names(&table.request));
        let parts = names.map(|name| format!("{}|", place.key[name]));
        format!("{}|{}", place.table, parts.collect::<String>())
    }

    /// What a query reads: a partition, or all of the table if it goes by an index.
    fn range(&self) -> String {
        let name = self.body["TableName"].as_str().unwrap_or_default();
        let table = self.tables.iter().find(|table| table.name == name);
        let partition = || {
            let (hash, names) = (
                template::key_names(&table?.request).next()?,
                &self.body["ExpressionAttributeNames"],
            );
            let condition = self.body["KeyConditionExpression"].as_str()?;
            let equals = condition.split(" AND ").find_map(|one| {
                let (attribute, value) = one.split_once('=')?;
                let attribute = attribute.trim();
                let attribute = names[attribute].as_str().unwrap_or(attribute);
                (attribute == hash).then(|| value.trim())
            });
            let value = &self.body["ExpressionAttributeValues"][equals?];
            value.is_object().then(|| format!("{name}|{value}|"))
        };
        let indexed = self.body["IndexName"].is_string();
        let partition = if indexed { None } else { partition() };
        partition.unwrap_or_else(|| format!("{name}|"))
    }
}

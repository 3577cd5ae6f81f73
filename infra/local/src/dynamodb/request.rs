//! What a call touches, as its request tells.

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

    /// The legs of a transaction, each with its kind.
    fn legs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let legs = self.body["TransactItems"].as_array().into_iter().flatten();
        legs.filter_map(Value::as_object).flatten().map(|(kind, leg)| (kind.as_str(), leg))
    }

    fn leg_place(&self, leg: &Value) -> Option<Place> {
        let item = if leg["Key"].is_object() { &leg["Key"] } else { &leg["Item"] };
        self.place(&leg["TableName"], item).pop()
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
}

//! Finds the items, tables and indexes that a request names.
//!
//! A *leg* is one action of a transaction, one write of a batch, or the body of a call for a single item.

use serde_json::{Map, Value};

use crate::{
    aws::arn,
    iam::Access,
    template::{self, Table},
};

/// A request to `DynamoDB`, with the tables of the template.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) operation: &'a str,
    pub(super) body: &'a Value,
    pub(super) tables: &'a [Table],
}

/// An item's table and primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemKey {
    pub(super) table: String,
    pub(super) key: Value,
}

/// One write of a request.
pub(super) struct Write<'a> {
    pub(super) table: &'a str,
    /// The item to put, or the key of the item to update or delete.
    pub(super) named: &'a Value,
    /// The whole leg: a `Put`, `Update` or `Delete`.
    pub(super) leg: &'a Value,
}

/// Returns the item in a leg, or its key if the leg has only the key.
fn named(leg: &Value) -> &Value {
    if leg["Key"].is_object() { &leg["Key"] } else { &leg["Item"] }
}

/// Returns the key of `item`, which may have further attributes; `None` for an unknown table.
fn item_key(tables: &[Table], table: &str, item: &Value) -> Option<ItemKey> {
    let table = tables.iter().find(|one| one.name == table)?;
    let attribute = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
    let key: Map<_, _> = template::key_names(&table.request).filter_map(attribute).collect();
    Some(ItemKey { table: table.name.clone(), key: key.into() })
}

/// Returns the key of the item that an entry of a `BatchWriteItem` writes.
pub(super) fn batch_item_key(tables: &[Table], table: &str, entry: &Value) -> Option<ItemKey> {
    let (_, leg) = entry.as_object()?.iter().next()?;
    item_key(tables, table, named(leg))
}

/// Returns the keys that a `BatchGetItem` reads from one table.
fn batch_keys(wanted: &Value) -> impl Iterator<Item = &Value> {
    wanted["Keys"].as_array().into_iter().flatten()
}

/// Returns the writes of a `BatchWriteItem` to one table.
fn batch_legs(requests: &Value) -> impl Iterator<Item = &Value> {
    let requests = requests.as_array().into_iter().flatten();
    requests.filter_map(Value::as_object).flatten().map(|(_, leg)| leg)
}

/// Returns what IAM checks for an action on a table, or on an index (`Orders/index/open`).
fn access<'a>(action: &str, resource: &str, partitions: Vec<&'a str>) -> Access<'a> {
    let resource = arn("dynamodb", &format!("table/{resource}"));
    Access { action: format!("dynamodb:{action}"), resource, partitions }
}

fn table(leg: &Value) -> &str {
    leg["TableName"].as_str().unwrap_or_default()
}

impl<'a> Request<'a> {
    /// Returns the table that the request's `TableName` names; `None` if there is none, or the template lacks the
    /// table.
    pub(super) fn table(&self) -> Option<&'a Table> {
        self.find_table(table(self.body))
    }

    /// Returns the description of the table or index that a query or scan reads.
    pub(super) fn source(&self) -> Option<&'a Value> {
        let table = self.table()?;
        match self.body["IndexName"].as_str() {
            None => Some(&table.request),
            Some(index) => table.index(index).map(|(described, _)| described),
        }
    }

    fn find_table(&self, name: &str) -> Option<&'a Table> {
        self.tables.iter().find(|table| table.name == name)
    }
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

    /// Whether an eventually consistent read suffices: the request does not set `ConsistentRead`.
    pub(super) fn may_be_stale(&self) -> bool {
        self.body["ConsistentRead"] != true
    }

    /// Returns the name of the attribute by which a query's items are sorted.
    pub(super) fn sort_key(&self) -> Option<&str> {
        template::key_names(self.source()?).nth(1)
    }

    /// Returns the keys of the items that the request may change.
    pub(super) fn written(&self) -> Vec<ItemKey> {
        self.writes().iter().filter_map(|write| self.item_key(write.table, write.named)).collect()
    }

    /// Returns the accesses for which the caller needs permission. A transaction needs the permission for
    /// each of its actions, such as `dynamodb:PutItem` for a `Put`.
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
                let resource = format!("{}{index}", table(self.body));
                let partition = self.partition().and_then(|value| value["S"].as_str());
                vec![access(self.operation, &resource, partition.into_iter().collect())]
            }
            _ => {
                vec![self.access(self.operation, table(self.body), [named(self.body)].into_iter())]
            }
        }
    }

    /// Returns what IAM checks for `action` on these items of a table: with the items' partition keys.
    fn access<'a>(
        &self,
        action: &str,
        table: &str,
        items: impl Iterator<Item = &'a Value>,
    ) -> Access<'a> {
        let described = self.find_table(table);
        let hash = described.and_then(|table| template::key_names(&table.request).next());
        access(action, table, items.filter_map(|item| item[hash?]["S"].as_str()).collect())
    }

    /// Returns the writes of the request, without condition checks.
    pub(super) fn writes(&self) -> Vec<Write<'_>> {
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

    /// Returns the items that a transaction names, each with the kind of its action, in the order of the actions. The
    /// item is `None` if the template lacks its table.
    pub(super) fn transaction_items(&self) -> impl Iterator<Item = (&str, Option<ItemKey>)> {
        self.legs().map(|(kind, leg)| (kind, self.item_key(table(leg), named(leg))))
    }

    /// Returns the actions of a transaction, each with its kind: `Put`, `Update`, `Delete`, `ConditionCheck`, `Get`.
    fn legs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let legs = self.body["TransactItems"].as_array().into_iter().flatten();
        legs.filter_map(Value::as_object).flatten().map(|(kind, leg)| (kind.as_str(), leg))
    }

    /// Returns the tables that a batch names, each with the batch's requests to it.
    fn batches(&self) -> impl Iterator<Item = (&str, &Value)> {
        let tables = self.body["RequestItems"].as_object().into_iter().flatten();
        tables.map(|(table, requests)| (table.as_str(), requests))
    }

    /// Returns the keys of the items that the request reads individually. For a transaction, these are all items that
    /// it names, including those of condition checks.
    pub(super) fn read_keys(&self) -> Vec<ItemKey> {
        match self.operation {
            "GetItem" => self.item_key(table(self.body), &self.body["Key"]).into_iter().collect(),
            "BatchGetItem" => {
                let keys = |(table, wanted)| {
                    batch_keys(wanted).filter_map(move |key| self.item_key(table, key))
                };
                self.batches().flat_map(keys).collect()
            }
            _ => self.transaction_items().filter_map(|(_, key)| key).collect(),
        }
    }

    /// Returns the key of `item`, which may have further attributes; `None` if the template lacks the table.
    pub(super) fn item_key(&self, table: &str, item: &Value) -> Option<ItemKey> {
        item_key(self.tables, table, item)
    }

    /// Returns the value of the partition key that a query or scan names; `None` if its condition is not of the form
    /// `key = :value AND …`.
    pub(super) fn partition(&self) -> Option<&Value> {
        let names = &self.body["ExpressionAttributeNames"];
        let hash = template::key_names(self.source()?).next()?;
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

//! Reads the consumed capacity in an answer (`ConsumedCapacity`).

use serde_json::Value;

/// Kind of capacity that an operation consumes: read units or write units.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Read,
    Write,
}

impl Axis {
    /// Returns the kind of capacity that `operation` consumes.
    pub(super) fn of(operation: &str) -> Self {
        match operation {
            "BatchWriteItem" | "DeleteItem" | "PutItem" | "TransactWriteItems" | "UpdateItem" => {
                Self::Write
            }
            _ => Self::Read,
        }
    }
}

/// Returns the read units and the write units consumed. Only transactions report them separately; other operations
/// report one number, and `axis` tells its kind.
pub(super) fn consumed(capacity: &Value, axis: Axis) -> (f64, f64) {
    if let Some(tables) = capacity.as_array() {
        let units = tables.iter().map(|table| consumed(table, axis));
        return units.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    }
    let units = |key: &str| capacity[key].as_f64();
    match (units("ReadCapacityUnits"), units("WriteCapacityUnits"), axis) {
        (None, None, Axis::Read) => (units("CapacityUnits").unwrap_or_default(), 0.0),
        (None, None, Axis::Write) => (0.0, units("CapacityUnits").unwrap_or_default()),
        (read, written, _) => (read.unwrap_or_default(), written.unwrap_or_default()),
    }
}

/// Returns the units consumed by table (`Orders`) and by index (`Orders/open`).
pub(super) fn by_table_and_index(capacity: &Value) -> Vec<(String, f64)> {
    if let Some(tables) = capacity.as_array() {
        return tables.iter().flat_map(by_table_and_index).collect();
    }
    let units = |detail: &Value| detail["CapacityUnits"].as_f64().unwrap_or_default();
    let table = capacity["TableName"].as_str().unwrap_or_default();
    let indexes = capacity["GlobalSecondaryIndexes"].as_object().into_iter().flatten();
    let indexes = indexes.map(|(name, detail)| (format!("{table}/{name}"), units(detail)));
    indexes.chain([(table.to_owned(), units(&capacity["Table"]))]).collect()
}

/// Returns the capacity without the breakdown by table and index, as `ReturnConsumedCapacity: TOTAL` reports
/// it.
pub(super) fn total(mut capacity: Value) -> Value {
    let tables: Vec<&mut Value> = match &mut capacity {
        Value::Array(tables) => tables.iter_mut().collect(),
        table => vec![table],
    };
    for table in tables.into_iter().filter_map(Value::as_object_mut) {
        table.retain(|name, _| !["Table", "GlobalSecondaryIndexes"].contains(&name.as_str()));
    }
    capacity
}

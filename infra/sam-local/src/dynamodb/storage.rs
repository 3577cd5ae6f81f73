//! Operations on whole tables: create, scan, copy and load them, and delete expired items.

use std::{collections::BTreeMap, path::Path};

use dynoxide::{Database, DynoxideError, ImportOptions};
use serde_json::{Map, Value, json};

use super::execute::execute;
use crate::{
    error::Error,
    template::{self, Table},
};

/// Creates the tables that do not exist yet. Checks that the existing ones have the keys, indexes and streams
/// that the template declares.
pub(super) fn create(database: &Database, tables: &[Table]) -> Result<(), Error> {
    for table in tables {
        let fails = |error: &dyn std::fmt::Display| Error::at(&table.id, error.to_string());
        let existing = json!({"TableName": table.name});
        match execute(database, "DescribeTable", &existing) {
            Ok(existing) if shape(&existing["Table"]) == shape(&table.request) => {}
            Ok(_) => {
                let complaint = "the kept table has other keys, indexes or streams; \
                                 start once with --reset to create it anew";
                return Err(fails(&complaint));
            }
            Err(DynoxideError::ResourceNotFoundException(_)) => {
                let request = serde_json::from_value(table.request.clone());
                let request = request.map_err(|error| fails(&error))?;
                database.create_table(request).map_err(|error| fails(&error))?;
            }
            Err(error) => return Err(fails(&error)),
        }
    }
    Ok(())
}

/// Adds an index and a trigger to the emulator's table of stream records. At every write, the emulator looks
/// up a stream's last sequence number; with the index it need not read all records. The trigger deletes old
/// records, which the emulator would keep for ever: only the latest `kept` records of all streams together
/// remain, delivered or not. AWS keeps records for 24 hours.
pub(super) fn prepare_streams(database: &Database, kept: usize) -> Result<(), Error> {
    let script = format!(
        "CREATE INDEX IF NOT EXISTS _stream_records_in_order \
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER)); \
         DROP TRIGGER IF EXISTS _stream_records_end; \
         CREATE TRIGGER _stream_records_end AFTER INSERT ON _stream_records \
         BEGIN DELETE FROM _stream_records WHERE id <= NEW.id - {kept}; END"
    );
    let fails = |error: &dyn std::fmt::Display| Error::new(format!("streams: {error}"));
    let prepare = |path: &Path| {
        let connection = rusqlite::Connection::open(path).map_err(|error| fails(&error))?;
        connection.execute_batch(&script).map_err(|error| fails(&error))
    };
    if let Some(path) = database.db_path().map_err(|error| fails(&error))? {
        return prepare(Path::new(&path));
    }
    // A database in memory is changed by way of a file.
    let directory = tempfile::tempdir().map_err(|error| fails(&error))?;
    let path = directory.path().join("tables.db");
    database.vacuum_into(&path.to_string_lossy()).map_err(|error| fails(&error))?;
    prepare(&path)?;
    database.restore_from(&path.to_string_lossy()).map_err(|error| fails(&error))
}

/// Runs a `Scan` page by page to its end, and returns all items found.
pub(super) fn scan(database: &Database, mut request: Value) -> Result<Vec<Value>, DynoxideError> {
    let mut items = Vec::new();
    loop {
        let mut page = execute(database, "Scan", &request)?;
        if let Value::Array(found) = page["Items"].take() {
            items.extend(found);
        }
        match page["LastEvaluatedKey"].take() {
            Value::Null => return Ok(items),
            key => request["ExclusiveStartKey"] = key,
        }
    }
}

/// Deletes the items whose TTL has passed at `now` (seconds since 1970), and returns their number. It
/// replaces the emulator's own TTL deletion, which goes by the machine's clock instead of virtual time.
pub(super) fn sweep(
    database: &Database,
    tables: &[Table],
    now: i64,
) -> Result<usize, DynoxideError> {
    let mut swept = 0;
    for table in tables {
        if let Some(attribute) = &table.ttl_attribute {
            swept += sweep_table(database, table, attribute, now)?;
        }
    }
    Ok(swept)
}

fn sweep_table(
    database: &Database,
    table: &Table,
    attribute: &str,
    now: i64,
) -> Result<usize, DynoxideError> {
    const EXPIRED: &str = "#expiry <= :now";
    let request = json!({
        "TableName": table.name,
        "ExpressionAttributeNames": {"#expiry": attribute},
        "ExpressionAttributeValues": {":now": {"N": now.to_string()}},
    });
    let mut find = request.clone();
    find["FilterExpression"] = json!(EXPIRED);
    let mut delete = request;
    delete["ConditionExpression"] = json!(EXPIRED);
    let mut swept = 0;
    for item in scan(database, find)? {
        delete["Key"] = key_of(&item, &table.request);
        match execute(database, "DeleteItem", &delete) {
            Ok(_) => swept += 1,
            // The item's expiry was extended after the scan.
            Err(DynoxideError::ConditionalCheckFailedException(..)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(swept)
}

/// A copy of tables: table name to primary key (as JSON text) to item.
pub(crate) type Copy = BTreeMap<String, BTreeMap<String, Value>>;

/// Returns a copy of all items of these tables.
pub(super) fn copy(database: &Database, tables: &[Table]) -> Result<Copy, Error> {
    let items = |table: &Table| {
        let items = scan(database, json!({"TableName": table.name}))?;
        let keyed = items.into_iter().map(|item| (key_of(&item, &table.request).to_string(), item));
        Ok((table.name.clone(), keyed.collect()))
    };
    let copy: Result<_, DynoxideError> = tables.iter().map(items).collect();
    copy.map_err(|error| Error::new(error.to_string()))
}

/// Makes the items of these tables the same as in the copy `wanted`; deletes and writes only what differs.
pub(super) fn restore(database: &Database, tables: &[Table], wanted: &Copy) -> Result<(), Error> {
    let fails = |error: DynoxideError| Error::new(error.to_string());
    let nothing = BTreeMap::new();
    for (table, items) in copy(database, tables)? {
        let wanted = wanted.get(&table).unwrap_or(&nothing);
        for (key, _) in items.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            let key: Value = serde_json::from_str(key).unwrap_or_default();
            let delete = json!({"TableName": table, "Key": key});
            execute(database, "DeleteItem", &delete).map_err(fails)?;
        }
        for (_, item) in wanted.iter().filter(|(key, item)| items.get(*key) != Some(*item)) {
            let put = json!({"TableName": table, "Item": item});
            execute(database, "PutItem", &put).map_err(fails)?;
        }
    }
    Ok(())
}

/// Imports items into a table.
pub(super) fn load(database: &Database, table: &str, items: Vec<Value>) -> Result<(), Error> {
    let items = serde_json::from_value(Value::Array(items));
    let items = items.map_err(|error| Error::new(error.to_string()))?;
    let loaded = database.import_items(table, items, ImportOptions::default());
    loaded.map(drop).map_err(|error| Error::new(error.to_string()))
}

fn key_of(item: &Value, table: &Value) -> Value {
    let names = template::key_names(table);
    names.map(|name| (name.to_owned(), item[name].clone())).collect::<Map<_, _>>().into()
}

/// Returns the parts of a table's description that must equal the template's if the table was kept from an
/// earlier run: its keys, its indexes and its stream view type.
fn shape(table: &Value) -> Value {
    let mut indexes: Vec<_> = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"]
        .iter()
        .flat_map(|kind| table[kind].as_array().into_iter().flatten())
        .map(|index| json!([index["IndexName"], index["KeySchema"], index["Projection"]]))
        .collect();
    indexes.sort_by_key(Value::to_string);
    json!([table["KeySchema"], indexes, table["StreamSpecification"]["StreamViewType"]])
}

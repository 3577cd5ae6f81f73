//! Partial processing of `BatchGetItem` and `BatchWriteItem`: entries that `DynamoDB` would return as unprocessed.

use serde_json::{Value, json};

/// Takes the entries for which `is_withheld(table, entry)` is true out of a batch, and returns them in the form of
/// `UnprocessedItems` or `UnprocessedKeys`.
pub(super) fn withhold(
    operation: &str,
    request: &mut Value,
    mut is_withheld: impl FnMut(&str, &Value) -> bool,
) -> Value {
    let reads = operation == "BatchGetItem";
    let mut unprocessed = json!({});
    let Some(tables) = request["RequestItems"].as_object_mut() else { return unprocessed };
    for (name, table) in tables.iter_mut() {
        let mut rest = table.clone();
        let entries = if reads { &mut table["Keys"] } else { &mut *table };
        let all = entries.as_array_mut().map(std::mem::take).unwrap_or_default();
        let (withheld, kept): (Vec<_>, _) =
            all.into_iter().partition(|entry| is_withheld(name, entry));
        *entries = kept.into();
        if !withheld.is_empty() {
            *if reads { &mut rest["Keys"] } else { &mut rest } = withheld.into();
            unprocessed[name] = rest;
        }
    }
    tables.retain(|_, table| size_of(operation, table) > 0);
    unprocessed
}

/// Adds the entries that [`withhold`] took out of a batch to the batch's response, as unprocessed.
pub(super) fn add_unprocessed(operation: &str, response: &mut Value, unprocessed: Value) {
    let reads = operation == "BatchGetItem";
    let name = if reads { "UnprocessedKeys" } else { "UnprocessedItems" };
    let Value::Object(unprocessed) = unprocessed else { return };
    for (table, mut entries) in unprocessed {
        let all = &mut response[name][&table];
        let (all, more) =
            if reads { (&mut all["Keys"], &mut entries["Keys"]) } else { (all, &mut entries) };
        match (all.as_array_mut(), more.as_array_mut()) {
            (Some(all), Some(more)) => all.append(more),
            _ => response[name][&table] = entries,
        }
    }
}

/// Returns the number of entries in a batch.
pub(super) fn size(operation: &str, request: &Value) -> usize {
    let tables = request["RequestItems"].as_object().into_iter().flatten();
    tables.map(|(_, table)| size_of(operation, table)).sum()
}

fn size_of(operation: &str, table: &Value) -> usize {
    let entries = if operation == "BatchGetItem" { &table["Keys"] } else { table };
    entries.as_array().map_or(0, Vec::len)
}

//! Executes operations on the embedded emulator, in `DynamoDB`'s JSON.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Executes one operation.
pub(super) fn execute(
    database: &Database,
    operation: &str,
    request: &Value,
) -> Result<Value, DynoxideError> {
    match operation {
        "BatchGetItem" => run(request, |r| database.batch_get_item(r)),
        "BatchWriteItem" => run(request, |r| database.batch_write_item(r)),
        "DeleteItem" => run(request, |r| database.delete_item(r)),
        "DescribeTable" => run(request, |r| database.describe_table(r)),
        "GetItem" => run(request, |r| database.get_item(r)),
        "GetRecords" => run(request, |r| database.get_records(r)),
        "GetShardIterator" => run(request, |r| database.get_shard_iterator(r)),
        "ListTables" => run(request, |r| database.list_tables(r)),
        "PutItem" => run(request, |r| database.put_item(r)),
        "Query" => run(request, |r| database.query(r)),
        "Scan" => run(request, |r| database.scan(r)),
        "TransactGetItems" => run(request, |r| database.transact_get_items(r)),
        "TransactWriteItems" => run(request, |r| database.transact_write_items(r)),
        "UpdateItem" => run(request, |r| database.update_item(r)),
        _ => Err(DynoxideError::ValidationException(format!(
            "the local stack does not support {operation}"
        ))),
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    request: &Value,
    operation: impl FnOnce(I) -> dynoxide::Result<O>,
) -> Result<Value, DynoxideError> {
    let request =
        serde_json::from_str(&request.to_string()).map_err(|e| malformed(&e.to_string()))?;
    serde_json::to_value(operation(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// Returns the error for a request that does not deserialize: the exception that the prefix of the emulator's
/// `message` stands for, such as `SERIALIZATION`.
fn malformed(message: &str) -> DynoxideError {
    let message = message.split(" at line ").next().unwrap_or_default();
    match message.split_once(':') {
        Some(("VALIDATION" | "VALIDATION_REQUEST", rest)) => {
            DynoxideError::ValidationException(rest.into())
        }
        Some(("SERIALIZATION", rest)) => DynoxideError::SerializationException(rest.into()),
        _ => DynoxideError::ValidationException(message.into()),
    }
}

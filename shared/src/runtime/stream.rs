//! Batches of records from a `DynamoDB` stream that has only keys (`KEYS_ONLY`), as Lambda passes them to a
//! function, and the response that names the records that failed. Source:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.

use serde::{Deserialize, Serialize};

/// A record from the stream of a table whose partition key is the string attribute `id`. Other fields are
/// ignored.
#[derive(Deserialize)]
pub struct StreamRecord {
    dynamodb: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Keys,
    sequence_number: String,
}

#[derive(Deserialize)]
struct Keys {
    id: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

impl StreamRecord {
    /// Returns the key of the item that was written.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.dynamodb.keys.id.text
    }
}

/// The response to a batch of stream records: lists the records that failed. Lambda retries the batch from
/// the first of them on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchFailures {
    batch_item_failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl FromIterator<StreamRecord> for BatchFailures {
    fn from_iter<T: IntoIterator<Item = StreamRecord>>(failed: T) -> Self {
        let failure =
            |record: StreamRecord| Failure { item_identifier: record.dynamodb.sequence_number };
        Self { batch_item_failures: failed.into_iter().map(failure).collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failed_records_are_named_by_their_sequence_numbers() {
        let record = |id: &str, number: &str| {
            let change =
                json!({"Keys": {"id": {"S": id}}, "SequenceNumber": number, "SizeBytes": 1});
            serde_json::from_value(json!({"eventName": "INSERT", "dynamodb": change})).unwrap()
        };
        let records: Vec<StreamRecord> = vec![record("a", "1"), record("b", "2")];
        let failed = records.into_iter().filter(|record| record.id() == "b");
        let answer = json!({"batchItemFailures": [{"itemIdentifier": "2"}]});
        assert_eq!(serde_json::to_value(failed.collect::<BatchFailures>()).unwrap(), answer);
    }
}

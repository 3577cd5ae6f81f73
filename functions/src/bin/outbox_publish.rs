//! Carries events from the outbox to the bus: called with the keys that were written to it.
//!
//! Answers with the records that the bus did not take, and Lambda brings them again.

use serde::{Deserialize, Serialize};
use shared::bus::Publisher;
use shared::domain::Error;
use shared::runtime::{self, Deadline};

/// A batch of DynamoDB stream records, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_item_failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

pub(crate) async fn handle(
    publisher: &'static Publisher,
    batch: Batch,
    _: Deadline,
) -> Result<Answer, Error> {
    let ids: Vec<String> =
        batch.records.iter().map(|record| record.dynamodb.keys.id.text.clone()).collect();
    let events = publisher.app.store.get_events(&ids).await?;
    let refused = publisher.publish(&events).await?;

    let failed = |record: &&Record| refused.contains(&record.dynamodb.keys.id.text);
    let failure =
        |record: &Record| Failure { item_identifier: record.dynamodb.sequence_number.clone() };
    Ok(Answer { batch_item_failures: batch.records.iter().filter(failed).map(failure).collect() })
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

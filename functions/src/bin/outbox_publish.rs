//! Publishes the outbox: the table's stream brings the keys of new entries, the schedule starts a run for
//! what the stream has lost.
//!
//! Reports the records that the bus refused as partial batch failures, so Lambda retries them.

use serde::{Deserialize, Serialize};
use shared::bus::{PublishRun, Publisher, publish_overdue};
use shared::domain::{Error, Event, Id};
use shared::platform::Deadline;
use shared::runtime;

/// A batch of DynamoDB stream records, or the schedule's event, which has none. Other fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Call {
    records: Option<Vec<Record>>,
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
    id: String,
}

impl Record {
    /// The event's id; `None` for mail, which is not published.
    fn id(&self) -> Option<Id<Event>> {
        Id::parse(&self.dynamodb.keys.id.id)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    #[serde(rename_all = "camelCase")]
    Batch {
        batch_item_failures: Vec<Failure>,
    },
    Run(PublishRun),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    item_identifier: String,
}

pub(crate) async fn handle(
    publisher: &'static Publisher,
    call: Call,
    deadline: Deadline,
) -> Result<Answer, Error> {
    let Some(records) = call.records else {
        return publish_overdue(publisher, deadline).await.map(Answer::Run);
    };
    let ids: Vec<_> = records.iter().filter_map(Record::id).collect();
    let events = publisher.app.store.get_events(&ids).await?;
    let refused = publisher.publish(&events).await;

    let failed =
        records.into_iter().filter(|record| record.id().is_some_and(|id| refused.contains(&id)));
    let failure = |record: Record| Failure { item_identifier: record.dynamodb.sequence_number };
    Ok(Answer::Batch { batch_item_failures: failed.map(failure).collect() })
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

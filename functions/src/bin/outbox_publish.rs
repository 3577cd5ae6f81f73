//! Publishes the outbox's events on the EventBridge bus. The outbox table's stream invokes the function with the keys
//! of new entries; a schedule invokes it for entries that the stream has missed.
//!
//! Reports the records that the bus refused as partial batch failures (`batchItemFailures`), so that Lambda retries
//! them.

use serde::{Deserialize, Serialize};
use shared::bus::{PublishRun, Publisher, publish_overdue};
use shared::domain::{Error, Event, Id};
use shared::platform::Deadline;
use shared::runtime::{self, BatchFailures, StreamRecord};

/// Input of the function: a batch of DynamoDB stream records, or the schedule's event, which has no records. Other
/// fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Call {
    records: Option<Vec<StreamRecord>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Batch(BatchFailures),
    Run(PublishRun),
}

/// Returns the id of the event in a stream record; `None` for an entry of mail, which is not published.
fn event_of(record: &StreamRecord) -> Option<Id<Event>> {
    Id::parse(record.id())
}

pub(crate) async fn handle(
    publisher: &'static Publisher,
    call: Call,
    deadline: Deadline,
) -> Result<Answer, Error> {
    let Some(records) = call.records else {
        return publish_overdue(publisher, deadline).await.map(Answer::Run);
    };
    let ids: Vec<_> = records.iter().filter_map(event_of).collect();
    let events = publisher.app.store.get_events(&ids).await?;
    let refused = publisher.publish(&events).await;

    let is_refused =
        |record: &StreamRecord| event_of(record).is_some_and(|id| refused.contains(&id));
    Ok(Answer::Batch(records.into_iter().filter(is_refused).collect()))
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}

//! The EventBridge bus, and the publisher that puts the events of the outbox table on it.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, Build};
use crate::domain::{Error, Event, Id, Timestamp};
use crate::platform::aws::{self, Call as _};
use crate::platform::log::{Cause, LogEntry};
use crate::platform::metrics::Metric;
use crate::platform::{Deadline, config, metrics, sdk};
use crate::store::outbox::{OutboxEntry, OutboxQueue};

/// The `source` of the events on the bus.
pub const SOURCE: &str = "tenure";

/// Maximum number of entries in one `PutEvents` call: EventBridge's limit.
pub const BATCH: usize = 10;

/// Maximum number of concurrent `PutEvents` calls. After each, one write per event follows, and each write
/// needs a connection.
const CONCURRENT_CALLS: usize = 4;

/// An EventBridge event bus, with the client that puts events on it.
#[derive(Debug)]
pub struct Bus {
    client: Client,
    name: String,
}

/// An event in the form that is put on the bus: its type, time and data.
#[derive(Debug)]
pub struct BusEvent<'a> {
    /// The event type: EventBridge's `detail-type`.
    pub name: &'a str,
    /// Time of the event.
    pub time: Timestamp,
    /// The event's data: EventBridge's `detail`.
    pub detail: Value,
}

impl Build for Bus {
    fn build() -> Result<Self, Error> {
        let client = Client::from_conf(sdk::eventbridge_config()?);
        Ok(Self::new(client, config::required("BUS_NAME")?))
    }
}

impl Bus {
    /// Returns the bus `name`.
    #[must_use]
    pub const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Puts up to [`BATCH`] events on the bus. Returns for each event whether the bus has accepted it. If the
    /// call fails, that is logged, and none of the events is accepted.
    pub async fn put(&self, events: impl IntoIterator<Item = BusEvent<'_>>) -> Vec<bool> {
        let entries: Vec<_> = events.into_iter().map(|event| self.entry(event)).collect();
        let count = entries.len();
        if count == 0 {
            return Vec::new();
        }
        let answer = self.client.put_events().set_entries(Some(entries)).call().await;
        let results = answer.map(|answer| answer.entries.unwrap_or_default());
        let results = results.unwrap_or_else(|error| {
            let error = aws::failure("EventBridge", &error);
            LogEntry::EventsNotPublished { count, cause: Cause(&error) }.log();
            Vec::new()
        });
        let is_accepted = |result: &PutEventsResultEntry| result.event_id().is_some();
        (0..count).map(|index| results.get(index).is_some_and(is_accepted)).collect()
    }

    fn entry(&self, event: BusEvent<'_>) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(event.name)
            .time(DateTime::from_secs(event.time.seconds()))
            .detail(event.detail.to_string())
            .build()
    }
}

/// Publishes the events of the outbox table on the bus.
#[derive(Debug)]
pub struct Publisher {
    /// Store, clock and randomness.
    pub app: App,
    bus: Bus,
}

impl Build for Publisher {
    fn build() -> Result<Self, Error> {
        Ok(Self::new(App::build()?, Bus::build()?))
    }
}

/// Result of a run that publishes overdue events.
#[derive(Debug, Default, Serialize)]
pub struct PublishRun {
    /// Number of events published.
    pub published: u64,
    /// Number of events that the bus refused; the next run tries again.
    pub refused: u64,
    /// Age of the oldest overdue event, in seconds.
    pub oldest_seconds: u64,
    /// Whether the run stopped near its deadline and left work for the next run.
    pub unfinished: bool,
}

/// Publishes the events that are still unpublished a minute after they were written. Normally, the outbox
/// table's stream has brought them to the publisher by then.
pub async fn publish_overdue(
    publisher: &Publisher,
    deadline: Deadline,
) -> Result<PublishRun, Error> {
    let (store, now) = (&publisher.app.store, publisher.app.now());
    let mut run = PublishRun::default();
    let mut cursor = OutboxQueue::Publish.beginning();
    while !cursor.is_end() && !deadline.is_near() {
        let overdue = store.list_unpublished(cursor, now).await?;
        let age = overdue.oldest.map_or(0, |since| since.until(now).as_secs());
        run.oldest_seconds = run.oldest_seconds.max(age);
        let ids: Vec<_> = overdue.events.into_iter().map(|(id, _)| id).collect();
        let events = store.get_events(&ids).await?;
        let refused = publisher.publish(&events).await.len() as u64;
        run.refused += refused;
        run.published += events.len() as u64 - refused;
        cursor = overdue.next;
    }
    run.unfinished = !cursor.is_end();
    metrics::emit(now, &run.metrics());
    Ok(run)
}

impl PublishRun {
    /// Returns the run's metrics, which the alarms watch.
    const fn metrics(&self) -> [Metric; 1] {
        [("OutboxOldest", "Seconds", self.oldest_seconds)]
    }
}

impl Publisher {
    /// Returns a publisher that puts events on `bus`.
    #[must_use]
    pub const fn new(app: App, bus: Bus) -> Self {
        Self { app, bus }
    }

    /// Publishes events, and removes those from the queue of unpublished events that the bus has accepted.
    /// Returns the ids of the others; a refused event does not hold up the rest.
    pub async fn publish(&self, events: &[OutboxEntry]) -> Vec<Id<Event>> {
        let batches: Vec<_> = events.chunks(BATCH).map(|batch| self.publish_batch(batch)).collect();
        stream::iter(batches).buffer_unordered(CONCURRENT_CALLS).concat().await
    }

    async fn publish_batch(&self, batch: &[OutboxEntry]) -> Vec<Id<Event>> {
        let accepted = self.bus.put(batch.iter().map(bus_event)).await;
        let (mut published, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for (event, is_accepted) in batch.iter().zip(accepted) {
            if is_accepted { published.push(event) } else { refused.push(event.id) }
        }
        self.record_published(&published).await;
        refused
    }

    /// Removes published events from the queue of unpublished events. If that fails for an event, the
    /// scheduled run publishes it once more, which is better than a retry of the whole batch.
    async fn record_published(&self, events: &[&OutboxEntry]) {
        let now = self.app.now();
        let records = events.iter().map(|event| async move {
            if let Err(error) = self.app.store.record_published(event, now).await {
                LogEntry::EventNotDequeued { event_id: event.id, cause: Cause(&error) }.log();
            }
        });
        join_all(records).await;
    }
}

fn bus_event(event: &OutboxEntry) -> BusEvent<'_> {
    let detail = json!({
        "id": event.id,
        "type": event.name,
        "customer_id": event.customer_id,
        "subjects": event.subjects(),
        "hold": event.hold,
        "receipt": event.receipt,
        "sequence": event.sequence,
        "webhook": event.is_pending(),
        "actor": event.actor,
        "tm_event": event.tm_event,
    });
    BusEvent { name: &event.name, time: event.tm_event, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "0190163d-8694-739b-aea5-966c26f8ad90";
    const CUSTOMER: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

    #[test]
    fn the_age_of_the_oldest_event_is_a_metric() {
        let run = PublishRun { published: 1, refused: 2, oldest_seconds: 3, unfinished: true };
        assert_eq!(run.metrics(), [("OutboxOldest", "Seconds", 3)]);
    }

    /// Returns the `detail` that the bus gets for a stored event with the common attributes and these further
    /// `attributes`.
    fn detail(attributes: Value) -> Value {
        let mut stored = json!({
            "id": EVENT,
            "type": "customer_erased",
            "customer_id": CUSTOMER,
            "actor": {"type": "purge", "id": null, "role": "system", "customer_id": null},
            "tm_event": "2026-01-01T00:00:00Z",
            "expires_at": 0,
        });
        let Value::Object(attributes) = attributes else { panic!("attributes") };
        stored.as_object_mut().unwrap().extend(attributes);
        bus_event(&serde_json::from_value(stored).unwrap()).detail
    }

    #[test]
    fn what_an_event_has_is_on_the_bus_and_what_it_has_not_is_null() {
        let mut expected = json!({
            "id": EVENT,
            "type": "customer_erased",
            "customer_id": CUSTOMER,
            "subjects": [],
            "hold": null,
            "receipt": null,
            "sequence": null,
            "webhook": false,
            "actor": {"type": "purge", "id": null, "role": "system", "customer_id": null},
            "tm_event": "2026-01-01T00:00:00Z",
        });
        assert_eq!(detail(json!({})), expected);

        let receipt = json!({"round": 2, "final": true, "digest": "ab", "counts": {"numbers": 3}});
        let subject = uuid::Uuid::from_u128(1);
        expected["subjects"] = json!([subject]);
        expected["hold"] = json!("case-7");
        expected["receipt"] = receipt.clone();
        expected["sequence"] = json!(5);
        expected["webhook"] = json!(true);
        let all = json!({
            "subjects": subject.as_bytes(),
            "hold": "case-7",
            "receipt": receipt,
            "sequence": 5,
            "delivery": "pending",
        });
        assert_eq!(detail(all), expected);
    }
}

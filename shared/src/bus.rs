//! Events on their way out: from the outbox to the bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry as Answered};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;

use crate::app::{App, Build};
use crate::domain::{Error, Event, Id};
use crate::platform::aws::{self, Call as _};
use crate::platform::{Deadline, config, metrics, sdk};
use crate::store::outbox::{OutboxEntry, OutboxQueue};

/// Where our events say they come from.
pub const SOURCE: &str = "tenure";

/// Most entries in one call: EventBridge's limit.
const BATCH: usize = 10;

/// Carries events from the outbox to the bus.
#[derive(Debug)]
pub struct Publisher {
    /// Reads the outbox.
    pub app: App,
    client: Client,
    bus: String,
}

impl Build for Publisher {
    fn build() -> Result<Self, Error> {
        let client = Client::from_conf(sdk::eventbridge_config()?);
        Ok(Self::new(App::build()?, client, config::required("BUS_NAME")?))
    }
}

/// What the stream did not bring to the bus.
#[derive(Debug, Default, Serialize)]
pub struct Swept {
    /// Events that are on the bus now.
    pub published: u64,
    /// Events that the bus did not take; the next run tries again.
    pub refused: u64,
    /// How many seconds ago the event happened that has waited longest.
    pub oldest_seconds: u64,
}

/// Publishes the events that the stream should have brought, and did not.
pub async fn publish_overdue(publisher: &Publisher, deadline: Deadline) -> Result<Swept, Error> {
    let (store, now) = (&publisher.app.store, publisher.app.now());
    let mut swept = Swept::default();
    let mut place = OutboxQueue::Publish.beginning();
    while !place.is_end() && !deadline.is_near() {
        let (waiting, oldest, next) = store.list_unpublished(place, now).await?;
        let age = oldest.map_or(0, |since| since.until(now).as_secs());
        swept.oldest_seconds = swept.oldest_seconds.max(age);
        let ids: Vec<_> = waiting.into_iter().map(|(id, _)| id).collect();
        let events = store.get_events(&ids).await?;
        let refused = publisher.publish(&events).await.len() as u64;
        swept.refused += refused;
        swept.published += events.len() as u64 - refused;
        place = next;
    }
    metrics::emit(now, &[("OutboxOldest", "Seconds", swept.oldest_seconds)]);
    Ok(swept)
}

impl Publisher {
    /// A publisher of these parts.
    #[must_use]
    pub const fn new(app: App, client: Client, bus: String) -> Self {
        Self { app, client, bus }
    }

    /// Puts events onto the bus, and takes them out of the queue. Returns the ids of those that the bus
    /// did not take: what it does not take now is no reason to keep it from the others.
    pub async fn publish(&self, events: &[OutboxEntry]) -> Vec<Id<Event>> {
        let mut refused = Vec::new();
        for batch in events.chunks(BATCH) {
            let results = self.put(batch).await.unwrap_or_else(|error| {
                tracing::error!(cause = error.cause(), "not published");
                Vec::new()
            });
            let is_taken = |index| {
                results.get(index).is_some_and(|result: &Answered| result.event_id().is_some())
            };
            let (mut taken, mut left) = (Vec::new(), Vec::new());
            for (index, event) in batch.iter().enumerate() {
                if is_taken(index) { taken.push(event) } else { left.push(event.id) }
            }
            self.record_published(&taken).await;
            refused.extend(left);
        }
        refused
    }

    async fn put(&self, batch: &[OutboxEntry]) -> Result<Vec<Answered>, Error> {
        let entries = batch.iter().map(|event| self.entry(event)).collect();
        let answer = self.client.put_events().set_entries(Some(entries)).call().await;
        let answer = answer.map_err(|error| aws::failure("EventBridge", &error))?;
        Ok(answer.entries.unwrap_or_default())
    }

    /// What cannot be taken out of the queue is published once more by the schedule: no reason to bring
    /// the whole batch again.
    async fn record_published(&self, events: &[&OutboxEntry]) {
        let now = self.app.now();
        let records = events.iter().map(|event| self.app.store.record_published(event, now));
        for error in join_all(records).await.into_iter().filter_map(Result::err) {
            tracing::warn!(cause = error.cause(), "left undone");
        }
    }

    fn entry(&self, event: &OutboxEntry) -> PutEventsRequestEntry {
        let detail = json!({
            "id": event.id,
            "type": event.name,
            "customer_id": event.customer_id,
            "subjects": event.subjects(),
            "sequence": event.sequence,
            "webhook": event.is_pending(),
            "tm_event": event.tm_event,
        });
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(&event.name)
            .time(DateTime::from_secs(event.tm_event.seconds()))
            .detail(detail.to_string())
            .build()
    }
}

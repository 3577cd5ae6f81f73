//! Events on their way out: from the outbox to the bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::json;

use crate::domain::Error;
use crate::runtime::{self, App, Build};
use crate::store::outbox::OutboxItem;

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
        let client = Client::from_conf(runtime::eventbridge_config()?);
        Ok(Self { app: App::build()?, client, bus: runtime::config::required("BUS_NAME")? })
    }
}

impl Publisher {
    /// Puts events onto the bus. Returns the ids of those that it did not take.
    pub async fn publish(&self, events: &[OutboxItem]) -> Result<Vec<String>, Error> {
        let mut refused = Vec::new();
        for batch in events.chunks(BATCH) {
            let entries = batch.iter().map(|event| self.entry(event)).collect();
            let answer = self.client.put_events().set_entries(Some(entries)).send().await;
            let answer = answer.map_err(|error| {
                Error::Unavailable(format!("EventBridge: {}", error.code().unwrap_or("no answer")))
            })?;
            let results = answer.entries.unwrap_or_default();
            refused.extend(
                batch
                    .iter()
                    .zip(&results)
                    .filter(|(_, result)| result.event_id().is_none())
                    .map(|(event, _)| event.id.to_string()),
            );
        }
        Ok(refused)
    }

    fn entry(&self, event: &OutboxItem) -> PutEventsRequestEntry {
        let detail = json!({
            "id": event.id,
            "type": event.name,
            "customer_id": event.customer_id,
            "subjects": event.subjects(),
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

//! Events on their way to the bus.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Item, Store, failure, string};
use crate::domain::{Customer, Error, Event, Id, Timestamp};

/// How long an event stays in the outbox: 7 days.
const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// An event as the outbox has it, without personal data.
#[derive(Debug, Serialize, Deserialize)]
pub struct OutboxItem {
    /// The event's id.
    pub id: Id<Event>,
    /// Its name on the bus.
    #[serde(rename = "type")]
    pub name: String,
    /// The account.
    pub customer_id: Id<Customer>,
    /// Ids of what it happened to within the account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// When it happened.
    pub tm_event: Timestamp,
    /// When the item may go, in seconds since 1970.
    expires_at: i64,
}

pub(super) fn item(event: &Event) -> Result<Item, Error> {
    let item = OutboxItem {
        id: event.id,
        name: event.what.name().to_owned(),
        customer_id: event.customer,
        subjects: event.subjects.clone(),
        tm_event: event.time,
        expires_at: event.time.plus(LIFETIME).seconds(),
    };
    serde_dynamo::to_item(item).map_err(|error| Error::Internal(error.to_string()))
}

impl Store {
    /// Puts an event into the outbox that no other change goes with.
    pub async fn insert_event(&self, event: &Event) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&self.outbox).set_item(Some(item(event)?));
        put.send().await.map_err(failure)?;
        Ok(())
    }

    /// The events with these ids; those that are gone are left out.
    pub async fn get_events(&self, ids: &[String]) -> Result<Vec<OutboxItem>, Error> {
        let wanted = ids.iter().map(|id| HashMap::from([("id".to_owned(), string(id))])).collect();
        let items = self.batch_get(&self.outbox, wanted).await?;
        serde_dynamo::from_items(items)
            .map_err(|error| Error::Internal(format!("unreadable event: {error}")))
    }
}

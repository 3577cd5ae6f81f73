//! Events on their way to the bus.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::stored;
use super::{Item, Store, string};
use crate::domain::{Customer, Error, Event, Id, Timestamp};

/// How long an event stays in the outbox: 7 days.
const LIFETIME: Duration = Duration::from_hours(7 * 24);

stored! {
    /// An event as the outbox has it, without personal data.
    #[derive(Debug, Serialize, Deserialize)]
    pub struct OutboxItem {
        /// The event's id.
        pub id: Id<Event> => Deleted,
        /// Its name on the bus.
        #[serde(rename = "type")]
        pub name: String => Deleted,
        /// The account.
        pub customer_id: Id<Customer> => Deleted,
        /// Ids of what it happened to within the account: 16 bytes each, one after the other.
        #[serde(default, with = "serde_bytes", skip_serializing_if = "Vec::is_empty")]
        subjects: Vec<u8> => Deleted,
        /// When it happened.
        pub tm_event: Timestamp => Deleted,
        /// When the item may go, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl OutboxItem {
    /// Ids of what it happened to within the account.
    #[must_use]
    pub fn subjects(&self) -> Vec<Uuid> {
        self.subjects.chunks(16).filter_map(|bytes| Uuid::from_slice(bytes).ok()).collect()
    }
}

pub(super) fn item(event: &Event) -> Result<Item, Error> {
    let item = OutboxItem {
        id: event.id,
        name: event.what.name().to_owned(),
        customer_id: event.customer,
        subjects: event.subjects.iter().flat_map(|id| id.into_bytes()).collect(),
        tm_event: event.time,
        expires_at: event.time.plus(LIFETIME).seconds(),
    };
    serde_dynamo::to_item(item).map_err(|error| Error::Internal(error.to_string()))
}

impl Store {
    /// The events with these ids; those that are gone are left out.
    pub async fn get_events(&self, ids: &[String]) -> Result<Vec<OutboxItem>, Error> {
        let wanted = ids.iter().map(|id| HashMap::from([("id".to_owned(), string(id))])).collect();
        let items = self.batch_get(HashMap::from([(self.outbox.clone(), wanted)])).await?;
        serde_dynamo::from_items(items).map_err(|_| Error::Internal("unreadable event".to_owned()))
    }
}

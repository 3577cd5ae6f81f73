//! Events on their way: to the bus, and from there to the account's webhook.
//!
//! An event waits in index `due` of its table, first to be published, then to be delivered, and leaves it
//! when that is done. Usually the table's stream and the bus are faster; the schedules of the functions
//! behind them take up what they lost.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::UnreadItem;
use super::assignment::Assignment;
use super::customer::CustomerAttributes;
use super::fields::stored;
use super::key::{self, Key};
use super::queue::QueueCursor;
use super::transaction::Condition;
use super::{Item, Items, Store, distinct, string};
use crate::domain::delivery::{self, DeliveryState};
use crate::domain::value::{FromText as _, WebhookMethod, WebhookUri};
use crate::domain::webhook::{Webhook, WebhookSecret};
use crate::domain::{Customer, DeliveryResult, Error, Event, Id, Status, Timestamp};

/// How long an event stays in the outbox: 7 days, and as long again when it could not be delivered.
pub(super) const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// How many events are read at once, with their accounts: DynamoDB reads a hundred items.
pub const BATCH: usize = 50;

/// How long the usual way has before the schedules take an event up.
const PATIENCE: Duration = Duration::from_mins(1);

stored! {
    /// An event as the outbox has it. Personal data is in it only if it is the last of its account, and
    /// no longer than until that is delivered.
    #[derive(Clone, Serialize, Deserialize)]
    pub struct OutboxEntry {
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
        /// Its place in the account's order; none if the account was erased already.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sequence: Option<u64> => Deleted,
        /// What the account was after it, if it happened to the account itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub status: Option<Status> => Deleted,
        /// When the account's deletion was due after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_deletion_scheduled: Option<Timestamp> => Deleted,

        /// Whose delivery log it is in; none if it is not delivered to anybody.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub log_pk: Option<String> => Deleted,
        /// What has come of its delivery.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub delivery: Option<DeliveryState> => Deleted,
        /// How often it was tried to deliver it.
        #[serde(default)]
        pub attempts: u64 => Deleted,
        /// What came of the last attempt.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub outcome: Option<DeliveryResult> => Deleted,
        /// When that was.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_attempt: Option<Timestamp> => Deleted,
        /// When the next one is.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_next: Option<Timestamp> => Deleted,

        // The address of an account that is no more, sealed for its last event.
        #[serde(skip_serializing_if = "Option::is_none")]
        farewell_method: Option<String> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        farewell_uri: Option<String> => Deleted personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        farewell_secrets: Option<Vec<String>> => Deleted personal,

        #[serde(skip_serializing_if = "Option::is_none")]
        due_pk: Option<String> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_sk: Option<String> => Deleted,
        /// When the item may go, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl std::fmt::Debug for OutboxEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboxEntry({})", self.id)
    }
}

impl OutboxEntry {
    /// An event that left its account as it is in `after`.
    pub(super) fn of(event: &Event, after: &Customer) -> Self {
        let own = event.subjects.is_empty();
        let item = Self {
            sequence: Some(after.internals.sequence),
            status: own.then_some(after.status),
            tm_deletion_scheduled: after.tm_deletion_scheduled.filter(|_| own),
            ..Self::unnumbered(event)
        };
        if after.webhook(event.time).is_some() { item.for_delivery() } else { item }
    }

    /// The next event of `customer`, who is to live.
    pub(super) fn next(event: &Event, customer: &Customer) -> Self {
        let item = Self::of(event, customer);
        Self { sequence: item.sequence.map(|last| last + 1), ..item }
    }

    /// An event of an account whose erasure has begun: for others to know, not for its owner.
    pub(super) fn unnumbered(event: &Event) -> Self {
        let id = event.id;
        Self {
            id,
            name: event.event_type.name().to_owned(),
            customer_id: event.customer,
            subjects: event.subjects.iter().flat_map(|id| id.into_bytes()).collect(),
            tm_event: event.time,
            sequence: None,
            status: None,
            tm_deletion_scheduled: None,
            log_pk: None,
            delivery: None,
            attempts: 0,
            outcome: None,
            tm_attempt: None,
            tm_next: None,
            farewell_method: None,
            farewell_uri: None,
            farewell_secrets: None,
            due_pk: Some(key::shard(key::PUBLISH, id.uuid()).to_owned()),
            due_sk: Some(key::due_event(event.time, id)),
            expires_at: event.time.plus(LIFETIME).seconds(),
        }
    }

    /// If this is the end of an account that had a webhook, with its address sealed in.
    pub(super) fn with_farewell(self, before: &Customer) -> Self {
        let ends = self.status == Some(Status::Deleted) && before.status != Status::Deleted;
        let Some(webhook) = before.webhook(self.tm_event).filter(|_| ends) else { return self };
        Self {
            farewell_method: Some(webhook.method.name().to_owned()),
            farewell_uri: Some(webhook.uri.expose().to_owned()),
            farewell_secrets: Some(
                webhook.secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
            ),
            ..self.for_delivery()
        }
    }

    fn for_delivery(self) -> Self {
        let log = key::partition(self.customer_id);
        Self { log_pk: Some(log), delivery: Some(DeliveryState::Pending), ..self }
    }

    /// Ids of what it happened to within the account.
    #[must_use]
    pub fn subjects(&self) -> Vec<Uuid> {
        self.subjects.chunks(16).filter_map(|bytes| Uuid::from_slice(bytes).ok()).collect()
    }

    /// Whether this account is told of it.
    #[must_use]
    pub fn is_delivered_to(&self, customer: Id<Customer>) -> bool {
        self.log_pk.is_some() && self.customer_id == customer
    }

    /// Whether it waits to be delivered.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.delivery == Some(DeliveryState::Pending)
    }

    /// The address that was sealed for it.
    #[must_use]
    pub fn farewell(&self) -> Option<Webhook> {
        Some(Webhook {
            method: WebhookMethod::from_text(self.farewell_method.as_deref()?)?,
            uri: WebhookUri::trusted(self.farewell_uri.clone()?),
            secrets: self
                .farewell_secrets
                .iter()
                .flatten()
                .cloned()
                .map(WebhookSecret::trusted)
                .collect(),
        })
    }

    /// Until when the address that was sealed for it may be kept.
    #[must_use]
    pub fn sealed_until(&self) -> Option<Timestamp> {
        self.farewell_uri.as_ref().map(|_| self.tm_event.plus(delivery::SEALED_LIFETIME))
    }

    pub(super) fn item(&self) -> Result<Item, Error> {
        serde_dynamo::to_item(self).map_err(|error| Error::Internal(error.to_string()))
    }

    /// What the account's owner is told of it.
    #[must_use]
    pub fn data(&self) -> Value {
        match self.subjects().first() {
            Some(subject) => json!({ "id": subject, "customer_id": self.customer_id }),
            None => json!({
                "id": self.customer_id,
                "customer_id": self.customer_id,
                "status": self.status,
                "tm_deletion_scheduled": self.tm_deletion_scheduled,
            }),
        }
    }
}

/// What a waiting event waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxQueue {
    /// To be put on the bus.
    Publish,
    /// To be delivered.
    Deliver,
}

impl OutboxQueue {
    /// Its beginning.
    #[must_use]
    pub fn beginning(self) -> QueueCursor {
        QueueCursor::beginning(match self {
            Self::Publish => key::PUBLISH,
            Self::Deliver => key::DELIVER,
        })
    }
}

/// An event that waits, and its account.
pub type PendingEvent = (Id<Event>, Id<Customer>);

pub(super) fn event_key(id: Id<Event>) -> Item {
    HashMap::from([("id".to_owned(), string(id.to_string()))])
}

impl Store {
    /// The events with these ids; those that are gone are left out.
    pub async fn get_events(&self, ids: &[Id<Event>]) -> Result<Vec<OutboxEntry>, Error> {
        let mut events = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            let wanted = ids.iter().map(|id| event_key(*id)).collect();
            let found = self.batch_get(HashMap::from([(self.outbox.clone(), wanted)])).await?;
            for event in found.into_values().flatten() {
                events.push(event.read()?);
            }
        }
        Ok(events)
    }

    /// Takes an event that is on the bus out of the queue. If it is to be delivered, that has a minute
    /// before the schedule takes it up.
    pub async fn record_published(&self, event: &OutboxEntry, now: Timestamp) -> Result<(), Error> {
        let change = if event.is_pending() {
            Self::wait_for_delivery(event.id, now.plus(PATIENCE))?
        } else {
            Assignment::default().remove(&["due_pk", "due_sk"])
        };
        let queued = key::shard(key::PUBLISH, event.id.uuid());
        let condition = Condition::new("due_pk = :queued", [(":queued", string(queued))]);
        // A deliverer that was faster has taken it out already.
        self.update_if(&self.outbox, event_key(event.id), &change, &condition).await.map(drop)
    }

    pub(super) fn wait_for_delivery(id: Id<Event>, until: Timestamp) -> Result<Assignment, Error> {
        Assignment::default()
            .set("due_pk", key::shard(key::DELIVER, id.uuid()))?
            .set("due_sk", key::due_event(until, id))
    }

    /// Changes an event's delivery on a condition. Whether that held.
    pub(super) async fn update_event(
        &self,
        id: Id<Event>,
        change: &Assignment,
        condition: &Condition,
    ) -> Result<bool, Error> {
        let updated = self.update_if(&self.outbox, event_key(id), change, condition).await?;
        Ok(updated.is_some())
    }

    /// Events that have been waiting to be published for longer than the usual way takes, since when the
    /// one that has waited longest has, and the place behind them.
    pub async fn list_unpublished(
        &self,
        place: QueueCursor,
        now: Timestamp,
    ) -> Result<(Vec<PendingEvent>, Option<Timestamp>, QueueCursor), Error> {
        self.list_waiting(place, now.minus(PATIENCE)).await
    }

    /// Events whose next attempt at delivery is due, since when the one that has waited longest is, and
    /// the place behind them.
    pub async fn list_undelivered(
        &self,
        place: QueueCursor,
        now: Timestamp,
    ) -> Result<(Vec<PendingEvent>, Option<Timestamp>, QueueCursor), Error> {
        self.list_waiting(place, now).await
    }

    async fn list_waiting(
        &self,
        place: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<PendingEvent>, Option<Timestamp>, QueueCursor), Error> {
        #[derive(Deserialize)]
        struct Entry {
            id: Id<Event>,
            customer_id: Id<Customer>,
            due_sk: String,
        }

        let (items, next) = self.list_queued::<Entry>(&self.outbox, place, until).await?;
        let (mut found, mut oldest) = (Vec::with_capacity(items.len()), None::<Timestamp>);
        for Entry { id, customer_id, due_sk } in items {
            let since = due_sk.split_once('#').and_then(|(time, _)| Timestamp::parse_fixed(time));
            oldest = oldest.into_iter().chain(since).min();
            found.push((id, customer_id));
        }
        Ok((found, oldest, next))
    }

    /// Reads all of `keys` of the accounts table, and an event, in one consistent round trip.
    pub async fn get_items_and_event(
        &self,
        keys: &[Key<()>],
        event: Option<Id<Event>>,
    ) -> Result<(Items, Option<OutboxEntry>), Error> {
        let wanted = HashMap::from([
            (self.accounts.clone(), distinct(keys)),
            (self.outbox.clone(), event.into_iter().map(event_key).collect()),
        ]);
        let mut found = self.batch_get(wanted).await?;
        let events = found.remove(&self.outbox).unwrap_or_default();
        let items = Items::of(found.remove(&self.accounts).unwrap_or_default())?;
        Ok((items, events.first().map(UnreadItem::read).transpose()?))
    }

    /// These events and their accounts, as they are now; those that are gone are left out.
    pub async fn get_events_and_customers(
        &self,
        waiting: &[PendingEvent],
    ) -> Result<Vec<(OutboxEntry, Customer)>, Error> {
        let owners: HashSet<_> = waiting.iter().map(|(_, customer)| *customer).collect();
        let roots = owners.into_iter().map(|customer| key::customer(customer).attributes());
        let wanted = HashMap::from([
            (self.outbox.clone(), waiting.iter().map(|(id, _)| event_key(*id)).collect()),
            (self.accounts.clone(), roots.collect()),
        ]);
        let found = self.batch_get(wanted).await?;
        let in_table = |table: &String| found.get(table).into_iter().flatten();
        let mut accounts = HashMap::new();
        for account in in_table(&self.accounts) {
            let account = Customer::from(account.read::<CustomerAttributes>()?);
            accounts.insert(account.id, account);
        }
        let mut events = Vec::with_capacity(waiting.len());
        for event in in_table(&self.outbox) {
            let event: OutboxEntry = event.read()?;
            events.extend(accounts.get(&event.customer_id).map(|account| (event, account.clone())));
        }
        Ok(events)
    }
}

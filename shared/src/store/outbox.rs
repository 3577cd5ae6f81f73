//! The outbox: a table of events on their way to the event bus, and from there to the account's webhook.
//!
//! An event is in the table's index `due` until it is published and, if its account has a webhook, delivered.
//! Usually the table's stream brings it to the function that publishes it, and the bus to the one that
//! delivers it; scheduled runs of these functions take up events that were lost on the way.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dynamodb::{Condition, Store, Table, Transaction, UpdateExpression};
use super::dynamodb::{string, to_item};
use super::fields::stored;
use super::key::{self, Key};
use super::queue::QueueCursor;
use super::stored::Stored;
use crate::domain::delivery::{self, DeliveryState};
use crate::domain::event::Audience;
use crate::domain::receipt::ReceiptSummary;
use crate::domain::value::{FromText as _, WebhookMethod, WebhookUri};
use crate::domain::webhook::{Webhook, WebhookSecret};
use crate::domain::{Actor, Customer, DeliveryResult, Error, Event, Id, Status, Timestamp};

/// Minimum time that an event stays in the outbox: 7 days; if its delivery fails, 7 days from the failure.
pub(super) const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Maximum number of events that are read in one batch, with their accounts: DynamoDB reads up to 100 items.
pub const BATCH: usize = 50;

/// Time that the stream and the bus have to bring an event to its function before a scheduled run takes it
/// up: one minute.
const HEAD_START: Duration = Duration::from_mins(1);

stored! {
    /// An event in the outbox. Only the last events of an account may hold personal data (the webhook of the
    /// deleted account), and only until they are delivered.
    #[derive(Clone, Serialize, Deserialize)]
    pub struct OutboxEntry {
        /// The event's id.
        pub id: Id<Event> => Deleted,
        /// Event type, such as `customer_created`.
        #[serde(rename = "type")]
        pub name: String => Deleted,
        /// The account that the event is about.
        pub customer_id: Id<Customer> => Deleted,
        /// Ids of the owned items that the event is about (its subjects), 16 bytes each, one after the other.
        #[serde(default, with = "serde_bytes", skip_serializing_if = "Vec::is_empty")]
        subjects: Vec<u8> => Deleted,
        /// Name of the hold that the event is about; `None` for any other event.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hold: Option<String> => Deleted,
        /// The erasure receipt that the event announces; `None` for any other event.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub receipt: Option<ReceiptSummary> => Deleted,
        /// Actor that caused the event.
        pub actor: Actor => Deleted,
        /// Time of the event.
        pub tm_event: Timestamp => Deleted,
        /// Sequence number of the event within its account; `None` if the account's erasure had begun, or if
        /// the owner does not learn of the event.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub sequence: Option<u64> => Deleted,
        /// The account's status after the event; `None` if the event is about owned items.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub status: Option<Status> => Deleted,
        /// Date of deletion that the account had once the event had happened; `None` if no deletion was
        /// scheduled, or if the event is about owned items.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_deletion_scheduled: Option<Timestamp> => Deleted,

        /// Partition of the delivery log that lists the event; `None` if the event is not delivered to a
        /// webhook.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub log_pk: Option<String> => Deleted,
        /// State of the event's delivery to the webhook; `None` if it is not delivered.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub delivery: Option<DeliveryState> => Deleted,
        /// Number of delivery attempts.
        #[serde(default)]
        pub attempts: u64 => Deleted,
        /// Result of the last delivery attempt.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub outcome: Option<DeliveryResult> => Deleted,
        /// When the last delivery attempt was made.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_attempt: Option<Timestamp> => Deleted,
        /// When the next delivery attempt is due.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tm_next: Option<Timestamp> => Deleted,

        /// Partition of index `history` that lists the event. Absent from rows that are read from index
        /// `log`.
        #[serde(skip_serializing_if = "Option::is_none")]
        history_pk: Option<String> => Deleted,

        // The webhook of a deleted account, sealed for its last event.
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
        /// When the item expires, in seconds since 1970.
        pub(super) expires_at: i64 => Deleted,
    }
}

impl std::fmt::Debug for OutboxEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboxEntry({})", self.id)
    }
}

impl OutboxEntry {
    /// Returns the entry of an event that has changed an account to `after`.
    #[must_use]
    pub fn of(event: &Event, after: &Customer) -> Self {
        let own = event.subjects.is_empty();
        let is_for_owner = event.event_type.audience() == Audience::Owner;
        let item = Self {
            sequence: is_for_owner.then_some(after.internals.sequence),
            status: own.then_some(after.status),
            tm_deletion_scheduled: after.tm_deletion_scheduled.filter(|_| own),
            ..Self::unnumbered(event)
        };
        let is_delivered = is_for_owner && after.webhook(event.time).is_some();
        if is_delivered { item.for_delivery() } else { item }
    }

    /// Returns the entry of the next event of a live account, with the sequence number after that of
    /// `customer`.
    pub(super) fn next(event: &Event, customer: &Customer) -> Self {
        let item = Self::of(event, customer);
        Self { sequence: item.sequence.map(|last| last + 1), ..item }
    }

    /// Returns the entry of an event without a sequence number, of an account whose erasure has begun: the
    /// event is published, but not delivered.
    pub(super) fn unnumbered(event: &Event) -> Self {
        let id = event.id;
        Self {
            id,
            name: event.event_type.name().to_owned(),
            customer_id: event.customer,
            subjects: event.subjects.iter().flat_map(|id| id.into_bytes()).collect(),
            hold: event.hold.as_ref().map(ToString::to_string),
            receipt: None,
            actor: event.actor,
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
            history_pk: Some(key::history(event.customer, event.event_type.audience())),
            farewell_method: None,
            farewell_uri: None,
            farewell_secrets: None,
            due_pk: Some(key::shard(&key::PUBLISH, id.uuid()).to_owned()),
            due_sk: Some(key::due_event(event.time, id)),
            expires_at: event.time.plus(LIFETIME).seconds(),
        }
    }

    /// Returns the entry of the event that announces a signed receipt.
    pub(super) fn erased(event: &Event, receipt: ReceiptSummary) -> Self {
        let status = Some(Status::Deleted);
        Self { status, receipt: Some(receipt), ..Self::unnumbered(event) }
    }

    /// Seals the account's webhook in the entry (keeps it there after the account has lost it), if the event
    /// deletes an account that had a webhook.
    pub(super) fn with_farewell(self, before: &Customer) -> Self {
        let ends = self.status == Some(Status::Deleted) && before.status != Status::Deleted;
        let webhook = before.webhook(self.tm_event).filter(|_| ends);
        self.sealed_for(webhook.as_ref())
    }

    /// Seals a webhook in the entry: the event is delivered to it although the account no longer has it.
    /// Changes nothing if `webhook` is `None`.
    pub(super) fn sealed_for(self, webhook: Option<&Webhook>) -> Self {
        let Some(webhook) = webhook else { return self };
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

    /// Returns the ids of the owned items that the event is about; none if it is about the account itself.
    #[must_use]
    pub fn subjects(&self) -> Vec<Uuid> {
        ids(&self.subjects)
    }

    /// Returns the entry as it is stored by an installation that keeps events for `retention`. An entry with
    /// a sealed webhook, which is personal data, expires after 7 days in any case.
    fn kept_for(&self, retention: Duration) -> Self {
        let kept = if self.farewell_uri.is_some() { LIFETIME } else { retention.max(LIFETIME) };
        Self { expires_at: self.tm_event.plus(kept).seconds(), ..self.clone() }
    }

    /// Whether the event is delivered to a webhook of this account.
    #[must_use]
    pub fn is_delivered_to(&self, customer: Id<Customer>) -> bool {
        self.log_pk.is_some() && self.customer_id == customer
    }

    /// Whether the delivery of the event is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.delivery == Some(DeliveryState::Pending)
    }

    /// Returns the webhook of a deleted account that is sealed in the entry; `None` if there is none.
    #[must_use]
    pub fn farewell(&self) -> Option<Webhook> {
        Some(Webhook {
            method: WebhookMethod::from_text(self.farewell_method.as_deref()?).ok()?,
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

    /// Returns until when the entry may keep the webhook of a deleted account; `None` if it contains none.
    #[must_use]
    pub fn sealed_until(&self) -> Option<Timestamp> {
        self.farewell_uri.as_ref().map(|_| self.tm_event.plus(delivery::SEALED_LIFETIME))
    }

    /// Returns the data of the webhook message about the event.
    #[must_use]
    pub fn data(&self) -> Value {
        if let Some(subject) = self.subjects().first() {
            return json!({ "id": subject, "customer_id": self.customer_id });
        }
        let mut data = json!({
            "id": self.customer_id,
            "customer_id": self.customer_id,
            "status": self.status,
            "tm_deletion_scheduled": self.tm_deletion_scheduled,
        });
        if let Some(receipt) = &self.receipt {
            data["receipt"] = json!(receipt);
        }
        data
    }
}

impl Stored for OutboxEntry {
    type Attributes = Self;
}

/// A queue of events in the outbox, by what is to be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxQueue {
    /// Events to put on the bus.
    Publish,
    /// Events to deliver to their account's webhook.
    Deliver,
}

impl OutboxQueue {
    /// The cursor of the queue's first page.
    #[must_use]
    pub fn beginning(self) -> QueueCursor {
        QueueCursor::beginning(match self {
            Self::Publish => &key::PUBLISH,
            Self::Deliver => &key::DELIVER,
        })
    }
}

/// The id of an event in a queue, and the id of its account.
pub type PendingEvent = (Id<Event>, Id<Customer>);

/// A page of a queue of events.
#[derive(Debug)]
pub struct QueuedEvents {
    /// The events, sorted within each partition by the time at which they were due.
    pub events: Vec<PendingEvent>,
    /// Earliest time at which one of the events was due; `None` if there is no event.
    pub oldest: Option<Timestamp>,
    /// The cursor of the next page.
    pub next: QueueCursor,
}

/// Returns ids that are stored one after the other, 16 bytes each.
pub(super) fn ids(bytes: &[u8]) -> Vec<Uuid> {
    bytes.chunks(16).filter_map(|bytes| Uuid::from_slice(bytes).ok()).collect()
}

/// Key of an event in the outbox.
#[must_use]
pub fn event_key(id: Id<Event>) -> Key<OutboxEntry> {
    key::event(id)
}

/// Returns the update that moves an event into the queue for delivery, due at `when`.
pub(super) fn queue_for_delivery(
    id: Id<Event>,
    when: Timestamp,
) -> Result<UpdateExpression, Error> {
    UpdateExpression::default()
        .set("due_pk", key::shard(&key::DELIVER, id.uuid()))?
        .set("due_sk", key::due_event(when, id))
}

impl Transaction<'_> {
    /// Adds the put of an event into the outbox, which keeps it as long as the installation keeps events.
    pub(super) fn put_event(self, event: &OutboxEntry) -> Result<Self, Error> {
        let kept = event.kept_for(self.store().event_retention());
        self.put(Table::Outbox, to_item(kept)?, None)
    }
}

impl Store {
    /// Reads events by their ids. Those that do not exist are left out.
    pub async fn get_events(&self, ids: &[Id<Event>]) -> Result<Vec<OutboxEntry>, Error> {
        let mut events = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            let keys: Vec<_> = ids.iter().map(|id| event_key(*id)).collect();
            let untyped: Vec<_> = keys.iter().map(Key::untyped).collect();
            let found = self.get_items(&untyped).await?;
            for key in &keys {
                events.extend(found.get(key)?);
            }
        }
        Ok(events)
    }

    /// Takes a published event out of the queue for publishing. If it is to be delivered, moves it to the
    /// queue for delivery, due in a minute: until then, the bus has time to bring it to the function that
    /// delivers it.
    pub async fn record_published(&self, event: &OutboxEntry, now: Timestamp) -> Result<(), Error> {
        let change = if event.is_pending() {
            queue_for_delivery(event.id, now.plus(HEAD_START))?
        } else {
            UpdateExpression::default().remove(&["due_pk", "due_sk"])
        };
        let queued = key::shard(&key::PUBLISH, event.id.uuid());
        let condition = Condition::new("due_pk = :queued", [(":queued", string(queued))]);
        // If the condition does not hold, the function that delivers the event was faster.
        self.update_event(event.id, &change, &condition).await.map(drop)
    }

    /// Updates an event on a condition. Returns whether the condition held.
    pub(super) async fn update_event(
        &self,
        id: Id<Event>,
        change: &UpdateExpression,
        condition: &Condition,
    ) -> Result<bool, Error> {
        let updated = self.update(event_key(id).address(), change, condition).await?;
        Ok(updated.written().is_some())
    }

    /// Returns a page of the events that are overdue to be published, as the table's stream has lost them.
    pub async fn list_unpublished(
        &self,
        cursor: QueueCursor,
        now: Timestamp,
    ) -> Result<QueuedEvents, Error> {
        self.list_events(cursor, now.minus(HEAD_START)).await
    }

    /// Returns a page of the events whose next delivery attempt is due.
    pub async fn list_undelivered(
        &self,
        cursor: QueueCursor,
        now: Timestamp,
    ) -> Result<QueuedEvents, Error> {
        self.list_events(cursor, now).await
    }

    async fn list_events(
        &self,
        cursor: QueueCursor,
        until: Timestamp,
    ) -> Result<QueuedEvents, Error> {
        #[derive(Deserialize)]
        struct Row {
            id: Id<Event>,
            customer_id: Id<Customer>,
            due_sk: String,
        }

        let (rows, next) = self.list_queued::<Row>(Table::Outbox, cursor, until).await?;
        let due = |row: &Row| {
            let (time, _) = row.due_sk.split_once('#')?;
            Timestamp::parse_fixed(time)
        };
        Ok(QueuedEvents {
            oldest: rows.iter().filter_map(due).min(),
            events: rows.into_iter().map(|row| (row.id, row.customer_id)).collect(),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventType;
    use crate::domain::owned::Kind;

    fn entry(customer: &Customer) -> OutboxEntry {
        entry_of(EventType::Created(Kind::Number), customer)
    }

    fn entry_of(event_type: EventType, customer: &Customer) -> OutboxEntry {
        let event = Event {
            id: Id::new(customer.tm_create, [7; 10]),
            event_type,
            customer: customer.id,
            subjects: vec![Uuid::from_u128(1)],
            hold: None,
            actor: Actor::PURGE,
            time: customer.tm_create,
        };
        OutboxEntry::of(&event, customer)
    }

    /// Returns the data of the webhook message about an event that has changed the account to `customer`.
    fn told(event_type: EventType, subjects: Vec<Uuid>, customer: &Customer) -> Value {
        let mut entry = entry_of(event_type, customer);
        entry.subjects = subjects.iter().flat_map(|id| id.into_bytes()).collect();
        let own = subjects.is_empty();
        entry.status = own.then_some(customer.status);
        entry.tm_deletion_scheduled = customer.tm_deletion_scheduled.filter(|_| own);
        entry.data()
    }

    #[test]
    fn what_an_event_has_is_told_to_the_webhook_and_what_it_has_not_is_null() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let mut customer = Customer::blank(Id::new(now, [1; 10]), now);
        let (id, frozen) = (customer.id, EventType::CustomerFrozen);
        let mut expected = json!({
            "id": id, "customer_id": id, "status": customer.status, "tm_deletion_scheduled": null
        });
        assert_eq!(told(frozen, Vec::new(), &customer), expected);
        customer.tm_deletion_scheduled = Some(now);
        expected["tm_deletion_scheduled"] = json!(now);
        assert_eq!(told(frozen, Vec::new(), &customer), expected);
        let subject = Uuid::from_u128(1);
        let of_subject = told(EventType::Created(Kind::Number), vec![subject], &customer);
        assert_eq!(of_subject, json!({"id": subject, "customer_id": id}));

        let event = Event {
            id: Id::new(now, [7; 10]),
            event_type: EventType::CustomerErased,
            customer: id,
            subjects: Vec::new(),
            hold: None,
            actor: Actor::PURGE,
            time: now,
        };
        let counts = [("numbers".to_owned(), 3)].into();
        let receipt = ReceiptSummary { round: 1, r#final: true, digest: "ab".to_owned(), counts };
        let expected = json!({
            "id": id,
            "customer_id": id,
            "status": "deleted",
            "tm_deletion_scheduled": null,
            "receipt": receipt,
        });
        assert_eq!(OutboxEntry::erased(&event, receipt).data(), expected);
    }

    #[test]
    fn event_is_in_the_delivery_log_only_if_the_account_has_a_webhook() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let mut customer = Customer::blank(Id::new(now, [1; 10]), now);
        customer.internals.webhook_secret = Some(WebhookSecret::new([7; 32]));
        let without = entry(&customer);
        assert_eq!((without.log_pk, without.delivery), (None, None));
        assert!(without.due_pk.is_some_and(|partition| partition.starts_with("PUBLISH#")));

        customer.webhook_method = WebhookMethod::Post;
        customer.webhook_uri = WebhookUri::from_text("https://hook.example/").unwrap();
        let with = entry(&customer);
        assert_eq!(with.log_pk, Some(key::partition(customer.id)));
        assert_eq!(with.delivery, Some(DeliveryState::Pending));
    }
}

//! Storage of webhook deliveries. A delivery is stored in the outbox entry of the event that it delivers.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::dynamodb::{
    CommitResult, Condition, Leg, Store, Table, UpdateExpression, first, number, string,
};
use super::key;
use super::outbox::{LIFETIME, OutboxEntry, PendingEvent, event_key, queue_for_delivery};
use super::owned::gone;
use super::root::admits;
use super::stored::read;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::error::Entity;
use crate::domain::gate::{Target, Write};
use crate::domain::{Customer, DeliveryResult, Error, Event, Id, Page, Timestamp};

impl From<&OutboxEntry> for Delivery {
    fn from(event: &OutboxEntry) -> Self {
        Self {
            id: event.id,
            name: event.name.clone(),
            sequence: event.sequence.unwrap_or_default(),
            tm_event: event.tm_event,
            status: event.delivery.unwrap_or(DeliveryState::Discarded),
            attempts: event.attempts,
            last_result: event.outcome,
            tm_attempt: event.tm_attempt,
            tm_next_attempt: event.tm_next,
        }
    }
}

/// The condition that the delivery is pending and this many attempts were made.
fn pending_after(attempts: u64) -> Condition {
    let values = [(":pending", string("pending")), (":made", number(attempts))];
    Condition::new("delivery = :pending AND attempts = :made", values)
}

/// Attributes that are removed when a delivery ends.
const REMOVED: &[&str] =
    &["due_pk", "due_sk", "tm_next", "farewell_method", "farewell_uri", "farewell_secrets"];

impl Store {
    /// Reads events together with their accounts. Leaves out an event if the event or its account does not exist.
    pub async fn get_events_and_customers(
        &self,
        pending: &[PendingEvent],
    ) -> Result<Vec<(OutboxEntry, Customer)>, Error> {
        let owners: HashSet<_> = pending.iter().map(|(_, customer)| *customer).collect();
        let events = pending.iter().map(|(id, _)| event_key(*id).untyped());
        let roots = owners.into_iter().map(|customer| key::customer(customer).untyped());
        let found = self.get_items(&events.chain(roots).collect::<Vec<_>>()).await?;
        let mut both = Vec::with_capacity(pending.len());
        for (id, customer) in pending {
            let event: Option<OutboxEntry> = found.get(&event_key(*id))?;
            both.extend(event.zip(found.get(&key::customer(*customer))?));
        }
        Ok(both)
    }

    /// Claims a delivery attempt before it is made, so that no two functions make the same one. The claim already
    /// records what follows if the function dies during the attempt: the next attempt at `next` or, if `next` is
    /// `None`, the end of the delivery. Returns whether the attempt was claimed; false if the delivery has changed
    /// since the event was read.
    pub async fn claim_delivery(
        &self,
        event: &OutboxEntry,
        now: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let claimed = queue_for_delivery(event.id, next.unwrap_or(now))?
            .increment("attempts")?
            .set("tm_attempt", now)?
            .set_or_remove("tm_next", next)?;
        self.update_event(event.id, &claimed, &pending_after(event.attempts)).await
    }

    /// Records the result of a failed attempt after which another one follows at `next`.
    pub async fn record_attempt(
        &self,
        event: &OutboxEntry,
        outcome: DeliveryResult,
        next: Timestamp,
    ) -> Result<(), Error> {
        let made =
            queue_for_delivery(event.id, next)?.set("outcome", outcome)?.set("tm_next", next)?;
        self.update_event(event.id, &made, &pending_after(event.attempts + 1)).await.map(drop)
    }

    /// Ends a delivery after this number of attempts. If the event's entry contains the webhook of a deleted
    /// account, removes that copy. The event is kept as long as other events; if the delivery failed, at least until
    /// a week after `now`, so that it can be sent again.
    pub async fn end_delivery(
        &self,
        event: &OutboxEntry,
        attempts: u64,
        state: DeliveryState,
        outcome: Option<DeliveryResult>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let least = if state == DeliveryState::Failed { now.plus(LIFETIME) } else { now };
        let kept = event.tm_event.plus(self.event_retention()).max(least).seconds();
        let mut ended = UpdateExpression::default()
            .set("delivery", state)?
            .set("expires_at", kept.max(event.expires_at))?
            .remove(REMOVED);
        if let Some(outcome) = outcome {
            ended = ended.set("outcome", outcome)?;
        }
        self.update_event(event.id, &ended, &pending_after(attempts)).await.map(drop)
    }

    /// Postpones a delivery until `until` without an attempt.
    pub async fn postpone_delivery(
        &self,
        event: &OutboxEntry,
        until: Timestamp,
    ) -> Result<(), Error> {
        let waits = queue_for_delivery(event.id, until)?.set("tm_next", until)?;
        self.update_event(event.id, &waits, &pending_after(event.attempts)).await.map(drop)
    }

    /// Emits a test event, if the account's state allows it.
    pub async fn insert_test_event(
        &self,
        target: Target<'_>,
        event: &Event,
    ) -> Result<Delivery, Error> {
        let emitted = Mutex::new(None);
        let emit = |target: Target<'_>| {
            let delivery = Delivery::from(&OutboxEntry::next(event, target.customer()));
            *emitted.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivery);
            self.transaction().emit_owned(target, event)
        };
        match self.change_owned(target.to(Write::Change), emit).await? {
            CommitResult::Written => {
                let emitted = emitted.into_inner().unwrap_or_else(PoisonError::into_inner);
                emitted.ok_or_else(gone)
            }
            CommitResult::Refused(_) => Err(gone()),
        }
    }

    /// Starts the delivery of an event again, from the first attempt on, if the account's state allows it.
    /// Does not stop an attempt that is in progress.
    pub async fn resend(
        &self,
        target: Target<'_>,
        event: OutboxEntry,
        now: Timestamp,
    ) -> Result<Delivery, Error> {
        let target = target.to(Write::Change);
        let again = queue_for_delivery(event.id, now)?
            .set("delivery", DeliveryState::Pending)?
            .set("attempts", 0)?
            .set("tm_next", now)?;
        let logged = Condition::new("attribute_exists(log_pk)", []);
        let transaction = self
            .transaction()
            .check(key::customer(target.id).address(), &admits(target))?
            .update(event_key(event.id).address(), &again, Some(&logged))?
            .record(&event)?;
        match transaction.run().await? {
            CommitResult::Written => Ok(Delivery {
                status: DeliveryState::Pending,
                attempts: 0,
                tm_next_attempt: Some(now),
                ..Delivery::from(&event)
            }),
            CommitResult::Refused(legs) => match legs.into_iter().next() {
                Some(Leg::Failed(Some(root))) => {
                    let current: Customer = read(root)?;
                    target.now(&current).admit().and(Err(gone()))
                }
                Some(Leg::Failed(None)) => Err(gone()),
                _ => Err(Error::NotFound(Entity::Delivery)),
            },
        }
    }

    /// A page of an account's deliveries, newest event first, that come after the event `after`.
    pub async fn list_deliveries(
        &self,
        customer: Id<Customer>,
        size: usize,
        after: Option<Id<Event>>,
    ) -> Result<Page<Delivery>, Error> {
        let log = key::partition(customer);
        let start = after.map(|id| {
            HashMap::from([
                ("log_pk".to_owned(), string(&log)),
                ("id".to_owned(), string(id.to_string())),
            ])
        });
        let query = self
            .query(Table::Outbox)
            .index_name("log")
            .scan_index_forward(false)
            .key_condition_expression("log_pk = :log")
            .expression_attribute_values(":log", string(&log))
            .set_exclusive_start_key(start);
        let events: Vec<OutboxEntry> = first(query, size + 1).await?;
        let rows = events.iter().map(Delivery::from).collect();
        Ok(Page::cut(rows, size, |last: &Delivery| last.id.to_string()))
    }
}

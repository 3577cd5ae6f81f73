//! Deliveries of events to webhooks: each is part of its event in the outbox.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::assignment::Assignment;
use super::outbox::{LIFETIME, OutboxEntry};
use super::transaction::{CommitResult, Condition, Leg};
use super::{Store, answer, key, number, string};
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::error::Entity;
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

/// The event waits to be delivered, and was tried so often.
fn pending_after(attempts: u64) -> Condition {
    let values = [(":pending", string("pending")), (":made", number(attempts))];
    Condition::new("delivery = :pending AND attempts = :made", values)
}

/// What is taken off an event when nothing more is to come of it.
const AFTERWARDS: &[&str] =
    &["due_pk", "due_sk", "tm_next", "farewell_method", "farewell_uri", "farewell_secrets"];

impl Store {
    /// Takes an event for one more attempt, before it is made: so two do not make the same one, and one
    /// that dies over it is followed by another at `next`, or if there is none, by its end.
    /// Whether the event still is as it was read.
    pub async fn claim_delivery(
        &self,
        event: &OutboxEntry,
        now: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let claimed = Self::wait_for_delivery(event.id, next.unwrap_or(now))?
            .count("attempts")?
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
        let made = Self::wait_for_delivery(event.id, next)?
            .set("outcome", outcome)?
            .set("tm_next", next)?;
        self.update_event(event.id, &made, &pending_after(event.attempts + 1)).await.map(drop)
    }

    /// Ends a delivery after `attempts`; what was sealed for it goes. The event of one that failed is
    /// kept for a week from `now`, so that it can be sent again.
    pub async fn end_delivery(
        &self,
        event: &OutboxEntry,
        attempts: u64,
        state: DeliveryState,
        outcome: Option<DeliveryResult>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut ended = Assignment::default().set("delivery", state)?.remove(AFTERWARDS);
        if let Some(outcome) = outcome {
            ended = ended.set("outcome", outcome)?;
        }
        if state == DeliveryState::Failed {
            ended = ended.set("expires_at", now.plus(LIFETIME).seconds())?;
        }
        self.update_event(event.id, &ended, &pending_after(attempts)).await.map(drop)
    }

    /// Lets an event wait until `until` without an attempt.
    pub async fn postpone_delivery(
        &self,
        event: &OutboxEntry,
        until: Timestamp,
    ) -> Result<(), Error> {
        let waits = Self::wait_for_delivery(event.id, until)?.set("tm_next", until)?;
        self.update_event(event.id, &waits, &pending_after(event.attempts)).await.map(drop)
    }

    /// Tells an account's owner, and nobody else, of nothing, if the account is live.
    pub async fn insert_test_event(
        &self,
        customer: &Customer,
        event: &Event,
    ) -> Result<Delivery, Error> {
        let told = Mutex::new(None);
        let tell = |customer: &Customer| {
            let delivery = Delivery::from(&OutboxEntry::next(event, customer));
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivery);
            self.transaction().tell(customer, event)
        };
        match self.change_owned(customer, tell).await? {
            CommitResult::Written => {
                let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
                told.ok_or(Error::StateInvalid(None))
            }
            CommitResult::Refused(_) => Err(Error::StateInvalid(None)),
        }
    }

    /// Lets an event of a live account be sent again, from the first attempt on. What is under way stays.
    pub async fn resend(&self, event: OutboxEntry, now: Timestamp) -> Result<Delivery, Error> {
        let again = Self::wait_for_delivery(event.id, now)?
            .set("delivery", DeliveryState::Pending)?
            .set("attempts", 0)?
            .set("tm_next", now)?;
        let logged = Condition::new("attribute_exists(log_pk)", []);
        let transaction = self
            .transaction()
            .check(&key::customer(event.customer_id), &Condition::live())?
            .change_event(event.id, &again, &logged)?
            .note(&event)?;
        match transaction.run().await? {
            CommitResult::Written => Ok(Delivery {
                status: DeliveryState::Pending,
                attempts: 0,
                tm_next_attempt: Some(now),
                ..Delivery::from(&event)
            }),
            CommitResult::Refused(legs) => match legs.as_slice() {
                [Leg::Held, ..] => Err(Error::NotFound(Entity::Delivery)),
                _ => Err(Error::StateInvalid(None)),
            },
        }
    }

    /// A page of an account's deliveries, newest event first, below the event `after`.
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
            .client
            .query()
            .table_name(&self.outbox)
            .index_name("log")
            .scan_index_forward(false)
            .key_condition_expression("log_pk = :log")
            .expression_attribute_values(":log", string(&log))
            .set_exclusive_start_key(start);
        let events: Vec<OutboxEntry> = answer::first(query, size + 1).await?;
        let rows = events.iter().map(Delivery::from).collect();
        Ok(Page::cut(rows, size, |last: &Delivery| last.id.to_string()))
    }
}

//! Delivers events to their accounts' owners, at least once, and stops when that is hopeless.
//!
//! The bus brings an event at once; the schedule brings those whose next attempt is due. Each attempt is
//! claimed in the event before it is made and written down after it, so an attempt that dies is followed
//! by the next, and two never make the same one. No host takes the others' time: the schedule gives each
//! a lane of its own, and one that let an attempt wait in vain is left to the schedule.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use tokio::time::Instant;

use super::message::Message;
use super::send::Sender;
use crate::app::{App, Build};
use crate::domain::delivery::{DeliveryState, is_exhausted, next_attempt};
use crate::domain::lifecycle::Command;
use crate::domain::webhook::Webhook;
use crate::domain::webhook_target::Loopback;
use crate::domain::{Customer, DeliveryResult, Error, Status, Timestamp};
use crate::lifecycle::transition;
use crate::platform::{Deadline, metrics};
use crate::store::outbox::{BATCH, OutboxEntry, OutboxQueue, PendingEvent};

/// How many hosts are sent to at the same time.
const LANES: usize = 32;

/// How long one run keeps sending to one host, if others are waiting there.
const LANE: Duration = Duration::from_secs(20);

/// How many events one run takes up.
const EVENTS: usize = 2_000;

/// How long an event waits that could not be tried now.
const PAUSE: Duration = Duration::from_mins(1);

/// Delivers events.
#[derive(Debug)]
pub struct Deliverer {
    /// The tables and the time.
    pub app: App,
    sender: Sender,
}

impl Build for Deliverer {
    fn build() -> Result<Self, Error> {
        Ok(Self::new(App::build()?, Sender::from_environment()?))
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.app.settle()
    }
}

/// What one run did, and what it saw.
#[derive(Debug, Default, Serialize)]
pub struct DeliveryRun {
    /// Events whose next attempt was due.
    pub due: u64,
    /// Events that their receivers have taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that are not tried any more.
    pub ended: u64,
    /// Events that wait for another run, because their host is busy.
    pub postponed: u64,
    /// For how many seconds the event that has waited longest has been due.
    pub oldest_overdue_seconds: u64,
}

/// What has come of looking at an event.
enum Step {
    Delivered,
    /// It is tried again.
    Failed,
    /// It is not tried again: after an attempt that failed, or because there was nowhere to send it.
    Ended(DeliveryState),
    Postponed,
    /// It waits for nothing, or somebody else has just taken it.
    NotDue,
}

/// Whether the bus brought an event, or the schedule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Bus,
    Schedule,
}

/// Delivers an event that has just happened.
pub async fn deliver_one(
    deliverer: &Deliverer,
    waiting: PendingEvent,
) -> Result<DeliveryRun, Error> {
    let mut run = DeliveryRun { due: 1, ..DeliveryRun::default() };
    let found = deliverer.app.store.get_events_and_customers(&[waiting]).await?;
    for (event, account) in found {
        run.count(&deliverer.attempt(&event, account, By::Bus).await?);
    }
    run.emit(deliverer.app.now());
    Ok(run)
}

/// Delivers the events whose next attempt is due.
pub async fn deliver_due(deliverer: &Deliverer, deadline: Deadline) -> Result<DeliveryRun, Error> {
    let now = deliverer.app.now();
    let (waiting, oldest) = deliverer.waiting(now).await?;
    let mut run = DeliveryRun {
        due: waiting.len() as u64,
        oldest_overdue_seconds: oldest.map_or(0, |since| since.until(now).as_secs()),
        ..DeliveryRun::default()
    };
    let mut lanes: HashMap<String, Vec<(OutboxEntry, Customer)>> = HashMap::new();
    for (event, account) in deliverer.read(&waiting).await {
        let webhook = webhook(&event, &account, now);
        let host = webhook.map(|webhook| host(&webhook)).unwrap_or_default();
        lanes.entry(host).or_default().push((event, account));
    }
    let mut steps = stream::iter(lanes.into_values())
        .map(|events| deliverer.lane(events, deadline))
        .buffer_unordered(LANES);
    while let Some(lane) = steps.next().await {
        for step in &lane {
            run.count(step);
        }
    }
    run.emit(deliverer.app.now());
    Ok(run)
}

impl Deliverer {
    /// A deliverer of these parts.
    #[must_use]
    pub const fn new(app: App, sender: Sender) -> Self {
        Self { app, sender }
    }

    /// What cannot be read now is read by the next run, and keeps nothing else waiting.
    async fn waiting(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<PendingEvent>, Option<Timestamp>), Error> {
        let (mut all, mut oldest) = (Vec::new(), None);
        let mut place = OutboxQueue::Deliver.beginning();
        while !place.is_end() && all.len() < EVENTS {
            match self.app.store.list_undelivered(place, now).await {
                Ok((page, since, next)) => {
                    all.extend(page);
                    oldest = oldest.into_iter().chain(since).min();
                    place = next;
                }
                Err(error) if all.is_empty() => return Err(error),
                Err(error) => {
                    tracing::error!(cause = error.cause(), "more may be due");
                    break;
                }
            }
        }
        Ok((all, oldest))
    }

    async fn read(&self, waiting: &[PendingEvent]) -> Vec<(OutboxEntry, Customer)> {
        let mut found = Vec::with_capacity(waiting.len());
        for waiting in waiting.chunks(BATCH) {
            match self.app.store.get_events_and_customers(waiting).await {
                Ok(more) => found.extend(more),
                Err(error) => tracing::error!(cause = error.cause(), "left to the next run"),
            }
        }
        found
    }

    /// One event after the other, of one host. A failure is one event's alone.
    async fn lane(&self, events: Vec<(OutboxEntry, Customer)>, deadline: Deadline) -> Vec<Step> {
        let started = Instant::now();
        let mut steps = Vec::with_capacity(events.len());
        for (event, account) in events {
            let id = event.id;
            let step = if started.elapsed() > LANE || deadline.is_near() {
                self.postpone(&event).await
            } else {
                self.attempt(&event, account, By::Schedule).await
            };
            match step {
                Ok(step) => steps.push(step),
                Err(error) => {
                    tracing::error!(event_id = %id, cause = error.cause(), "delivery failed");
                }
            }
        }
        steps
    }

    async fn attempt(&self, event: &OutboxEntry, account: Customer, by: By) -> Result<Step, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        // The bus brings an event for its first attempt only, and may do so twice.
        if !event.is_pending() || (by == By::Bus && event.attempts > 0) {
            return Ok(Step::NotDue);
        }
        if is_exhausted(event.attempts) {
            return self.end(event, event.attempts, DeliveryState::Failed, None).await;
        }
        let Some(webhook) = webhook(event, &account, now) else {
            return self.end(event, event.attempts, DeliveryState::Discarded, None).await;
        };
        let host = host(&webhook);
        let Some(visit) = store.begin_visit(&host, now).await? else {
            return self.postpone(event).await;
        };
        let step = if visit.to_slow_host && by == By::Bus {
            self.postpone(event).await
        } else {
            self.send(event, account, webhook, &host).await
        };
        store.end_visit(&host, visit).await?;
        step
    }

    async fn send(
        &self,
        event: &OutboxEntry,
        account: Customer,
        webhook: Webhook,
        host: &str,
    ) -> Result<Step, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let made = event.attempts + 1;
        let next = next_attempt(made, now, self.app.jitter(), event.sealed_until());
        if !store.claim_delivery(event, now, next).await? {
            return Ok(Step::NotDue);
        }
        let Message { headers, body } = Message::new(event, &webhook, now)?;
        let outcome = self.sender.send(webhook.method, &webhook.uri, &headers, &body).await;
        match outcome {
            DeliveryResult::Delivered => {
                self.end(event, made, DeliveryState::Delivered, Some(outcome)).await?;
                return Ok(Step::Delivered);
            }
            DeliveryResult::Gone => {
                // First nothing more is sent there, then this is written down: should it die between
                // the two, the next attempt finds nowhere to send it.
                let command = Command::DisableWebhook(webhook.uri);
                if account.status != Status::Deleted {
                    transition(&self.app, account, &command).await?;
                }
                return self.end(event, made, DeliveryState::Gone, Some(outcome)).await;
            }
            DeliveryResult::Timeout => store.note_slow_host(host, now).await?,
            _ => {}
        }
        match next {
            Some(_) => {
                store.record_attempt(event, outcome).await?;
                Ok(Step::Failed)
            }
            None => self.end(event, made, DeliveryState::Failed, Some(outcome)).await,
        }
    }

    async fn end(
        &self,
        event: &OutboxEntry,
        attempts: u64,
        state: DeliveryState,
        outcome: Option<DeliveryResult>,
    ) -> Result<Step, Error> {
        self.app.store.end_delivery(event, attempts, state, outcome, self.app.now()).await?;
        Ok(Step::Ended(state))
    }

    async fn postpone(&self, event: &OutboxEntry) -> Result<Step, Error> {
        let until = self.app.now().plus(PAUSE);
        self.app.store.postpone_delivery(event, until).await?;
        Ok(Step::Postponed)
    }
}

/// Where an event is to be sent: to the address that was sealed for it, or else to where its account's
/// owner wants to have it by now. A deleted account has no address any more.
fn webhook(event: &OutboxEntry, account: &Customer, now: Timestamp) -> Option<Webhook> {
    event.farewell().or_else(|| account.webhook(now))
}

/// The receiver's host, and its port on the machine itself, where hosts are told apart by that.
fn host(webhook: &Webhook) -> String {
    let target = webhook.uri.target(Loopback::Allowed);
    target.map(|target| target.authority().to_owned()).unwrap_or_default()
}

impl DeliveryRun {
    fn count(&mut self, step: &Step) {
        match step {
            Step::Delivered => self.delivered += 1,
            Step::Failed => self.failed += 1,
            Step::Ended(DeliveryState::Failed) => {
                self.failed += 1;
                self.ended += 1;
            }
            Step::Ended(_) => self.ended += 1,
            Step::Postponed => self.postponed += 1,
            Step::NotDue => {}
        }
    }

    fn emit(&self, now: Timestamp) {
        metrics::emit(
            now,
            &[
                ("WebhookDelivered", "Count", self.delivered),
                ("WebhookFailed", "Count", self.failed),
                ("WebhookDead", "Count", self.ended),
                ("WebhookOldest", "Seconds", self.oldest_overdue_seconds),
            ],
        );
    }
}

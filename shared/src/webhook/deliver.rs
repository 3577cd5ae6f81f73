//! Delivers events to webhooks, at least once, until the retry schedule ends.
//!
//! The event bus triggers the first attempt at once; scheduled runs make the attempts that are due. Each
//! attempt is claimed (reserved) in the event's outbox entry before it is made, and its result is recorded
//! there, so that an attempt that dies is followed by the next one, and no two runs make the same one.
//!
//! A slow host does not hold up other hosts, nor an account other accounts at the same host: a run sends to
//! many hosts at the same time, and at each host in many lanes. A lane is one account's deliveries to one
//! host. Each lane and each host has a limited time in a run; after that, their events are postponed. The
//! first attempt is postponed in a lane in which an attempt has just timed out. Events for which the run
//! itself has no time stay due, so that the alarm on overdue events sees them.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use tokio::time::Instant;

use super::message::Message;
use super::send::Sender;
use crate::app::{App, Build};
use crate::domain::delivery::{
    DeliveryState, Lane, MAX_RETRY_AFTER, heed, is_exhausted, is_failing, next_attempt,
};
use crate::domain::lifecycle::Command;
use crate::domain::webhook::Webhook;
use crate::domain::{Actor, Customer, DeliveryResult, Error, Id, Status, Timestamp};
use crate::lifecycle::transition;
use crate::platform::log::{Cause, LogEntry};
use crate::platform::metrics::Metric;
use crate::platform::{Deadline, metrics};
use crate::store::outbox::{BATCH, OutboxEntry, OutboxQueue, PendingEvent};

/// Maximum number of hosts that a run sends to at the same time.
const CONCURRENT_HOSTS: usize = 128;

/// Maximum number of lanes of one host in which a run sends at the same time. With [`CONCURRENT_ATTEMPTS`] in
/// each, a run stays below [`HOST_LIMITS`](crate::domain::delivery::HOST_LIMITS), which leaves room for first
/// attempts, triggered by the bus.
const CONCURRENT_LANES: usize = 8;

/// Maximum number of attempts that a run makes in one lane at the same time: one less than
/// [`LANE_LIMITS`](crate::domain::delivery::LANE_LIMITS) allow, which leaves room for first attempts.
const CONCURRENT_ATTEMPTS: usize = 4;

/// How long a run sends in one lane (one account's deliveries to one host) before it postpones the lane's
/// other events: less than the timeout of an attempt.
const LANE_TIME: Duration = Duration::from_secs(10);

/// How long a run sends to one host before it postpones the events of all its lanes.
const HOST_TIME: Duration = Duration::from_secs(30);

/// Number of due events after which a run reads no further page. The last page may exceed it.
const MAX_EVENTS: usize = 10_000;

/// Maximum number of batches of events that a run reads at the same time.
const CONCURRENT_READS: usize = 4;

/// How long an event is postponed.
const POSTPONEMENT: Duration = Duration::from_mins(1);

/// Delivers events to webhooks.
#[derive(Debug)]
pub struct Deliverer {
    /// Store, clock and randomness.
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

/// Result of one delivery run.
#[derive(Debug, Default, Serialize)]
pub struct DeliveryRun {
    /// Number of events whose next attempt was due.
    pub due: u64,
    /// Number of events that a receiver accepted.
    pub delivered: u64,
    /// Number of attempts that failed.
    pub failed: u64,
    /// Number of events whose delivery ended without success.
    pub ended: u64,
    /// Number of events left to a later run because their lane or host is busy, slow or out of time.
    pub postponed: u64,
    /// Number of events that stay due because the deadline was near.
    pub unfinished: u64,
    /// How long the longest-waiting event has been due, in seconds.
    pub oldest_overdue_seconds: u64,
}

/// Result of handling one event in a run.
enum Disposition {
    /// The receiver accepted the event.
    Delivered,
    /// An attempt failed; another will follow.
    Failed,
    /// The delivery has ended: its last attempt failed, or there is no webhook to send the event to.
    Ended(DeliveryState),
    /// The event is left to a later run, without an attempt, because its lane or host is busy, slow or out of
    /// time.
    Postponed,
    /// The event stays due, as the run's deadline is near.
    Unfinished,
    /// Nothing to do: the event is not pending, or another run has claimed the attempt.
    NotDue,
}

/// Events that are due, with their accounts.
type DueEvents = Vec<(OutboxEntry, Customer)>;

/// Cause of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// The event arrived on the event bus.
    Bus,
    /// The schedule started a run for the events that are due.
    Schedule,
}

/// Makes the first attempt to deliver an event that the bus has brought.
pub async fn deliver_one(
    deliverer: &Deliverer,
    pending: PendingEvent,
) -> Result<DeliveryRun, Error> {
    let mut run = DeliveryRun { due: 1, ..DeliveryRun::default() };
    let found = deliverer.app.store.get_events_and_customers(&[pending]).await?;
    for (event, account) in found {
        run.count(&deliverer.attempt(&event, account, Trigger::Bus).await?);
    }
    metrics::emit(deliverer.app.now(), &run.metrics());
    Ok(run)
}

/// Makes the delivery attempts that are due, until none is left or `deadline` is near.
pub async fn deliver_due(deliverer: &Deliverer, deadline: Deadline) -> Result<DeliveryRun, Error> {
    let now = deliverer.app.now();
    let (pending, oldest) = deliverer.list_due(now).await?;
    let mut run = DeliveryRun {
        due: pending.len() as u64,
        oldest_overdue_seconds: oldest.map_or(0, |since| since.until(now).as_secs()),
        ..DeliveryRun::default()
    };
    let mut by_host: HashMap<String, HashMap<Id<Customer>, DueEvents>> = HashMap::new();
    for (event, account) in deliverer.read(&pending).await {
        let webhook = webhook(&event, &account, now);
        // An event without a webhook burdens no host, so it gets a group of its own.
        let host = webhook.map_or_else(|| event.id.to_string(), |webhook| webhook.uri.host());
        let lanes = by_host.entry(host).or_default();
        lanes.entry(account.id).or_default().push((event, account));
    }
    let mut hosts = stream::iter(by_host.into_values())
        .map(|lanes| deliverer.deliver_to_host(lanes.into_values().collect(), deadline))
        .buffer_unordered(CONCURRENT_HOSTS);
    while let Some(dispositions) = hosts.next().await {
        for disposition in &dispositions {
            run.count(disposition);
        }
    }
    metrics::emit(deliverer.app.now(), &run.metrics());
    Ok(run)
}

impl Deliverer {
    /// Returns a deliverer that sends with `sender`.
    #[must_use]
    pub const fn new(app: App, sender: Sender) -> Self {
        Self { app, sender }
    }

    /// Lists the events that are due at `now`, and returns since when the longest-waiting one has been due. A
    /// page that cannot be read is left to the next run; if it is the first page, the call fails.
    async fn list_due(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<PendingEvent>, Option<Timestamp>), Error> {
        let (mut all, mut oldest) = (Vec::new(), None);
        let mut cursor = OutboxQueue::Deliver.beginning();
        while !cursor.is_end() && all.len() < MAX_EVENTS {
            match self.app.store.list_undelivered(cursor, now).await {
                Ok(page) => {
                    all.extend(page.events);
                    oldest = oldest.into_iter().chain(page.oldest).min();
                    cursor = page.next;
                }
                Err(error) if all.is_empty() => return Err(error),
                Err(error) => {
                    LogEntry::DueDeliveriesNotListed { cause: Cause(&error) }.log();
                    break;
                }
            }
        }
        Ok((all, oldest))
    }

    /// Reads events and their accounts. Those that cannot be read are left to the next run.
    async fn read(&self, pending: &[PendingEvent]) -> DueEvents {
        let store = &self.app.store;
        let batches: Vec<_> =
            pending.chunks(BATCH).map(|batch| store.get_events_and_customers(batch)).collect();
        let mut batches = stream::iter(batches).buffer_unordered(CONCURRENT_READS);
        let mut found = Vec::with_capacity(pending.len());
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => found.extend(batch),
                Err(error) => LogEntry::DueEventsNotRead { cause: Cause(&error) }.log(),
            }
        }
        found
    }

    /// Delivers the events of one host, each account's in a lane of its own.
    async fn deliver_to_host(&self, lanes: Vec<DueEvents>, deadline: Deadline) -> Vec<Disposition> {
        let end = Instant::now() + HOST_TIME;
        let lanes: Vec<_> =
            lanes.into_iter().map(|events| self.deliver_lane(events, end, deadline)).collect();
        stream::iter(lanes).buffer_unordered(CONCURRENT_LANES).concat().await
    }

    /// Delivers the events of one lane, until `end` at the latest. An event that fails does not affect the others.
    async fn deliver_lane(
        &self,
        events: DueEvents,
        end: Instant,
        deadline: Deadline,
    ) -> Vec<Disposition> {
        let end = end.min(Instant::now() + LANE_TIME);
        let deliveries: Vec<_> = events
            .into_iter()
            .map(|(event, account)| self.deliver(event, account, end, deadline))
            .collect();
        let mut deliveries = stream::iter(deliveries).buffer_unordered(CONCURRENT_ATTEMPTS);
        let mut dispositions = Vec::new();
        while let Some(disposition) = deliveries.next().await {
            dispositions.extend(disposition);
        }
        dispositions
    }

    /// Makes the next attempt to deliver an event, or postpones the event if its lane's time, which ends at `end`,
    /// is over. If this fails for an internal reason, such as a failed write, logs that and returns `None`.
    async fn deliver(
        &self,
        event: OutboxEntry,
        account: Customer,
        end: Instant,
        deadline: Deadline,
    ) -> Option<Disposition> {
        let disposition = if deadline.is_near() {
            Ok(Disposition::Unfinished)
        } else if Instant::now() > end {
            self.postpone(&event).await
        } else {
            self.attempt(&event, account, Trigger::Schedule).await
        };
        let failed = |error: &Error| {
            let (event_id, customer_id) = (event.id, event.customer_id);
            LogEntry::DeliveryFailed { event_id, customer_id, cause: Cause(error) }.log();
        };
        disposition.inspect_err(failed).ok()
    }

    /// Makes the next attempt to deliver an event, if one is due and the limits of its lane and host allow it
    /// now.
    async fn attempt(
        &self,
        event: &OutboxEntry,
        account: Customer,
        trigger: Trigger,
    ) -> Result<Disposition, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let is_due = match trigger {
            // The bus may bring an event twice.
            Trigger::Bus => event.attempts == 0,
            // The index may be older than the event.
            Trigger::Schedule => event.tm_next.is_none_or(|next| next <= now),
        };
        if !event.is_pending() || !is_due {
            return Ok(Disposition::NotDue);
        }
        if is_exhausted(event.attempts) {
            return self.end(event, event.attempts, DeliveryState::Failed, None).await;
        }
        let Some(webhook) = webhook(event, &account, now) else {
            return self.end(event, event.attempts, DeliveryState::Discarded, None).await;
        };
        let lane = Lane { host: webhook.uri.host(), customer: account.id };
        let Some(counted) = store.begin_attempt(&lane, now).await? else {
            return self.postpone(event).await;
        };
        let disposition = if counted.is_lane_slow && trigger == Trigger::Bus {
            self.postpone(event).await
        } else {
            self.send(event, account, webhook, &lane).await
        };
        store.end_attempt(&lane, counted).await?;
        disposition
    }

    /// Claims an attempt, so that no other run makes it, then makes it and records its result.
    async fn send(
        &self,
        event: &OutboxEntry,
        account: Customer,
        webhook: Webhook,
        lane: &Lane,
    ) -> Result<Disposition, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let made = event.attempts + 1;
        let scheduled = next_attempt(made, now, self.app.random_byte(), event.sealed_until());
        if !store.claim_delivery(event, now, scheduled).await? {
            return Ok(Disposition::NotDue);
        }
        let Message { headers, body } = Message::new(event, &webhook, now)?;
        let attempt = self.sender.send(webhook.method, &webhook.uri, &headers, &body).await;
        let result = attempt.result;
        match result {
            DeliveryResult::Delivered => {
                // Before the result is recorded, as below.
                if account.internals.tm_webhook_failing.is_some() {
                    let command = Command::WebhookWorks(webhook.uri);
                    transition(&self.app, Actor::WEBHOOK_DELIVERY, account, &command).await?;
                }
                self.end(event, made, DeliveryState::Delivered, Some(result)).await?;
                return Ok(Disposition::Delivered);
            }
            DeliveryResult::Gone => {
                // The webhook is disabled before the result is recorded: if the run dies between the two,
                // the next attempt finds no webhook.
                let command = Command::DisableWebhook(webhook.uri);
                if account.status != Status::Deleted {
                    transition(&self.app, Actor::WEBHOOK_DELIVERY, account, &command).await?;
                }
                return self.end(event, made, DeliveryState::Gone, Some(result)).await;
            }
            DeliveryResult::Timeout => store.record_timeout(lane, now).await?,
            _ => {}
        }
        if is_failing(made) && account.internals.tm_webhook_failing.is_none() {
            let command = Command::WebhookFails(webhook.uri);
            transition(&self.app, Actor::WEBHOOK_DELIVERY, account, &command).await?;
        }
        let Some(scheduled) = scheduled else {
            return self.end(event, made, DeliveryState::Failed, Some(result)).await;
        };
        let asked = attempt.retry_after.map(|after| after.time(self.app.now(), MAX_RETRY_AFTER));
        let next = heed(scheduled, asked, event.sealed_until());
        store.record_attempt(event, result, next).await?;
        Ok(Disposition::Failed)
    }

    async fn end(
        &self,
        event: &OutboxEntry,
        attempts: u64,
        state: DeliveryState,
        result: Option<DeliveryResult>,
    ) -> Result<Disposition, Error> {
        self.app.store.end_delivery(event, attempts, state, result, self.app.now()).await?;
        Ok(Disposition::Ended(state))
    }

    async fn postpone(&self, event: &OutboxEntry) -> Result<Disposition, Error> {
        let until = self.app.now().plus(POSTPONEMENT);
        self.app.store.postpone_delivery(event, until).await?;
        Ok(Disposition::Postponed)
    }
}

/// Returns the webhook to send an event to: the one that is sealed in the event, because a deleted account
/// has lost it, or else the one that the account has now. `None` if there is neither.
fn webhook(event: &OutboxEntry, account: &Customer, now: Timestamp) -> Option<Webhook> {
    event.farewell().or_else(|| account.webhook(now))
}

impl DeliveryRun {
    fn count(&mut self, disposition: &Disposition) {
        match disposition {
            Disposition::Delivered => self.delivered += 1,
            Disposition::Failed => self.failed += 1,
            Disposition::Ended(DeliveryState::Failed) => {
                self.failed += 1;
                self.ended += 1;
            }
            Disposition::Ended(_) => self.ended += 1,
            Disposition::Postponed => self.postponed += 1,
            Disposition::Unfinished => self.unfinished += 1,
            Disposition::NotDue => {}
        }
    }

    /// Returns the run's metrics, which the alarms watch.
    const fn metrics(&self) -> [Metric; 4] {
        [
            ("WebhookDelivered", "Count", self.delivered),
            ("WebhookFailed", "Count", self.failed),
            ("WebhookDead", "Count", self.ended),
            ("WebhookOldest", "Seconds", self.oldest_overdue_seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(run: &DeliveryRun) -> Vec<(&'static str, u64)> {
        let metrics = run.metrics().into_iter().filter(|(.., value)| *value > 0);
        metrics.map(|(name, _, value)| (name, value)).collect()
    }

    #[test]
    fn each_end_of_an_attempt_moves_its_metrics_and_no_other() {
        let after = |disposition: Disposition| {
            let mut run = DeliveryRun { due: 9, ..DeliveryRun::default() };
            run.count(&disposition);
            moved(&run)
        };
        assert_eq!(after(Disposition::Delivered), [("WebhookDelivered", 1)]);
        assert_eq!(after(Disposition::Failed), [("WebhookFailed", 1)]);
        let dead = [("WebhookFailed", 1), ("WebhookDead", 1)];
        assert_eq!(after(Disposition::Ended(DeliveryState::Failed)), dead);
        for state in [DeliveryState::Discarded, DeliveryState::Gone] {
            assert_eq!(after(Disposition::Ended(state)), [("WebhookDead", 1)]);
        }
        for nothing in [Disposition::Postponed, Disposition::Unfinished, Disposition::NotDue] {
            assert_eq!(after(nothing), []);
        }
        let late = DeliveryRun { oldest_overdue_seconds: 4, ..DeliveryRun::default() };
        assert_eq!(moved(&late), [("WebhookOldest", 4)]);
    }
}

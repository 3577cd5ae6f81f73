//! Storage operations of the purge, the background work that erases accounts: its queue, and the transactions
//! by which it claims an account, counts the items that it is about to delete, and finishes.

use serde::Deserialize;

use super::customer::updated;
use super::dynamodb::{
    CommitResult, Condition, Leg, Store, Table, Transaction, UpdateExpression, number,
};
use super::email::AddressChange;
use super::key;
use super::kinds::named;
use super::ledger::LedgerUpdate;
use super::login::held_by;
use super::outbox::OutboxEntry;
use super::queue::QueueCursor;
use super::revise::Update;
use crate::domain::brake::Hour;
use crate::domain::lifecycle::CustomerChange;
use crate::domain::participant::Registry;
use crate::domain::receipt::SignedReceipt;
use crate::domain::time::Month;
use crate::domain::webhook::Webhook;
use crate::domain::{Customer, Erasure, Error, Event, Id, Timestamp};

/// An account that is due in the purge queue.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Id of the account.
    pub id: Id<Customer>,
    /// When the account fell due.
    pub since: Timestamp,
}

/// Whether the purge of a due account has begun. Each stage has partitions of its own in index `due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeStage {
    /// A run of the purge has claimed the account: has begun to erase it.
    Claimed,
    /// No run has claimed the account yet.
    Unclaimed,
}

impl PurgeStage {
    /// The cursor of the stage's first page.
    #[must_use]
    pub fn beginning(self) -> QueueCursor {
        QueueCursor::beginning(match self {
            Self::Claimed => &key::BEGUN,
            Self::Unclaimed => &key::DUE,
        })
    }
}

/// Number of purges and of deletions by operators within an hour. The circuit breaker limits the first, the brake the
/// second.
#[derive(Clone, Copy, Debug)]
pub struct HourCounts {
    /// Number of purges that have begun.
    pub purges: u64,
    /// Number of deletions by operators.
    pub deletions: u64,
}

/// Result of claiming an account, the transaction by which a run of the purge takes it.
#[derive(Debug)]
pub enum Claim<T> {
    /// The run has claimed the account.
    Taken(T),
    /// Another writer has changed the account. Holds the account as it is now.
    Outdated(Box<Customer>),
    /// The circuit breaker is open: as many purges have begun within the hour as may begin.
    BreakerOpen,
}

/// A slice of what an account owns: up to 500 items that one transaction counts before they are deleted. Each
/// slice is counted once, whichever run of the purge deletes it.
#[derive(Clone, Debug)]
pub struct CountedSlice {
    /// The account's row in the ledger as it is once the slice is counted.
    pub ledger: Erasure,
    /// Events that announce the deletion of the slice's items.
    pub events: Vec<Event>,
    /// Login keys of the user names of the agents in the slice: the keys of the items that keep these names taken.
    pub logins: Vec<String>,
}

impl CountedSlice {
    /// Adds the counts, with this slice included, to an update of the account's row in the ledger.
    fn count(&self, row: UpdateExpression) -> Result<UpdateExpression, Error> {
        row.set("found", named(&self.ledger.found))?
            .set("deleted", named(&self.ledger.deleted))?
            .set("counted_to", &self.ledger.counted_to)?
            .set("slices", self.ledger.slices)
    }
}

/// The condition that the latest claim recorded in the account's row in the ledger has this epoch. The epoch
/// is the purge's fencing token: after another run has claimed the account, the earlier run can write nothing
/// more.
fn epoch(epoch: u64) -> Condition {
    Condition::new("epoch = :held_epoch", [(":held_epoch", number(epoch))])
}

/// The condition on the account's row in the ledger that this run's claim is the latest, and that the last slice
/// (batch of counted items) in `erasure` is the next to be counted: all slices before it have been counted, and it has
/// not.
fn lacks_last_slice(erasure: &Erasure) -> Condition {
    let before = [(":before", number(erasure.slices.saturating_sub(1)))];
    let none = if erasure.slices == 1 { " OR attribute_not_exists(slices)" } else { "" };
    epoch(erasure.epoch).and(Condition::new(&format!("slices = :before{none}"), before))
}

/// The condition that fewer than `most` purges have begun within the hour.
fn below(most: u64) -> Condition {
    Condition::new("attribute_not_exists(pk) OR claims < :most", [(":most", number(most))])
}

impl Transaction<'_> {
    /// Puts the events of a slice into the outbox, frees the user names of the agents in it, and deletes
    /// these names' counts of login attempts.
    fn announce(mut self, counted: &CountedSlice, logins: &[&String]) -> Result<Self, Error> {
        for event in &counted.events {
            self = self.put_event(&OutboxEntry::unnumbered(event))?;
        }
        let owned = held_by(counted.ledger.customer);
        for login in logins {
            self = self.delete(key::lock(login).address(), Some(&owned))?;
        }
        for login in logins {
            self = self.delete(key::throttle(login).address(), None)?;
        }
        Ok(self)
    }

    /// Counts a purge that begins, on the condition that fewer than `most` have begun within the same hour.
    fn count_claim(self, most: u64, now: Timestamp) -> Result<Self, Error> {
        const HOUR: i64 = 3600;
        let hour = now.seconds().div_euclid(HOUR);
        let counted = UpdateExpression::default()
            .increment("claims")?
            .set("expires_at", (hour + 24) * HOUR)?;
        self.update(key::breaker(hour).address(), &counted, Some(&below(most)))
    }
}

impl Store {
    /// Returns a page of the accounts that were due at `until`, longest due first, and the cursor of the next
    /// page. A page may be empty although more follow.
    pub async fn list_due(
        &self,
        cursor: QueueCursor,
        until: Timestamp,
    ) -> Result<(Vec<Due>, QueueCursor), Error> {
        let (items, next) = self.list_queued(Table::Accounts, cursor, until).await?;
        let mut found = items.iter().map(DueKey::due).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|due| due.since);
        Ok((found, next))
    }

    /// Reads the counts that the circuit breaker and the brake limit, for the hour of `now`.
    pub async fn get_hour_counts(&self, now: Timestamp) -> Result<HourCounts, Error> {
        let hour = Hour::of(now);
        let (breaker, brake) = (key::breaker(hour.0), key::brake(hour));
        let items = self.get_items(&[breaker.untyped(), brake.untyped()]).await?;
        let count = |key, name| {
            let counted = items.find(key).and_then(|item| item.get(name)?.as_n().ok());
            counted.and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        Ok(HourCounts { purges: count(&breaker, "claims"), deletions: count(&brake, "deletions") })
    }

    /// Reads an account and its row in the ledger.
    pub async fn get_customer_and_erasure(
        &self,
        id: Id<Customer>,
    ) -> Result<(Option<Customer>, Option<Erasure>), Error> {
        let (customer, erasure) = (key::customer(id), key::erasure(id));
        let items = self.get_items(&[customer.untyped(), erasure.untyped()]).await?;
        Ok((items.get(&customer)?, items.get(&erasure)?))
    }

    /// Reads the data that a claim is decided on: an account, its row in the ledger, and the registry of participants.
    pub async fn get_claimable(
        &self,
        id: Id<Customer>,
    ) -> Result<(Option<Customer>, Option<Erasure>, Registry), Error> {
        let (customer, erasure, registry) = (key::customer(id), key::erasure(id), key::registry());
        let keys = [customer.untyped(), erasure.untyped(), registry.untyped()];
        let items = self.get_items(&keys).await?;
        let registry = items.get(&registry)?.unwrap_or_default();
        Ok((items.get(&customer)?, items.get(&erasure)?, registry))
    }

    /// Claims an account for its first purge, if fewer than `most` purges have begun within the hour (the
    /// circuit breaker), and counts the `first` slice in the same transaction. If that transaction fails,
    /// tries again without the slice; [`Claim::Taken`] tells whether the slice was counted.
    pub async fn claim_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        first: Option<&CountedSlice>,
        most: u64,
        now: Timestamp,
    ) -> Result<Claim<bool>, Error> {
        let claim = |addresses: &AddressChange, first: Option<&CountedSlice>| {
            let mut ledger = LedgerUpdate::of(change)?;
            if let (Some(ledger), Some(first)) = (&mut ledger, first) {
                ledger.update = first.count(std::mem::take(&mut ledger.update))?;
                ledger.condition = Some(Condition::new("attribute_not_exists(tm_claim)", []));
            }
            let mut transaction = self.change_customer(before, change, addresses, event, ledger)?;
            if let Some(first) = first {
                transaction =
                    transaction.announce(first, &first.logins.iter().collect::<Vec<_>>())?;
            }
            transaction.count_claim(most, now)
        };
        let mut addresses = AddressChange::of(before, &change.after);
        let mut result = self.commit_on_root(before, || claim(&addresses, first)).await?;
        let mut is_counted = first.is_some();
        if let CommitResult::Refused(legs) = &result
            && !is_outdated(legs)
            && !is_breaker_open(legs)
        {
            addresses.leave_foreign_locks(&result);
            result = self.commit_on_root(before, || claim(&addresses, None)).await?;
            is_counted = false;
        }
        match result {
            CommitResult::Refused(legs) if !is_outdated(&legs) && is_breaker_open(&legs) => {
                Ok(Claim::BreakerOpen)
            }
            result => Ok(match updated(result)? {
                Update::Written => Claim::Taken(is_counted),
                Update::Outdated(current) => Claim::Outdated(current),
            }),
        }
    }

    /// Counts a slice that is about to be deleted, puts its events into the outbox, and frees the user names
    /// of its agents. However often this is tried, it takes effect once. Returns false if another run has
    /// claimed the account.
    pub async fn count_slice(&self, counted: &CountedSlice) -> Result<bool, Error> {
        let CountedSlice { ledger, events, logins } = counted;
        // A user name that is another account's by now keeps its lock.
        let mut foreign = Vec::new();
        loop {
            let ours: Vec<_> = logins.iter().filter(|login| !foreign.contains(login)).collect();
            let row = LedgerUpdate {
                customer: ledger.customer,
                update: counted.count(UpdateExpression::default())?,
                condition: Some(lacks_last_slice(ledger)),
            };
            let transaction = self.transaction().update_ledger(row)?.announce(counted, &ours)?;
            let CommitResult::Refused(legs) = transaction.run().await? else { return Ok(true) };
            if legs.first().is_some_and(Leg::failed) {
                return self.has_counted(ledger).await;
            }
            let locks = legs.iter().skip(1 + events.len());
            let refused = ours.into_iter().zip(locks).filter(|(_, leg)| leg.failed());
            foreign.extend(refused.map(|(login, _)| login));
        }
    }

    /// Whether this very run has counted the slice in an earlier try, whose response was lost.
    async fn has_counted(&self, after: &Erasure) -> Result<bool, Error> {
        let row = self.get_erasure(after.customer).await?;
        Ok(row.is_some_and(|row| (row.epoch, row.slices) == (after.epoch, after.slices)))
    }

    /// Finishes the purge of an account, if no other run has claimed it: takes the account out of the purge queue,
    /// writes the first receipt of this erasure, and puts `event` into the outbox. The event is also delivered to
    /// `farewell`, the webhook that the account had, if there was one.
    pub async fn finish_erasure(
        &self,
        before: &Customer,
        change: &CustomerChange,
        erasure: &Erasure,
        receipt: &SignedReceipt,
        (event, farewell): (&Event, Option<&Webhook>),
    ) -> Result<Update<Customer>, Error> {
        let now = change.after.internals.tm_purge;
        // Without participants the erasure is complete when it is finished, and nothing more is written.
        let is_completed = receipt.summary.r#final && !erasure.participants.is_empty();
        let erased = OutboxEntry::erased(event, receipt.summary.clone()).sealed_for(farewell);
        let row = || {
            let row = UpdateExpression::default()
                .set("deleted", named(&erasure.found))?
                .set("tm_finish", now)?
                .set("finished_pk", now.map(Month::of).map(key::finished))?
                .set("finished_sk", now.map(Timestamp::fixed))?
                .append("receipts", &receipt.jws)?
                .remove(&["counted_to", "quarantined", "last_error"]);
            if is_completed { row.set("tm_complete", now) } else { Ok(row) }
        };
        let finish = || {
            let row = LedgerUpdate {
                customer: before.id,
                update: row()?,
                condition: Some(epoch(erasure.epoch)),
            };
            self.replace_customer(before, change)?.update_ledger(row)?.put_event(&erased)
        };
        updated(self.commit_on_root(before, finish).await?)
    }

    /// Writes the error of a failed purge into the ledger, if no other run has claimed the account.
    pub async fn record_failure(&self, erasure: &Erasure, now: Timestamp) -> Result<(), Error> {
        let row =
            UpdateExpression::default().set_or_remove("last_error", erasure.last_error.as_ref())?;
        self.note(erasure, row, now).await
    }

    /// Records in the ledger that only items of unknown kinds are left (a quarantine), if no other run has claimed the
    /// account. All items that were counted are recorded as deleted. The next run starts at the beginning of the
    /// account's items again: a later version of the program may know the kinds of the items that are left.
    pub async fn quarantine(&self, erasure: &Erasure, now: Timestamp) -> Result<(), Error> {
        let row = UpdateExpression::default()
            .set("quarantined", erasure.quarantined)?
            .set("deleted", named(&erasure.found))?;
        self.note(erasure, row.remove(&["last_error", "counted_to"]), now).await
    }

    async fn note(
        &self,
        erasure: &Erasure,
        row: UpdateExpression,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = LedgerUpdate {
            customer: erasure.customer,
            update: row.set("tm_error", now)?,
            condition: Some(epoch(erasure.epoch)),
        };
        self.transaction().update_ledger(row)?.run().await.map(drop)
    }
}

/// Whether the account has changed since it was read: the transaction's first action, on the account's root,
/// failed.
fn is_outdated(legs: &[Leg]) -> bool {
    legs.first().is_some_and(Leg::failed)
}

/// Whether the circuit breaker refused a claim: the transaction's last action, on the breaker's count,
/// failed.
fn is_breaker_open(legs: &[Leg]) -> bool {
    legs.last().is_some_and(Leg::failed)
}

/// Sort key of an account in the purge queue: when the account fell due, and its id.
#[derive(Deserialize)]
struct DueKey {
    due_sk: String,
}

impl DueKey {
    fn due(&self) -> Result<Due, Error> {
        let read = || {
            let (since, id) = self.due_sk.split_once('#')?;
            Some(Due { id: Id::parse(id)?, since: Timestamp::parse_fixed(since)? })
        };
        read().ok_or_else(|| Error::Internal("a due key names no account".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::owned::Kind;
    use crate::store::dynamodb::fake::{Fake, written};

    /// A slice is counted on two conditions: the run has the latest claim, and all earlier slices are counted.
    /// Otherwise a run whose account another run has taken over could still count a slice. The other run would find
    /// the slice counted, conclude that its own claim was taken over, and stop: neither run would continue.
    #[tokio::test]
    async fn a_slice_is_counted_by_the_run_that_holds_the_account_and_after_the_slice_before() {
        let (store, fake) = Fake::answering([written()]);
        let blank = Erasure::blank(Id::from_uuid(Uuid::from_u128(1)));
        let found = [(Kind::Number, 5)].into();
        let ledger = Erasure { epoch: 7, slices: 3, found, ..blank };
        let counted = CountedSlice { ledger, events: Vec::new(), logins: Vec::new() };
        assert!(store.count_slice(&counted).await.unwrap());
        let row = &fake.body(0)["TransactItems"][0]["Update"];
        let condition = row["ConditionExpression"].as_str().unwrap();
        let values = &row["ExpressionAttributeValues"];
        assert!(condition.contains("epoch = :held_epoch"), "{condition}");
        assert!(condition.contains("slices = :before"), "{condition}");
        assert_eq!(
            (&values[":held_epoch"], &values[":before"]),
            (&json!({"N": "7"}), &json!({"N": "2"}))
        );
    }
}

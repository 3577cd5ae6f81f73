//! Idempotency records: what requests with an `Idempotency-Key` have done, so that a repeated request is
//! answered again without a second effect.
//!
//! When a request begins, it registers its key in a task-local. The transaction that inserts the request's
//! first event then also inserts the record. So no endpoint has to pass the key on, and none can forget it.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dynamodb::{Condition, Item, Table, Transaction, Witness, number, unavailable};
use super::fields::stored;
use super::key::{self, Key};
use super::outbox::OutboxEntry;
use super::stored::{Stored, item, read};
use crate::domain::idempotency::{IdempotencyRecord, LIFETIME};
use crate::domain::participant::ParticipantName;
use crate::domain::{Customer, Error, Event, Id, Timestamp};

stored! {
    /// Attributes of the item that stores an idempotency record.
    #[derive(Serialize, Deserialize)]
    pub struct IdempotencyAttributes {
        request: String => Deleted,
        transaction: Uuid => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<Id<Event>> => Deleted,
        what: String => Deleted,
        customer_id: Id<Customer> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<Uuid> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        participant: Option<String> => Deleted,
        sequence: u64 => Deleted,
        tm_event: Timestamp => Deleted,
        /// When the item expires, in seconds since 1970. DynamoDB deletes it later: readers check this time.
        expires_at: i64 => Deleted,
    }
}

impl From<&IdempotencyRecord> for IdempotencyAttributes {
    fn from(done: &IdempotencyRecord) -> Self {
        Self {
            request: done.fingerprint.clone(),
            transaction: done.transaction,
            event_id: done.event,
            what: done.event_name.clone(),
            customer_id: done.customer,
            subject: done.subject,
            participant: done.participant.as_ref().map(ToString::to_string),
            sequence: done.sequence,
            tm_event: done.tm_event,
            expires_at: done.expires_at,
        }
    }
}

impl From<IdempotencyAttributes> for IdempotencyRecord {
    fn from(stored: IdempotencyAttributes) -> Self {
        Self {
            fingerprint: stored.request,
            transaction: stored.transaction,
            event: stored.event_id,
            event_name: stored.what,
            customer: stored.customer_id,
            subject: stored.subject,
            participant: stored.participant.map(ParticipantName::trusted),
            sequence: stored.sequence,
            tm_event: stored.tm_event,
            expires_at: stored.expires_at,
        }
    }
}

impl Stored for IdempotencyRecord {
    type Attributes = IdempotencyAttributes;
}

/// An idempotency key that a request has registered.
#[derive(Debug)]
struct Registered {
    at: Key<IdempotencyRecord>,
    fingerprint: String,
    now: Timestamp,
}

/// The current request's idempotency key as it was registered, and the record of an earlier request with the
/// same key.
#[derive(Debug, Default)]
struct Scope {
    registered: OnceLock<Registered>,
    /// Record of the identical request that used the key before; empty if no such record was found.
    earlier: OnceLock<IdempotencyRecord>,
}

tokio::task_local! {
    static SCOPE: Scope;
}

/// Runs a request, which may [register] an idempotency key, and returns its outcome. If an identical request
/// has used the key before, the outcome is an error, and the second value is the record of that earlier
/// request, by which the caller answers this one.
pub async fn scope<T>(request: impl Future<Output = T>) -> (T, Option<IdempotencyRecord>) {
    let work = async {
        let outcome = request.await;
        (outcome, SCOPE.with(|scope| scope.earlier.get().cloned()))
    };
    SCOPE.scope(Scope::default(), work).await
}

/// Registers the request's idempotency key, whose record has the key `at` in the table. The transaction that writes
/// the request's first event also writes the record, unless there is one already that has not expired at `now`.
pub fn register(at: Key<IdempotencyRecord>, fingerprint: String, now: Timestamp) {
    // Outside of a scope there is no request that could be sent again.
    let _ = SCOPE.try_with(|scope| scope.registered.set(Registered { at, fingerprint, now }));
}

/// Returns the error that ends a request whose idempotency key already has a `record`. If the record has the
/// same `fingerprint` (the hash of a request's content), the requests are identical: the [scope] then returns
/// the record, so that the earlier answer can be given again.
#[must_use]
pub fn key_used(record: IdempotencyRecord, fingerprint: &str) -> Error {
    if record.fingerprint == fingerprint {
        let _ = SCOPE.try_with(|scope| {
            // An identical request has one record.
            let _ = scope.earlier.set(record);
        });
    }
    Error::IdempotencyKeyReused
}

impl Transaction<'_> {
    /// Adds an event to the outbox and, if the request has registered an idempotency key, to the request's
    /// idempotency record.
    pub(super) fn emit(self, event: &OutboxEntry) -> Result<Self, Error> {
        self.put_event(event)?.record(event)
    }

    /// Adds the idempotency record of a request that had the effect `event`, if the request has registered a
    /// key.
    pub(super) fn record(self, event: &OutboxEntry) -> Result<Self, Error> {
        self.record_as(|record| IdempotencyRecord {
            event: Some(event.id),
            event_name: event.name.clone(),
            customer: event.customer_id,
            subject: event.subjects().first().copied(),
            sequence: event.sequence.unwrap_or_default(),
            tm_event: event.tm_event,
            ..record
        })
    }

    /// Adds the idempotency record of a request that registers or changes a participant, if it has registered a key.
    pub(super) fn record_participant(self, name: &ParticipantName) -> Result<Self, Error> {
        let participant = Some(name.clone());
        self.record_as(|record| IdempotencyRecord { participant, ..record })
    }

    /// Adds an idempotency record, which `fill` makes from a blank one, if the request has registered a key.
    fn record_as(
        self,
        fill: impl FnOnce(IdempotencyRecord) -> IdempotencyRecord,
    ) -> Result<Self, Error> {
        let write = |scope: &Scope| {
            let registered = scope.registered.get();
            registered.map(|one| RecordWrite::new(one, fill(one.blank()?))).transpose()
        };
        Ok(match SCOPE.try_with(write).unwrap_or(Ok(None))? {
            Some(write) => self.witnessed(Box::new(write)),
            None => self,
        })
    }
}

impl Registered {
    /// Returns the record of a request that has not done anything yet.
    fn blank(&self) -> Result<IdempotencyRecord, Error> {
        let mut transaction = [0; 16];
        getrandom::fill(&mut transaction).map_err(unavailable)?;
        Ok(IdempotencyRecord {
            fingerprint: self.fingerprint.clone(),
            transaction: Uuid::from_bytes(transaction),
            event: None,
            event_name: String::new(),
            customer: key::customer_of(&self.at.pk)?,
            subject: None,
            participant: None,
            sequence: 0,
            tm_event: self.now,
            expires_at: self.now.plus(LIFETIME).seconds(),
        })
    }
}

/// The write of an idempotency record, as the last action of a transaction.
#[derive(Debug)]
struct RecordWrite {
    record: IdempotencyRecord,
    item: Item,
    condition: Condition,
}

impl RecordWrite {
    fn new(registered: &Registered, record: IdempotencyRecord) -> Result<Self, Error> {
        let expired = Condition::new(
            "attribute_not_exists(pk) OR expires_at <= :now",
            [(":now", number(registered.now.seconds()))],
        );
        Ok(Self {
            item: item(&registered.at, IdempotencyAttributes::from(&record))?,
            record,
            condition: expired,
        })
    }
}

impl Witness for RecordWrite {
    fn leg(&self) -> (Table, Item, &Condition) {
        (Table::Accounts, self.item.clone(), &self.condition)
    }

    /// Returns `Ok` if this very transaction has written the record that was found: it was committed, and
    /// only the response was lost. If another request has written the record, returns an error.
    fn recognise(&self, found: Option<Item>) -> Result<(), Error> {
        let found = found.ok_or_else(|| unavailable("an idempotency record came and went"))?;
        let found: IdempotencyRecord = read(found)?;
        if found.transaction == self.record.transaction {
            return Ok(());
        }
        Err(key_used(found, &self.record.fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(fingerprint: &str, transaction: u128) -> RecordWrite {
        let record = IdempotencyRecord {
            fingerprint: fingerprint.to_owned(),
            transaction: Uuid::from_u128(transaction),
            event: None,
            event_name: "number_created".to_owned(),
            customer: Id::from_uuid(Uuid::from_u128(2)),
            subject: None,
            participant: None,
            sequence: 1,
            tm_event: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
            expires_at: 0,
        };
        let at = key::idempotency(record.customer, "hash");
        let item = item(&at, IdempotencyAttributes::from(&record)).unwrap();
        RecordWrite { record, item, condition: Condition::default() }
    }

    /// Runs a request whose record would be `own`, while the table already has the record `other`. Returns the
    /// request's outcome, and the record from which the earlier answer can be repeated.
    async fn outcome(
        own: RecordWrite,
        other: RecordWrite,
    ) -> (Result<(), Error>, Option<IdempotencyRecord>) {
        scope(async { own.recognise(Some(other.item)) }).await
    }

    #[tokio::test]
    async fn a_transaction_that_finds_its_own_record_was_committed() {
        let (result, earlier) = outcome(write("a", 1), write("a", 1)).await;
        assert!(result.is_ok() && earlier.is_none());
    }

    #[tokio::test]
    async fn only_an_identical_request_is_replayed() {
        let (result, earlier) = outcome(write("a", 1), write("a", 2)).await;
        assert!(matches!(result, Err(Error::IdempotencyKeyReused)));
        assert_eq!(earlier.unwrap().transaction, Uuid::from_u128(2));
        let (result, earlier) = outcome(write("a", 1), write("b", 2)).await;
        assert!(matches!(result, Err(Error::IdempotencyKeyReused)) && earlier.is_none());
    }
}

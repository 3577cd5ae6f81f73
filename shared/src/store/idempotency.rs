//! What requests with a key have done.
//!
//! A request that has a key promises to write down what it does, in the transaction that does it. The
//! promise goes with the request and not through its handler: so no endpoint can forget it.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::stored;
use super::key::Key;
use super::outbox::OutboxEntry;
use super::transaction::{CommitResult, Condition, Leg};
use super::{Item, Stored, item, number, read, unavailable};
use crate::domain::idempotency::{IdempotencyRecord, LIFETIME};
use crate::domain::{Customer, Error, Event, Id, Timestamp};

stored! {
    /// As it is stored.
    #[derive(Serialize, Deserialize)]
    pub struct IdempotencyAttributes {
        request: String => Deleted,
        transaction: Uuid => Deleted,
        event_id: Id<Event> => Deleted,
        what: String => Deleted,
        customer_id: Id<Customer> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<Uuid> => Deleted,
        sequence: u64 => Deleted,
        tm_event: Timestamp => Deleted,
        /// When the item may go, in seconds since 1970. It goes late: readers look, too.
        expires_at: i64 => Deleted,
    }
}

impl From<&IdempotencyRecord> for IdempotencyAttributes {
    fn from(done: &IdempotencyRecord) -> Self {
        Self {
            request: done.request.clone(),
            transaction: done.transaction,
            event_id: done.event,
            what: done.what.clone(),
            customer_id: done.customer,
            subject: done.subject,
            sequence: done.sequence,
            tm_event: done.tm_event,
            expires_at: done.expires_at,
        }
    }
}

impl From<IdempotencyAttributes> for IdempotencyRecord {
    fn from(stored: IdempotencyAttributes) -> Self {
        Self {
            request: stored.request,
            transaction: stored.transaction,
            event: stored.event_id,
            what: stored.what,
            customer: stored.customer_id,
            subject: stored.subject,
            sequence: stored.sequence,
            tm_event: stored.tm_event,
            expires_at: stored.expires_at,
        }
    }
}

impl Stored for IdempotencyRecord {
    type Attributes = IdempotencyAttributes;
}

/// Where a request will write down what it does.
#[derive(Debug)]
struct Promise {
    at: Key<IdempotencyRecord>,
    request: String,
    now: Timestamp,
}

tokio::task_local! {
    static PROMISE: OnceLock<Promise>;
}

/// Carries out a request, which may [promise].
pub async fn scope<T>(request: impl Future<Output = T>) -> T {
    PROMISE.scope(OnceLock::new(), request).await
}

/// From here on, what the request does is written down at `at`, where at `now` nothing was that is still
/// remembered. `request` stands for it.
pub fn promise(at: Key<IdempotencyRecord>, request: String, now: Timestamp) {
    // Outside of a scope there is no request that could be sent again.
    let _ = PROMISE.try_with(|promised| promised.set(Promise { at, request, now }));
}

/// A promise that is about to be kept, as the last leg of a transaction.
#[derive(Debug)]
pub(super) struct Note {
    done: IdempotencyRecord,
    pub(super) item: Item,
    pub(super) condition: Condition,
}

impl Note {
    /// That what `event` tells of was done, if the request has promised to say so.
    pub(super) fn of(event: &OutboxEntry) -> Result<Option<Self>, Error> {
        let keep = |promised: &OnceLock<Promise>| {
            promised.get().map(|promise| Self::keep(promise, event)).transpose()
        };
        PROMISE.try_with(keep).unwrap_or(Ok(None))
    }

    fn keep(promise: &Promise, event: &OutboxEntry) -> Result<Self, Error> {
        let now = promise.now;
        let mut transaction = [0; 16];
        getrandom::fill(&mut transaction).map_err(unavailable)?;
        let done = IdempotencyRecord {
            request: promise.request.clone(),
            transaction: Uuid::from_bytes(transaction),
            event: event.id,
            what: event.name.clone(),
            customer: event.customer_id,
            subject: event.subjects().first().copied(),
            sequence: event.sequence.unwrap_or_default(),
            tm_event: event.tm_event,
            expires_at: now.plus(LIFETIME).seconds(),
        };
        let forgotten = Condition::new(
            "attribute_not_exists(pk) OR expires_at <= :now",
            [(":now", number(now.seconds()))],
        );
        Ok(Self {
            item: item(&promise.at, IdempotencyAttributes::from(&done))?,
            done,
            condition: forgotten,
        })
    }

    /// How the transaction ended for whom this note says nothing: all legs but this one. If the key was
    /// used meanwhile, that is an error, unless it was by this very transaction, whose answer was lost.
    pub(super) fn outcome(self, mut legs: Vec<Leg>) -> Result<CommitResult, Error> {
        match legs.pop() {
            Some(Leg::Failed(Some(found))) => {
                let found: IdempotencyRecord = read(found)?;
                if found.transaction == self.done.transaction {
                    return Ok(CommitResult::Written);
                }
                Err(found.told_to(&self.done.request))
            }
            _ => Ok(CommitResult::Refused(legs)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key;

    fn note(request: &str, transaction: u128) -> Note {
        let done = IdempotencyRecord {
            request: request.to_owned(),
            transaction: Uuid::from_u128(transaction),
            event: Id::from_uuid(Uuid::from_u128(1)),
            what: "number_created".to_owned(),
            customer: Id::from_uuid(Uuid::from_u128(2)),
            subject: None,
            sequence: 1,
            tm_event: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
            expires_at: 0,
        };
        let at = key::idempotency(done.customer, "hash");
        let item = item(&at, IdempotencyAttributes::from(&done)).unwrap();
        Note { done, item, condition: Condition::default() }
    }

    /// How the transaction of `note` ends that finds what `other` has written.
    fn outcome(note: Note, other: Note) -> Result<CommitResult, Error> {
        note.outcome(vec![Leg::Failed(None), Leg::Failed(Some(other.item))])
    }

    #[test]
    fn a_transaction_that_finds_itself_was_carried_out() {
        assert!(matches!(outcome(note("a", 1), note("a", 1)), Ok(CommitResult::Written)));
    }

    #[test]
    fn a_transaction_that_finds_another_was_not() {
        assert!(matches!(outcome(note("a", 1), note("a", 2)), Err(Error::Repeated(_))));
        assert!(matches!(outcome(note("a", 1), note("b", 2)), Err(Error::IdempotencyKeyReused)));
    }

    #[test]
    fn a_transaction_that_finds_nothing_says_how_its_other_legs_fared() {
        let refused = note("a", 1).outcome(vec![Leg::Failed(None), Leg::Held]).unwrap();
        assert!(
            matches!(refused, CommitResult::Refused(legs) if legs.len() == 1 && legs[0].failed())
        );
    }
}

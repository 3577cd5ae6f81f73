//! The ledger of erasures: one row per account, in a table of its own that outlives the accounts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::assignment::Assignment;
use super::customer::updated;
use super::fields::stored;
use super::outbox::OutboxEntry;
use super::transaction::{CommitResult, Condition, Transaction};
use super::{Item, Store, Stored, Update, answer, key, string};
use crate::domain::erasure::{
    Counts, ErasureRequest, Hold, HoldReason, InventoryCursor, LedgerEntry, Reason, Requester, Role,
};
use crate::domain::lifecycle::CustomerChange;
use crate::domain::owned::Kind;
use crate::domain::time::Month;
use crate::domain::{Customer, Erasure, Error, Event, Id, Timestamp};

stored! {
    /// As it is stored.
    #[derive(Deserialize)]
    pub struct ErasureAttributes {
        customer_id: Id<Customer> => Kept,
        reason: Option<Reason> => Kept,
        role: Option<Role> => Kept,
        requester: Option<String> => Kept,
        tm_request: Option<Timestamp> => Kept,
        tm_due: Option<Timestamp> => Kept,
        plan: Option<String> => Kept,
        tm_withdraw: Option<Timestamp> => Kept,
        hold_reason: Option<String> => Kept,
        hold_role: Option<Role> => Kept,
        hold_requester: Option<String> => Kept,
        tm_hold: Option<Timestamp> => Kept,
        tm_claim: Option<Timestamp> => Kept,
        tm_finish: Option<Timestamp> => Kept,
        #[serde(default)]
        epoch: u64 => Kept,
        #[serde(default)]
        attempts: u64 => Kept,
        #[serde(default)]
        slices: u64 => Kept,
        #[serde(default)]
        found: BTreeMap<String, u64> => Kept,
        #[serde(default)]
        deleted: BTreeMap<String, u64> => Kept,
        #[serde(default)]
        counted_to: InventoryCursor => Kept,
        #[serde(default)]
        quarantined: u64 => Kept,
        last_error: Option<String> => Kept,
        #[serde(default)]
        receipts: Vec<String> => Kept,
    }
}

impl From<ErasureAttributes> for Erasure {
    fn from(stored: ErasureAttributes) -> Self {
        Self {
            request: request(&stored),
            hold: hold(&stored),
            customer: stored.customer_id,
            tm_withdraw: stored.tm_withdraw,
            tm_claim: stored.tm_claim,
            tm_finish: stored.tm_finish,
            epoch: stored.epoch,
            attempts: stored.attempts,
            slices: stored.slices,
            found: counts(&stored.found),
            deleted: counts(&stored.deleted),
            counted_to: stored.counted_to,
            quarantined: stored.quarantined,
            last_error: stored.last_error,
            receipt: stored.receipts.last().cloned(),
        }
    }
}

fn request(stored: &ErasureAttributes) -> Option<ErasureRequest> {
    Some(ErasureRequest {
        reason: stored.reason?,
        by: Requester { role: stored.role?, id: stored.requester.clone().unwrap_or_default() },
        tm_request: stored.tm_request?,
        tm_due: stored.tm_due?,
        plan: stored.plan.clone(),
    })
}

fn hold(stored: &ErasureAttributes) -> Option<Hold> {
    let requester = stored.hold_requester.clone().unwrap_or_default();
    Some(Hold {
        reason: HoldReason::trusted(stored.hold_reason.clone()?),
        by: Requester { role: stored.hold_role?, id: requester },
        tm_hold: stored.tm_hold?,
    })
}

fn counts(stored: &BTreeMap<String, u64>) -> Counts {
    let named = |kind: &Kind| Some((*kind, *stored.get(kind.plural())?));
    Kind::ALL.iter().filter_map(named).collect()
}

fn named(counts: &Counts) -> BTreeMap<&'static str, u64> {
    counts.iter().map(|(kind, count)| (kind.plural(), *count)).collect()
}

/// A place among the erasures that ended within a month.
#[derive(Debug)]
pub struct FinishedCursor(Item);

impl Stored for Erasure {
    type Attributes = ErasureAttributes;
}

/// What the purge has left of an earlier request, and a new request starts without.
const EARLIER: [&str; 8] = [
    "tm_withdraw",
    "tm_claim",
    "tm_finish",
    "found",
    "deleted",
    "counted_to",
    "quarantined",
    "last_error",
];

/// What an entry writes into the row of `customer`, whose purge is at `epoch`.
fn assignment(
    customer: Id<Customer>,
    entry: &LedgerEntry,
    epoch: u64,
) -> Result<Assignment, Error> {
    let row = Assignment::default().set("customer_id", customer)?;
    match entry {
        LedgerEntry::Requested(request) => row
            .set("reason", request.reason)?
            .set("role", request.by.role)?
            .set("requester", &request.by.id)?
            .set("tm_request", request.tm_request)?
            .set("tm_due", request.tm_due)?
            .set("attempts", 0)?
            .set_or_remove("plan", request.plan.as_ref())
            .map(|row| row.remove(&EARLIER)),
        LedgerEntry::Withdrawn(now) => row.set("tm_withdraw", now),
        LedgerEntry::Held(hold) => row
            .set("hold_reason", hold.reason.expose())?
            .set("hold_role", hold.by.role)?
            .set("hold_requester", &hold.by.id)?
            .set("tm_hold", hold.tm_hold)
            .map(|row| row.remove(&["tm_lift"])),
        LedgerEntry::Lifted(now, due) => {
            let row = row.set("tm_lift", now)?.remove(&["hold_reason"]);
            match due {
                Some(due) => row.set("tm_due", due),
                None => Ok(row),
            }
        }
        LedgerEntry::ErasedAgain(now) => {
            let earlier: Vec<_> = EARLIER.into_iter().filter(|name| *name != "tm_claim").collect();
            row.remove(&earlier)
                .set("reason", Reason::Restored)?
                .set("role", Role::System)?
                .set("requester", "")?
                .set("tm_request", now)?
                .set("tm_due", now)?
                .set("tm_claim", now)?
                .set("epoch", epoch)?
                .set("attempts", 1)
        }
        LedgerEntry::Claimed(now) => {
            row.set("epoch", epoch)?.set_first("tm_claim", now)?.count("attempts")
        }
    }
}

/// What an account owns, and is about to be deleted, written down: once, whoever deletes it.
#[derive(Clone, Debug)]
pub struct CountedSlice {
    /// The ledger's row that counts it.
    pub ledger: Erasure,
    /// What is told of it.
    pub events: Vec<Event>,
    /// The user names of the agents in it.
    pub logins: Vec<String>,
}

impl CountedSlice {
    fn assignment(&self, row: Assignment) -> Result<Assignment, Error> {
        row.set("found", named(&self.ledger.found))?
            .set("deleted", named(&self.ledger.deleted))?
            .set("counted_to", &self.ledger.counted_to)?
            .set("slices", self.ledger.slices)
    }
}

impl Transaction<'_> {
    /// Tells the ledger, if the change has something to tell; and, if it is that the purge takes the
    /// account and has not before, what is deleted `first`.
    pub(super) fn enter(
        self,
        change: &CustomerChange,
        first: Option<&CountedSlice>,
    ) -> Result<Self, Error> {
        let Some(entry) = &change.entry else { return Ok(self) };
        let id = change.after.id;
        let row = assignment(id, entry, change.after.internals.epoch)?;
        let Some(first) = first else { return self.update_ledger(id, &row, None) };
        let not_before = Condition::new("attribute_not_exists(tm_claim)", []);
        self.update_ledger(id, &first.assignment(row)?, Some(&not_before))
    }

    /// Tells of what is about to be deleted, and frees user names of the agents in it, with what is
    /// known of attempts at their passwords.
    pub(super) fn announce(
        mut self,
        counted: &CountedSlice,
        logins: &[&String],
    ) -> Result<Self, Error> {
        for event in &counted.events {
            self = self.put_event(&OutboxEntry::unnumbered(event))?;
        }
        for login in logins {
            let owned = Condition::owned_by(counted.ledger.customer);
            self = self.delete(&key::lock_of_agent(login), Some(&owned))?;
        }
        for login in logins {
            self = self.delete(&key::throttle(login), None)?;
        }
        Ok(self)
    }
}

impl Store {
    /// What the ledger says of an account's erasure.
    pub async fn get_erasure(&self, customer: Id<Customer>) -> Result<Option<Erasure>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(&self.erasures)
            .set_key(Some(key::erasure(customer).attributes()));
        let found: Option<ErasureAttributes> = answer::get(get.consistent_read(true)).await?;
        Ok(found.map(Into::into))
    }

    /// An account and what the ledger says of its erasure, read together.
    pub async fn get_customer_and_erasure(
        &self,
        id: Id<Customer>,
    ) -> Result<(Option<Customer>, Option<Erasure>), Error> {
        let (customer, erasure) = (key::customer(id), key::erasure(id));
        let items = self
            .get_from([
                (&self.accounts, &[customer.untyped()]),
                (&self.erasures, &[erasure.untyped()]),
            ])
            .await?;
        Ok((items.get(&customer)?, items.get(&erasure)?))
    }

    /// Writes down what is about to be deleted: counts it, tells of it, frees the user names of its
    /// agents and forgets the attempts at their passwords; once, however often it is tried. False if
    /// another run has taken the account.
    pub async fn count_slice(&self, counted: &CountedSlice) -> Result<bool, Error> {
        let CountedSlice { ledger, events, logins } = counted;
        let row = counted.assignment(Assignment::default())?;
        // A name that is another account's by now keeps its lock.
        let mut foreign = Vec::new();
        loop {
            let ours: Vec<_> = logins.iter().filter(|login| !foreign.contains(login)).collect();
            let transaction = self
                .transaction()
                .update_ledger(ledger.customer, &row, Some(&Condition::counted(ledger)))?
                .announce(counted, &ours)?;
            let CommitResult::Refused(legs) = transaction.run().await? else { return Ok(true) };
            if legs.first().is_some_and(super::transaction::Leg::failed) {
                return self.has_counted(ledger).await;
            }
            let locks = legs.iter().skip(1 + events.len());
            let refused = ours.into_iter().zip(locks).filter(|(_, leg)| leg.failed());
            foreign.extend(refused.map(|(login, _)| login));
        }
    }

    /// Whether the slice was written down by this very run, whose answer was lost.
    async fn has_counted(&self, after: &Erasure) -> Result<bool, Error> {
        let row = self.get_erasure(after.customer).await?;
        Ok(row.is_some_and(|row| (row.epoch, row.slices) == (after.epoch, after.slices)))
    }

    /// Takes an account out of the purge's queue and writes down the receipt, if no other run has taken
    /// the account.
    pub async fn finish_erasure(
        &self,
        before: &Customer,
        change: &CustomerChange,
        erasure: &Erasure,
        receipt: &str,
    ) -> Result<Update<Customer>, Error> {
        let now = change.after.internals.tm_purge;
        let row = Assignment::default()
            .set("deleted", named(&erasure.found))?
            .set("tm_finish", now)?
            .set("finished_pk", now.map(Month::of).map(key::finished))?
            .set("finished_sk", now.map(Timestamp::fixed))?
            .append("receipts", receipt)?
            .remove(&["counted_to", "quarantined", "last_error"]);
        let transaction = self.replace_customer(before, change)?.update_ledger(
            before.id,
            &row,
            Some(&Condition::epoch(erasure.epoch)),
        )?;
        updated(transaction.run().await?)
    }

    /// Accounts whose erasure ended within a month, from the place where an earlier page ended.
    pub async fn list_finished(
        &self,
        month: Month,
        behind: Option<FinishedCursor>,
    ) -> Result<(Vec<Id<Customer>>, Option<FinishedCursor>), Error> {
        #[derive(Deserialize)]
        struct Row {
            pk: String,
        }

        let query = self
            .client
            .query()
            .table_name(&self.erasures)
            .index_name("finished")
            .key_condition_expression("finished_pk = :month")
            .expression_attribute_values(":month", string(key::finished(month)))
            .set_exclusive_start_key(behind.map(|place| place.0));
        let (rows, next) = answer::query::<Row>(query).await?;
        let ids = rows.iter().map(|row| key::customer_of(&row.pk)).collect::<Result<_, _>>()?;
        Ok((ids, next.map(FinishedCursor)))
    }

    /// Writes down what stands in the way of an erasure, if no other run has taken the account.
    pub async fn note_trouble(&self, erasure: &Erasure, now: Timestamp) -> Result<(), Error> {
        let row = Assignment::default().set_or_remove("last_error", erasure.last_error.as_ref())?;
        self.note(erasure, row, now).await
    }

    /// Writes down that nothing is left but what the purge does not know, if no other run has taken the
    /// account. All that was counted is deleted: what the purge knows by the next time is to be counted
    /// wherever it stands.
    pub async fn quarantine(&self, erasure: &Erasure, now: Timestamp) -> Result<(), Error> {
        let row = Assignment::default()
            .set("quarantined", erasure.quarantined)?
            .set("deleted", named(&erasure.found))?;
        self.note(erasure, row.remove(&["last_error", "counted_to"]), now).await
    }

    async fn note(&self, erasure: &Erasure, row: Assignment, now: Timestamp) -> Result<(), Error> {
        let (row, held) = (row.set("tm_error", now)?, Condition::epoch(erasure.epoch));
        let transaction = self.transaction().update_ledger(erasure.customer, &row, Some(&held))?;
        transaction.run().await.map(drop)
    }
}

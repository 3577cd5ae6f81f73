//! The ledger of erasures: one row per account, in a table of its own that outlives the accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dynamodb::{
    Condition, Item, Store, Table, Transaction, UpdateExpression, number, page, string,
};
use super::fields::stored;
use super::hold::{self, HoldAttributes};
use super::key;
use super::kinds::counts;
use super::outbox::OutboxEntry;
use super::stored::Stored;
use crate::domain::erasure::{ErasureRequest, InventoryCursor, LedgerEntry, Reason};
use crate::domain::hold::Holds;
use crate::domain::lifecycle::CustomerChange;
use crate::domain::participant::ParticipantName;
use crate::domain::participation::{Participating, Round};
use crate::domain::receipt::SignedReceipt;
use crate::domain::time::Month;
use crate::domain::{Actor, Customer, Erasure, Error, Event, Id, Timestamp};

stored! {
    /// Attributes of an account's row in the ledger, which records the account's erasure: request, withdrawal,
    /// progress, receipts.
    #[derive(Deserialize)]
    pub struct ErasureAttributes {
        customer_id: Id<Customer> => Kept,
        reason: Option<Reason> => Kept,
        requested_by: Option<Actor> => Kept,
        tm_request: Option<Timestamp> => Kept,
        tm_due: Option<Timestamp> => Kept,
        plan: Option<String> => Kept,
        tm_withdraw: Option<Timestamp> => Kept,
        withdrawn_by: Option<Actor> => Kept,
        holds: Option<Vec<HoldAttributes>> => Kept,
        tm_lift: Option<Timestamp> => Kept,
        lifted_by: Option<Actor> => Kept,
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
        #[serde(default = "first_round")]
        round: u64 => Kept,
        #[serde(default)]
        participants: Vec<ParticipatingAttributes> => Kept,
        tm_complete: Option<Timestamp> => Kept,
    }
}

const fn first_round() -> u64 {
    1
}

/// A participant (another system that takes part in the erasure), as it is copied from the registry into the
/// ledger when the purge claims the account.
#[derive(Serialize, Deserialize)]
pub(super) struct ParticipatingAttributes {
    name: String,
    required: bool,
    /// Time that the participant has to answer, in seconds.
    timeout: u64,
}

impl From<&Participating> for ParticipatingAttributes {
    fn from(one: &Participating) -> Self {
        let (name, timeout) = (one.name.to_string(), one.timeout.as_secs());
        Self { name, required: one.required, timeout }
    }
}

impl From<ParticipatingAttributes> for Participating {
    fn from(stored: ParticipatingAttributes) -> Self {
        Self {
            name: ParticipantName::trusted(stored.name),
            required: stored.required,
            timeout: Duration::from_secs(stored.timeout),
        }
    }
}

impl From<ErasureAttributes> for Erasure {
    fn from(stored: ErasureAttributes) -> Self {
        Self {
            request: request(&stored),
            holds: hold::holds(stored.holds),
            customer: stored.customer_id,
            tm_withdraw: stored.tm_withdraw,
            withdrawn_by: stored.withdrawn_by,
            tm_lift: stored.tm_lift,
            lifted_by: stored.lifted_by,
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
            receipts: stored.receipts,
            round: stored.round,
            participants: stored.participants.into_iter().map(Into::into).collect(),
            tm_complete: stored.tm_complete,
        }
    }
}

fn request(stored: &ErasureAttributes) -> Option<ErasureRequest> {
    Some(ErasureRequest {
        reason: stored.reason?,
        by: stored.requested_by?,
        tm_request: stored.tm_request?,
        tm_due: stored.tm_due?,
        plan: stored.plan.clone(),
    })
}

impl Stored for Erasure {
    type Attributes = ErasureAttributes;
}

/// Attributes of an earlier erasure, which a new request to erase the account removes.
const EARLIER: [&str; 11] = [
    "tm_withdraw",
    "withdrawn_by",
    "tm_claim",
    "tm_finish",
    "found",
    "deleted",
    "counted_to",
    "quarantined",
    "last_error",
    "participants",
    "tm_complete",
];

/// An update of an account's row in the ledger.
#[derive(Debug)]
pub(super) struct LedgerUpdate {
    pub(super) customer: Id<Customer>,
    pub(super) update: UpdateExpression,
    pub(super) condition: Option<Condition>,
}

impl LedgerUpdate {
    /// Returns the update of the ledger that belongs to a change of an account; `None` if the ledger does not
    /// record the change.
    pub(super) fn of(change: &CustomerChange) -> Result<Option<Self>, Error> {
        let Some(entry) = &change.entry else { return Ok(None) };
        let customer = change.after.id;
        let update = update(customer, entry, change.after.internals.epoch)?;
        Ok(Some(Self { customer, update, condition: None }))
    }
}

/// Returns the update that records `entry` in the ledger row of `customer`. `epoch` is the number of the
/// purge's latest claim of the account.
fn update(
    customer: Id<Customer>,
    entry: &LedgerEntry,
    epoch: u64,
) -> Result<UpdateExpression, Error> {
    let row = UpdateExpression::default().set("customer_id", customer)?;
    match entry {
        LedgerEntry::Requested(request) => row
            .set("reason", request.reason)?
            .set("requested_by", request.by)?
            .set("tm_request", request.tm_request)?
            .set("tm_due", request.tm_due)?
            .set("attempts", 0)?
            .set_or_remove("plan", request.plan.as_ref())
            .map(|row| row.remove(&EARLIER)),
        LedgerEntry::Withdrawn(now, by) => row.set("tm_withdraw", now)?.set("withdrawn_by", by),
        LedgerEntry::Held(holds) => Ok(set_holds(row, holds)?.remove(&["tm_lift", "lifted_by"])),
        LedgerEntry::Lifted { left, now, by, due } => {
            let row = set_holds(row, left)?.set("tm_lift", now)?.set("lifted_by", by)?;
            match due {
                Some(due) => row.set("tm_due", due),
                None => Ok(row),
            }
        }
        LedgerEntry::ErasedAgain(now, round) => {
            let is_earlier = |name: &&str| !["tm_claim", "participants"].contains(name);
            let earlier: Vec<_> = EARLIER.into_iter().filter(is_earlier).collect();
            begin(row.remove(&earlier), round)?
                .set("reason", Reason::Restored)?
                .set("requested_by", Actor::PURGE)?
                .set("tm_request", now)?
                .set("tm_due", now)?
                .set("tm_claim", now)?
                .set("epoch", epoch)?
                .set("attempts", 1)
        }
        LedgerEntry::Claimed(now, round) => {
            let row = row.set("epoch", epoch)?.set_first("tm_claim", now)?.increment("attempts")?;
            match round {
                Some(round) => begin(row, round),
                None => Ok(row),
            }
        }
    }
}

/// Adds the beginning of a [`Round`] of the erasure, with its participants, to an update. The first round's number is
/// not stored, so that erasures without participants need no further attributes.
fn begin(row: UpdateExpression, round: &Round) -> Result<UpdateExpression, Error> {
    let participants: Vec<_> =
        round.participants.iter().map(ParticipatingAttributes::from).collect();
    let row =
        row.set_or_remove("participants", (!participants.is_empty()).then_some(participants))?;
    if round.number > 1 { row.set("round", round.number) } else { Ok(row) }
}

fn set_holds(row: UpdateExpression, holds: &Holds) -> Result<UpdateExpression, Error> {
    row.set_or_remove("holds", hold::list(holds))
}

/// The condition that the erasure waits for participants: its purge has finished in this [`Round`], and there is no
/// final receipt yet. A row without a round number is in the first round.
fn awaiting(round: u64) -> Condition {
    let first = if round == first_round() { " OR attribute_not_exists(#round)" } else { "" };
    let current = [(":round", number(round))];
    let unsigned = "attribute_exists(tm_finish) AND attribute_not_exists(tm_complete)";
    Condition::new(&format!("(#round = :round{first}) AND {unsigned}"), current)
}

/// A position among the erasures that finished within a month, after which a page starts.
#[derive(Debug)]
pub struct FinishedCursor(Item);

impl Transaction<'_> {
    /// Adds the update of an account's row in the ledger. The row is created if it does not exist, unless the condition
    /// requires that it exists.
    pub(super) fn update_ledger(self, row: LedgerUpdate) -> Result<Self, Error> {
        let address = key::erasure(row.customer).address();
        self.update(address, &row.update, row.condition.as_ref())
    }
}

impl Store {
    /// Reads an account's row in the ledger; `None` if no erasure was ever requested and no hold placed.
    pub async fn get_erasure(&self, customer: Id<Customer>) -> Result<Option<Erasure>, Error> {
        self.get_stored(&key::erasure(customer)).await
    }

    /// Appends the final receipt of an erasure that was complete at `when`, and puts `event` into the outbox.
    /// Changes nothing if there is a final receipt already, or if the account was restored meanwhile.
    pub async fn complete_erasure(
        &self,
        erasure: &Erasure,
        when: Timestamp,
        receipt: &SignedReceipt,
        event: &Event,
    ) -> Result<(), Error> {
        let row = LedgerUpdate {
            customer: erasure.customer,
            update: UpdateExpression::default()
                .set("tm_complete", when)?
                .append("receipts", &receipt.jws)?,
            condition: Some(awaiting(erasure.round)),
        };
        let event = OutboxEntry::erased(event, receipt.summary.clone());
        self.transaction().update_ledger(row)?.put_event(&event)?.run().await.map(drop)
    }

    /// Records that a finished erasure was undone on purpose by a restore: the account exists again, and is to be kept.
    /// Later restore replays, which erase restored accounts again, leave this account alone. The ledger keeps the
    /// request and the receipts.
    pub async fn reinstate(
        &self,
        customer: Id<Customer>,
        by: Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let earlier: Vec<_> = EARLIER
            .into_iter()
            .filter(|name| !name.starts_with("withdrawn") && *name != "tm_withdraw")
            .collect();
        let undone = UpdateExpression::default()
            .set("tm_withdraw", now)?
            .set("withdrawn_by", by)?
            .remove(&earlier)
            .remove(&["finished_pk", "finished_sk"]);
        let address = key::erasure(customer).address();
        self.update(address, &undone, &Condition::present()).await.map(drop)
    }

    /// Returns a page of the accounts whose erasure finished within a month, and the cursor of the next page;
    /// `None` after the last page.
    pub async fn list_finished(
        &self,
        month: Month,
        after: Option<FinishedCursor>,
    ) -> Result<(Vec<Id<Customer>>, Option<FinishedCursor>), Error> {
        #[derive(Deserialize)]
        struct Row {
            pk: String,
        }

        let query = self
            .query(Table::Erasures)
            .index_name("finished")
            .key_condition_expression("finished_pk = :month")
            .expression_attribute_values(":month", string(key::finished(month)))
            .set_exclusive_start_key(after.map(|cursor| cursor.0));
        let (rows, next) = page::<Row>(query).await?;
        let ids = rows.iter().map(|row| key::customer_of(&row.pk)).collect::<Result<_, _>>()?;
        Ok((ids, next.map(FinishedCursor)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(stored: Value) -> Erasure {
        serde_json::from_value::<ErasureAttributes>(stored).unwrap().into()
    }

    const CUSTOMER: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

    #[test]
    fn what_the_ledger_has_not_is_blank() {
        let customer = Id::parse(CUSTOMER).unwrap();
        let blank = format!("{:?}", Erasure::blank(customer));
        assert_eq!(format!("{:?}", read(json!({ "customer_id": CUSTOMER }))), blank);
    }

    #[test]
    fn whatever_the_ledger_has_is_read_and_none_is_taken_for_another() {
        let at = |second: u8| format!("2026-01-01T00:00:{second:02}Z");
        let time = |second: u8| Timestamp::parse(&at(second));
        let erasure = read(json!({
            "customer_id": CUSTOMER,
            "reason": "delete",
            "requested_by": Actor::ERASURE_REPLAY,
            "tm_request": at(1),
            "tm_due": at(2),
            "plan": "ab12",
            "tm_withdraw": at(3),
            "withdrawn_by": Actor::BOOTSTRAP,
            "tm_lift": at(4),
            "lifted_by": Actor::WEBHOOK_DELIVERY,
            "tm_claim": at(5),
            "tm_finish": at(6),
            "epoch": 7,
            "attempts": 8,
            "slices": 9,
            "found": {"numbers": 10},
            "deleted": {"numbers": 11},
            "counted_to": "NUMBER#1",
            "quarantined": 12,
            "last_error": "INTERNAL",
            "receipts": ["a.b.c"],
            "round": 13,
            "participants": [{"name": "files", "required": true, "timeout": 14}],
            "tm_complete": at(15),
        }));
        let request = erasure.request.unwrap();
        assert_eq!((request.reason, request.by), (Reason::Delete, Actor::ERASURE_REPLAY));
        assert_eq!((Some(request.tm_request), Some(request.tm_due)), (time(1), time(2)));
        assert_eq!(request.plan.as_deref(), Some("ab12"));
        let withdrawn = (erasure.tm_withdraw, erasure.withdrawn_by);
        assert_eq!(withdrawn, (time(3), Some(Actor::BOOTSTRAP)));
        let lifted = (erasure.tm_lift, erasure.lifted_by);
        assert_eq!(lifted, (time(4), Some(Actor::WEBHOOK_DELIVERY)));
        assert_eq!((erasure.tm_claim, erasure.tm_finish), (time(5), time(6)));
        assert_eq!((erasure.epoch, erasure.attempts, erasure.slices), (7, 8, 9));
        let counted = [&erasure.found, &erasure.deleted].map(|counts| counts.values().sum::<u64>());
        assert_eq!(counted, [10, 11]);
        assert_eq!(erasure.counted_to, InventoryCursor::of("NUMBER#1".to_owned()));
        assert_eq!((erasure.quarantined, erasure.last_error.as_deref()), (12, Some("INTERNAL")));
        assert_eq!((&erasure.receipts[..], erasure.round), (&["a.b.c".to_owned()][..], 13));
        let participant = &erasure.participants[0];
        assert_eq!((participant.name.as_str(), participant.required), ("files", true));
        assert_eq!(participant.timeout, Duration::from_secs(14));
        assert_eq!(erasure.tm_complete, time(15));
    }

    /// A stored erasure request that lacks a field is read as no request.
    #[test]
    fn a_request_is_whole_or_none_and_has_a_plan_or_none() {
        let whole = json!({
            "customer_id": CUSTOMER,
            "reason": "delete",
            "requested_by": Actor::PURGE,
            "tm_request": "2026-01-01T00:00:00Z",
            "tm_due": "2026-01-01T00:00:00Z",
        });
        assert_eq!(read(whole.clone()).request.unwrap().plan, None);
        for part in ["reason", "requested_by", "tm_request", "tm_due"] {
            let mut partial = whole.clone();
            partial.as_object_mut().unwrap().remove(part);
            assert!(read(partial).request.is_none(), "without {part}");
        }
    }
}

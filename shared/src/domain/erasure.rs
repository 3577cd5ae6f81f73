//! Erasures of accounts: requests, plans and progress. The ledger, a table of its own, records them without
//! personal data and keeps them after the account is gone.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::counts::{Counts, PlanDifference};
use super::error::Entity;
use super::hold::Holds;
use super::owned::Kind;
use super::participant::ParticipantName;
use super::participation::{Participating, Participation, Round};
use super::{Actor, Customer, Error, Id, Timestamp};

/// Why an account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The account's owner unregistered it, with a grace period.
    Unregister,
    /// The account's owner unregistered it at once.
    Immediate,
    /// An operator froze the account.
    Freeze,
    /// An operator deleted the account.
    Delete,
    /// The account had been erased before and came back when a backup of its table was restored.
    Restored,
}

/// A request to erase an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRequest {
    /// Why the account is to be erased.
    pub reason: Reason,
    /// Who requested the erasure.
    pub by: Actor,
    /// When it was requested.
    pub tm_request: Timestamp,
    /// When the erasure is due.
    pub tm_due: Timestamp,
    /// Hash of the [plan](Plan) that the account had to match when an operator deleted it; `None` if no plan
    /// was named.
    pub plan: Option<String>,
}

/// A change of an account's row in the ledger, written in the same transaction as the change of the account.
#[derive(Clone, Debug)]
pub enum LedgerEntry {
    /// The erasure was requested.
    Requested(ErasureRequest),
    /// The account was recovered, which withdraws the request: when, and by whom.
    Withdrawn(Timestamp, Actor),
    /// A hold was placed; contains all holds of the account, including the new one.
    Held(Holds),
    /// A hold was lifted.
    Lifted {
        /// The holds that remain.
        left: Holds,
        /// When the hold was lifted.
        now: Timestamp,
        /// Who lifted the hold.
        by: Actor,
        /// When the erasure is due now that the hold is lifted; `None` if no erasure is requested or other
        /// holds remain.
        due: Option<Timestamp>,
    },
    /// The purge claimed the account: when, and the [`Round`] of asking participants that this claim begins,
    /// or `None` if it continues one.
    Claimed(Timestamp, Option<Round>),
    /// The purge claimed an account that had been erased before and came back with a restored table: when,
    /// and the [`Round`] of asking participants that this claim begins.
    ErasedAgain(Timestamp, Round),
}

/// An account's row in the ledger: the request to erase it, its holds, and the progress of the erasure.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The account.
    pub customer: Id<Customer>,
    /// The last request to erase the account; `None` if the account was only held, or was deleted before the ledger
    /// existed.
    pub request: Option<ErasureRequest>,
    /// When the request was withdrawn; `None` if it was not.
    pub tm_withdraw: Option<Timestamp>,
    /// Who withdrew the request; `None` if it was not withdrawn.
    pub withdrawn_by: Option<Actor>,
    /// The holds that keep the account from being erased.
    pub holds: Holds,
    /// When a hold was last lifted; `None` if none ever was, or if a hold was placed since.
    pub tm_lift: Option<Timestamp>,
    /// Who lifted the hold at `tm_lift`; `None` if that is `None`.
    pub lifted_by: Option<Actor>,
    /// When the purge first claimed the account for this erasure; `None` until then.
    pub tm_claim: Option<Timestamp>,
    /// When the purge finished, so that nothing but the account's tombstone is left; `None` until then.
    pub tm_finish: Option<Timestamp>,
    /// The account's [epoch](super::customer::Internals::epoch) since the purge's last claim: the number of
    /// that claim.
    pub epoch: u64,
    /// Number of claims by the purge since the last request.
    pub attempts: u64,
    /// Number of slices (batches of up to [`SLICE`] items) of the account that the purge has counted, in all
    /// rounds.
    pub slices: u64,
    /// Number of the account's items that the purge has found, by kind. Items are counted before they are
    /// deleted.
    pub found: Counts,
    /// Number of items known to be deleted, by kind.
    pub deleted: Counts,
    /// Position in the account's inventory (its owned items, in key order) up to which items are counted. The
    /// items of the slice that was counted last may not be deleted yet.
    pub counted_to: InventoryCursor,
    /// Number of items of an unknown kind, which the purge leaves alone.
    pub quarantined: u64,
    /// Code of the purge's last failure; `None` if there was none.
    pub last_error: Option<String>,
    /// The signed receipts (JWS) of the account's erasures, the newest last.
    pub receipts: Vec<String>,
    /// Number of the current round: 1 at first, and one more whenever the account is erased again after a
    /// restore.
    pub round: u64,
    /// The participants (other systems that hold data about accounts) that this round asks to erase their
    /// data, copied from the registry of participants when the purge claimed the account.
    pub participants: Vec<Participating>,
    /// When the erasure was complete: the purge had finished, and every required participant had completed or
    /// been waived. `None` until the final receipt is signed, and always `None` if this round asks no
    /// participants.
    pub tm_complete: Option<Timestamp>,
}

/// A position in an account's inventory: all items that it owns, which are read and deleted in the order of
/// their sort keys. The default is the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InventoryCursor(String);

impl InventoryCursor {
    /// Returns the cursor at the item with this sort key.
    pub(crate) const fn of(sort_key: String) -> Self {
        Self(sort_key)
    }

    /// Returns the sort key at the cursor.
    pub(crate) fn sort_key(&self) -> &str {
        &self.0
    }
}

/// Stage of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// No erasure is requested, and no hold is left: the ledger has a row only because the account was held.
    None,
    /// An erasure is requested and not due yet.
    Scheduled,
    /// The request was withdrawn: the account was recovered, or it was erased, came back with a restored
    /// table, and was then kept.
    Withdrawn,
    /// Holds keep the account from being erased, whether an erasure is requested or not.
    Held,
    /// The erasure is due, and the purge has not claimed the account yet.
    Due,
    /// The purge has claimed the account and has not finished.
    Running,
    /// The purge has finished, so that nothing but the account's tombstone is left, but a required
    /// participant has yet to answer.
    Awaiting,
    /// The purge has finished, but a required participant has missed its deadline to answer.
    Incomplete,
    /// The purge has finished, and every required participant has completed or been waived.
    Finished,
}

impl Erasure {
    /// Returns an empty ledger row of this account.
    #[must_use]
    pub fn blank(customer: Id<Customer>) -> Self {
        Self {
            customer,
            request: None,
            tm_withdraw: None,
            withdrawn_by: None,
            holds: Holds::default(),
            tm_lift: None,
            lifted_by: None,
            tm_claim: None,
            tm_finish: None,
            epoch: 0,
            attempts: 0,
            slices: 0,
            found: Counts::new(),
            deleted: Counts::new(),
            counted_to: InventoryCursor::default(),
            quarantined: 0,
            last_error: None,
            receipts: Vec::new(),
            round: 1,
            participants: Vec::new(),
            tm_complete: None,
        }
    }

    /// Returns the row after one more slice was counted, which ends at `end`. The items of all earlier slices
    /// are deleted by then.
    #[must_use]
    pub fn with_slice(&self, counts: &Counts, end: InventoryCursor) -> Self {
        let mut found = self.found.clone();
        for (kind, count) in counts {
            *found.entry(*kind).or_default() += count;
        }
        let (deleted, slices) = (self.found.clone(), self.slices + 1);
        Self { found, deleted, slices, counted_to: end, ..self.clone() }
    }

    /// Returns the stage of the erasure at `now`, given the `parts` of its participants: what each was asked
    /// and has answered.
    #[must_use]
    pub fn stage(&self, parts: &[Participation], now: Timestamp) -> Stage {
        match &self.request {
            _ if self.is_awaiting() => {
                let is_late = self.current(parts).any(|part| part.is_overdue(now));
                if is_late { Stage::Incomplete } else { Stage::Awaiting }
            }
            _ if self.tm_finish.is_some() => Stage::Finished,
            _ if self.tm_claim.is_some() => Stage::Running,
            _ if !self.holds.is_empty() => Stage::Held,
            None => Stage::None,
            Some(_) if self.tm_withdraw.is_some() => Stage::Withdrawn,
            Some(request) if now < request.tm_due => Stage::Scheduled,
            Some(_) => Stage::Due,
        }
    }

    /// Whether the purge has finished but the final receipt is not signed yet, because required participants must
    /// answer first.
    #[must_use]
    pub fn is_awaiting(&self) -> bool {
        self.tm_finish.is_some()
            && self.tm_complete.is_none()
            && self.participants.iter().any(|one| one.required)
    }

    /// Returns those of the account's `parts` that belong to the current round.
    pub fn current<'a>(
        &self,
        parts: &'a [Participation],
    ) -> impl Iterator<Item = &'a Participation> + use<'a> {
        let round = self.round;
        parts.iter().filter(move |part| part.round == round)
    }

    /// Returns the part of the participant `name` in the current round; [`Error::NotFound`] if this round has
    /// not asked that participant.
    pub fn part(
        &self,
        name: &ParticipantName,
        parts: &[Participation],
    ) -> Result<Participation, Error> {
        let part = self.current(parts).find(|part| part.name == *name);
        part.cloned().ok_or(Error::NotFound(Entity::Participation))
    }

    /// Returns when an erasure that [awaits](Self::is_awaiting) required participants became complete: when
    /// the last of them completed or was waived, or when the purge finished if that was later. `None` if one
    /// has done neither yet, or if the erasure awaits none.
    #[must_use]
    pub fn completed_at(&self, parts: &[Participation]) -> Option<Timestamp> {
        let settled = |one| self.part_of(one, parts)?.settled_at();
        let finished = self.tm_finish.filter(|_| self.is_awaiting())?;
        let mut required = self.participants.iter().filter(|one| one.required);
        required.try_fold(finished, |last, one| Some(last.max(settled(one)?)))
    }

    /// Fails with [`Error::RoundOutdated`] if a participant's answer names another `round` than the current
    /// one; `None` stands for the current round.
    pub fn require_round(&self, round: Option<u64>) -> Result<(), Error> {
        match round {
            Some(round) if round != self.round => Err(Error::RoundOutdated(self.round)),
            _ => Ok(()),
        }
    }

    /// Returns the stage at `now` as it is shown to the account's owner, who does not learn of holds.
    #[must_use]
    pub fn stage_for_owner(&self, parts: &[Participation], now: Timestamp) -> Stage {
        Self { holds: Holds::default(), ..self.clone() }.stage(parts, now)
    }
}

/// A plan: how many items an erasure would delete, and the account's version and sequence number when they were
/// counted. The plan is current as long as neither the account nor what it owns has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    customer: Id<Customer>,
    version: u64,
    sequence: u64,
    /// Number of items that would be deleted, by kind, without short-lived kinds such as sessions.
    pub counts: Counts,
}

impl Plan {
    /// Returns the plan for an account that owns `counts`.
    #[must_use]
    pub fn new(customer: &Customer, counts: &Counts) -> Self {
        let lasting = counts.iter().filter(|(kind, _)| kind.is_announced());
        Self {
            customer: customer.id,
            version: customer.internals.version,
            sequence: customer.internals.sequence,
            counts: lasting.map(|(kind, count)| (*kind, *count)).collect(),
        }
    }

    /// Whether the account and what it owns are unchanged since the plan.
    #[must_use]
    pub fn is_current_for(&self, customer: &Customer) -> bool {
        let Customer { id, internals, .. } = customer;
        (self.customer, self.version, self.sequence) == (*id, internals.version, internals.sequence)
    }

    /// Returns how the account differs from the plan. Its items are compared only if `counted`, their current
    /// number by kind, is given.
    #[must_use]
    pub fn difference(&self, customer: &Customer, counted: Option<&Counts>) -> PlanDifference {
        let count = |counts: &Counts, kind| counts.get(&kind).copied().unwrap_or_default();
        let compare = |counted| {
            let both =
                planned().map(|kind| (kind, (count(&self.counts, kind), count(counted, kind))));
            both.filter(|(_, (planned, found))| planned != found).collect()
        };
        PlanDifference {
            account_changed: self.version != customer.internals.version,
            counts: counted.map(compare).unwrap_or_default(),
        }
    }

    /// Returns the plan as text, `<version>.<sequence>.<count>.….<SHA-256>`: the account's version and
    /// sequence number when the plan was made, the counts in the order of [`Kind::ALL`], and a hash that
    /// binds them to the account.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = self.numbers();
        let _ = write!(digest, ".{}", self.hash());
        digest
    }

    /// Returns the hash at the end of the [digest](Self::digest): 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let text = format!("erasure plan {} {}", self.customer, self.numbers());
        data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
    }

    /// Returns the plan that has this [digest](Self::digest); `None` if `digest` is malformed or of another
    /// account.
    #[must_use]
    pub fn parse(digest: &str, customer: Id<Customer>) -> Option<Self> {
        let (numbers, _) = digest.rsplit_once('.')?;
        let mut numbers = numbers.split('.').map(|number| number.parse::<u64>().ok());
        let (version, sequence) = (numbers.next()??, numbers.next()??);
        let mut counts = Counts::new();
        for kind in planned() {
            match numbers.next()?? {
                0 => {}
                count => drop(counts.insert(kind, count)),
            }
        }
        let plan = Self { customer, version, sequence, counts };
        (plan.digest() == digest).then_some(plan)
    }

    fn numbers(&self) -> String {
        let counts = planned().map(|kind| self.counts.get(&kind).copied().unwrap_or_default());
        let mut text = format!("{}.{}", self.version, self.sequence);
        counts.for_each(|count| {
            let _ = write!(text, ".{count}");
        });
        text
    }
}

/// Returns the kinds of items that a plan counts: all but the short-lived ones.
fn planned() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_announced())
}

/// Returns why a deletion of the account would be refused now, as the reason codes that errors have.
#[must_use]
pub fn blockers(customer: &Customer) -> Vec<&'static str> {
    let system = customer.internals.system.then_some("LAST_PROJECT_ADMIN");
    let hold = (!customer.internals.holds.is_empty()).then_some("LEGAL_HOLD");
    system.into_iter().chain(hold).collect()
}

/// Maximum number of items in a slice: a batch that the purge counts in one transaction, together with the
/// events that announce the deletion, and then deletes. Larger slices cost less; after a crash, the next run
/// repeats at most one.
pub const SLICE: usize = 500;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::hold::{Hold, HoldName};
    use crate::domain::participation::{Answer, AnswerStatus, Answered};

    fn customer() -> Customer {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        Customer::blank(Id::new(now, [7; 10]), now)
    }

    fn at(hours: u64) -> Timestamp {
        customer().tm_create.plus(Duration::from_hours(hours))
    }

    fn holds() -> Holds {
        let hold = Hold { reason: "case 7".to_owned(), by: Actor::PURGE, tm_hold: at(0) };
        Holds::default().with(HoldName::default_name(), hold)
    }

    /// Returns an erasure that is due two hours after it was requested.
    fn requested() -> Erasure {
        let request = ErasureRequest {
            reason: Reason::Freeze,
            by: Actor::PURGE,
            tm_request: at(0),
            tm_due: at(2),
            plan: None,
        };
        Erasure { request: Some(request), ..Erasure::blank(customer().id) }
    }

    /// Returns an erasure whose purge finished after an hour, and the parts of its participants; `asked` has
    /// each participant's name and whether it is required.
    fn finished(asked: &[(&str, bool)]) -> (Erasure, Vec<Participation>) {
        let participating = |(name, required): &(&str, bool)| Participating {
            name: ParticipantName::parse(name).unwrap(),
            required: *required,
            timeout: Duration::from_hours(24),
        };
        let participants: Vec<_> = asked.iter().map(participating).collect();
        let part = |one| Participation::new(customer().id, 2, one, at(0), at(0));
        let parts = participants.iter().map(part).collect();
        let (tm_claim, tm_finish) = (Some(at(0)), Some(at(1)));
        let row = Erasure { tm_claim, tm_finish, round: 2, ..Erasure::blank(customer().id) };
        (Erasure { participants, ..row }, parts)
    }

    fn completed(part: &Participation, hour: u64) -> Participation {
        let status = AnswerStatus::Completed;
        let (retained, detail) = (Vec::new(), String::new());
        let answer = Answer { status, found: 1, deleted: 1, retained, detail };
        match part.answered(answer, Actor::PURGE, at(hour)).unwrap() {
            Answered::Changed(part) => *part,
            Answered::Unchanged => panic!("unchanged"),
        }
    }

    fn waived(part: &Participation, hour: u64) -> Participation {
        match part.waived("closed".to_owned(), Actor::PURGE, at(hour)) {
            Answered::Changed(part) => *part,
            Answered::Unchanged => panic!("unchanged"),
        }
    }

    #[test]
    fn stages_follow_request_holds_claim_and_finish_and_owners_do_not_see_holds() {
        let (blank, due) = (Erasure::blank(customer().id), requested());
        let held = |row: &Erasure| Erasure { holds: holds(), ..row.clone() };
        let withdrawn = Erasure { tm_withdraw: Some(at(1)), ..due.clone() };
        let claimed = Erasure { tm_claim: Some(at(2)), ..due.clone() };
        let finished = Erasure { tm_finish: Some(at(3)), ..claimed.clone() };
        for (row, hour, stage, owner) in [
            (&blank, 9, Stage::None, Stage::None),
            (&held(&blank), 9, Stage::Held, Stage::None),
            (&due, 1, Stage::Scheduled, Stage::Scheduled),
            (&due, 2, Stage::Due, Stage::Due),
            (&due, 3, Stage::Due, Stage::Due),
            (&held(&due), 1, Stage::Held, Stage::Scheduled),
            (&held(&due), 2, Stage::Held, Stage::Due),
            (&withdrawn, 1, Stage::Withdrawn, Stage::Withdrawn),
            (&withdrawn, 9, Stage::Withdrawn, Stage::Withdrawn),
            (&held(&withdrawn), 1, Stage::Held, Stage::Withdrawn),
            (&held(&claimed), 2, Stage::Running, Stage::Running),
            (&held(&finished), 3, Stage::Finished, Stage::Finished),
        ] {
            let stages = (row.stage(&[], at(hour)), row.stage_for_owner(&[], at(hour)));
            assert_eq!(stages, (stage, owner), "{row:?} after {hour} hours");
        }
    }

    #[test]
    fn a_slice_is_found_and_those_before_it_are_deleted() {
        let cursor = |key: &str| InventoryCursor::of(key.to_owned());
        let first = [(Kind::Agent, 2), (Kind::Number, 3)].into();
        let second = [(Kind::Number, 4), (Kind::Flow, 5)].into();
        let once = Erasure::blank(customer().id).with_slice(&first, cursor("NUMBER#3"));
        assert_eq!((&once.found, &once.deleted, once.slices), (&first, &Counts::new(), 1));
        let twice = once.with_slice(&second, cursor("NUMBER#7"));
        let found = [(Kind::Agent, 2), (Kind::Number, 7), (Kind::Flow, 5)].into();
        assert_eq!((&twice.found, &twice.deleted, twice.slices), (&found, &first, 2));
        assert_eq!(twice.counted_to.sort_key(), "NUMBER#7");
    }

    #[test]
    fn an_erasure_awaits_required_participants_and_is_incomplete_past_their_deadlines() {
        let (row, mut parts) = finished(&[("carrier", true), ("files", true), ("tags", false)]);
        assert_eq!(row.stage(&parts, at(2)), Stage::Awaiting);
        assert_eq!(row.stage(&parts, at(24)), Stage::Incomplete);
        parts[0] = completed(&parts[0], 3);
        assert_eq!(
            (row.completed_at(&parts), row.stage(&parts, at(24))),
            (None, Stage::Incomplete)
        );
        parts[1] = waived(&parts[1], 30);
        assert_eq!(row.completed_at(&parts), Some(at(30)));
        assert_eq!(row.stage(&parts, at(31)), Stage::Awaiting, "its receipt is not signed");
        let signed = Erasure { tm_complete: Some(at(30)), ..row.clone() };
        assert_eq!(
            (signed.stage(&parts, at(31)), signed.completed_at(&parts)),
            (Stage::Finished, None)
        );
        let running = Erasure { tm_finish: None, ..row };
        assert_eq!(
            (running.stage(&parts, at(31)), running.completed_at(&parts)),
            (Stage::Running, None)
        );
    }

    #[test]
    fn an_erasure_that_waits_for_nobody_is_finished_with_its_purge() {
        for asked in [&[] as &[_], &[("tags", false)]] {
            let (row, parts) = finished(asked);
            assert_eq!(
                (row.stage(&parts, at(30)), row.completed_at(&parts)),
                (Stage::Finished, None)
            );
        }
    }

    #[test]
    fn answers_before_the_purge_finished_complete_it_with_the_purge() {
        let (row, parts) = finished(&[("carrier", true)]);
        let early = [completed(&parts[0], 0)];
        assert_eq!(row.completed_at(&early), row.tm_finish);
    }

    #[test]
    fn only_parts_of_this_round_count() {
        let (row, parts) = finished(&[("carrier", true)]);
        let earlier = Participation { round: 1, ..completed(&parts[0], 3) };
        assert_eq!(row.completed_at(std::slice::from_ref(&earlier)), None, "not asked yet");
        assert_eq!(row.completed_at(&[earlier, parts[0].clone()]), None);
        assert!(row.require_round(None).is_ok() && row.require_round(Some(2)).is_ok());
        for other in [0, 1, 3] {
            assert!(matches!(row.require_round(Some(other)), Err(Error::RoundOutdated(2))));
        }
    }

    #[test]
    fn the_part_of_a_participant_is_that_of_this_round() {
        let (row, mut parts) = finished(&[("carrier", true), ("files", true)]);
        parts.insert(0, Participation { round: 1, ..parts[1].clone() });
        let part = |name| row.part(&ParticipantName::parse(name).unwrap(), &parts);
        assert_eq!(part("files").unwrap(), parts[2]);
        assert!(matches!(part("tags"), Err(Error::NotFound(Entity::Participation))));
    }

    #[test]
    fn a_deletion_is_blocked_by_a_hold_and_for_the_project_account() {
        for (system, holds, blocked) in [
            (false, Holds::default(), &[] as &[_]),
            (false, holds(), &["LEGAL_HOLD"]),
            (true, Holds::default(), &["LAST_PROJECT_ADMIN"]),
            (true, holds(), &["LAST_PROJECT_ADMIN", "LEGAL_HOLD"]),
        ] {
            let mut customer = customer();
            (customer.internals.system, customer.internals.holds) = (system, holds);
            assert_eq!(blockers(&customer), blocked);
        }
    }

    #[test]
    fn a_plan_differs_in_the_account_and_in_the_kinds_of_other_numbers() {
        let counts = |agents, flows| [(Kind::Agent, agents), (Kind::Flow, flows)].into();
        let plan = Plan::new(&customer(), &counts(1, 2));
        let difference = |customer: &Customer, counted: Option<&Counts>| {
            let difference = plan.difference(customer, counted);
            (difference.account_changed, difference.counts)
        };
        assert_eq!(difference(&customer(), None), (false, [].into()));
        assert_eq!(difference(&customer(), Some(&counts(1, 2))), (false, [].into()));
        let found = [(Kind::Flow, 3), (Kind::Agent, 1), (Kind::Tag, 4), (Kind::Session, 5)].into();
        let differ = [(Kind::Flow, (2, 3)), (Kind::Tag, (0, 4))].into();
        assert_eq!(difference(&customer(), Some(&found)), (false, differ));
        let mut changed = customer();
        changed.internals.version += 1;
        assert_eq!(difference(&changed, None), (true, [].into()));
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let counts = [(Kind::Agent, 2), (Kind::Number, 1_000_000), (Kind::Session, 9)].into();
        let plan = Plan::new(&customer(), &counts);
        assert_eq!(Plan::parse(&plan.digest(), customer().id), Some(plan.clone()));
        assert!(plan.is_current_for(&customer()));
        assert!(!plan.counts.contains_key(&Kind::Session));
    }

    #[test]
    fn a_plan_holds_for_one_account_as_it_was() {
        let plan = Plan::new(&customer(), &Counts::new());
        let digest = plan.digest();
        let other = Id::new(Timestamp::from_micros(0).unwrap(), [8; 10]);
        assert_eq!(Plan::parse(&digest, other), None);
        for wrong in
            ["", "1", "x.y", &digest[1..], &format!("{digest}0"), &digest.replace("0.", "1.")]
        {
            assert_eq!(Plan::parse(wrong, customer().id), None, "{wrong}");
        }
        let mut changed = customer();
        changed.internals.sequence += 1;
        assert!(!plan.is_current_for(&changed));
        changed = customer();
        changed.internals.version += 1;
        assert!(!plan.is_current_for(&changed));
    }
}

//! The erasure of an account: who asked for it, what it will take, how far it is. The ledger keeps this,
//! without personal data, when the account itself is gone.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::counts::{Counts, PlanDifference};
use super::hold::Hold;
use super::owned::Kind;
use super::requester::Requester;
use super::{Customer, Id, Timestamp};

/// Why an account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its owner left, with grace.
    Unregister,
    /// Its owner left at once.
    Immediate,
    /// An operator froze it.
    Freeze,
    /// An operator deleted it.
    Delete,
    /// It had been erased before, and came back with a restored table.
    Restored,
}

/// The wish that an account be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRequest {
    /// Why.
    pub reason: Reason,
    /// Who asks.
    pub by: Requester,
    /// When.
    pub tm_request: Timestamp,
    /// When the erasure is due.
    pub tm_due: Timestamp,
    /// The hash of the plan that it is bound to, if it is bound to one.
    pub plan: Option<String>,
}

/// What the ledger is told in the transaction of a transition.
#[derive(Clone, Debug)]
pub enum LedgerEntry {
    /// Somebody asked.
    Requested(ErasureRequest),
    /// The account was recovered.
    Withdrawn(Timestamp),
    /// An order to keep the account was given.
    Held(Hold),
    /// The order was lifted; when the erasure is due now, if it is scheduled.
    Lifted(Timestamp, Option<Timestamp>),
    /// The purge took the account.
    Claimed(Timestamp),
    /// The purge took an account that had been erased before, and came back with a restored table.
    ErasedAgain(Timestamp),
}

/// The ledger's row of one account.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The account.
    pub customer: Id<Customer>,
    /// What was asked for last; none if the account is only held, or if the ledger is younger.
    pub request: Option<ErasureRequest>,
    /// When the request was withdrawn, if it was.
    pub tm_withdraw: Option<Timestamp>,
    /// The order that the account must not be erased, if there is one.
    pub hold: Option<Hold>,
    /// When the purge first took the account.
    pub tm_claim: Option<Timestamp>,
    /// When nothing was left.
    pub tm_finish: Option<Timestamp>,
    /// The epoch of the account at the purge's last claim.
    pub epoch: u64,
    /// How often the purge has taken the account.
    pub attempts: u64,
    /// How many slices were counted.
    pub slices: u64,
    /// What was found, and counted, before it was deleted.
    pub found: Counts,
    /// What is known to be deleted.
    pub deleted: Counts,
    /// Up to here, all that the account owned was counted, whether it is deleted yet or not.
    pub counted_to: InventoryCursor,
    /// Things that the purge does not know and therefore leaves alone.
    pub quarantined: u64,
    /// What went wrong last, in a word.
    pub last_error: Option<String>,
    /// The signed receipt of the last erasure.
    pub receipt: Option<String>,
}

/// A place in the order in which what an account owns is read and deleted; the first is before
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InventoryCursor(String);

impl InventoryCursor {
    /// The place of what has this sort key.
    pub(crate) const fn of(sort_key: String) -> Self {
        Self(sort_key)
    }

    /// The sort key.
    pub(crate) fn sort_key(&self) -> &str {
        &self.0
    }
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody asked; the account is only held.
    None,
    /// Asked for, not due yet.
    Scheduled,
    /// Recovered before it was due.
    Withdrawn,
    /// An order keeps the account.
    Held,
    /// Due, and not begun.
    Due,
    /// Under way.
    Running,
    /// Nothing is left.
    Finished,
}

impl Erasure {
    /// A row that says nothing yet.
    #[must_use]
    pub fn blank(customer: Id<Customer>) -> Self {
        Self {
            customer,
            request: None,
            tm_withdraw: None,
            hold: None,
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
            receipt: None,
        }
    }

    /// The row once another slice is written down, which ends here. Of what was counted before, nothing
    /// is left.
    #[must_use]
    pub fn with_slice(&self, counts: &Counts, end: InventoryCursor) -> Self {
        let mut found = self.found.clone();
        for (kind, count) in counts {
            *found.entry(*kind).or_default() += count;
        }
        let (deleted, slices) = (self.found.clone(), self.slices + 1);
        Self { found, deleted, slices, counted_to: end, ..self.clone() }
    }

    /// How far the erasure is at `now`.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> Stage {
        match &self.request {
            _ if self.tm_finish.is_some() => Stage::Finished,
            _ if self.tm_claim.is_some() => Stage::Running,
            _ if self.hold.is_some() => Stage::Held,
            None => Stage::None,
            Some(_) if self.tm_withdraw.is_some() => Stage::Withdrawn,
            Some(request) if now < request.tm_due => Stage::Scheduled,
            Some(_) => Stage::Due,
        }
    }
}

/// What an erasure would do, and what it was counted at. As long as neither the account nor what it owns
/// has changed, the plan is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    customer: Id<Customer>,
    version: u64,
    sequence: u64,
    /// What would be deleted. Sessions come and go and are not counted on.
    pub counts: Counts,
}

impl Plan {
    /// The plan for an account that owns this much.
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

    /// Whether the account, and what it owns, are as they were planned on.
    #[must_use]
    pub fn is_current_for(&self, customer: &Customer) -> bool {
        let Customer { id, internals, .. } = customer;
        (self.customer, self.version, self.sequence) == (*id, internals.version, internals.sequence)
    }

    /// How the account differs from the plan. What it owns is compared if it was counted.
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

    /// The plan in short: what it was counted at, and a hash that binds it to the account.
    /// `<version>.<sequence>.<count>.….<SHA-256>`, counts in the order of [`Kind::ALL`].
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = self.numbers();
        let _ = write!(digest, ".{}", self.hash());
        digest
    }

    /// The hash alone: 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let text = format!("erasure plan {} {}", self.customer, self.numbers());
        data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
    }

    /// Reads the digest of a plan for this account; `None` if it is not one.
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

/// The kinds that a plan counts.
fn planned() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_announced())
}

/// What stands in the way of an erasure: the reasons that a deletion would be refused with.
#[must_use]
pub fn blockers(customer: &Customer) -> Vec<&'static str> {
    let system = customer.internals.system.then_some("LAST_PROJECT_ADMIN");
    let hold = customer.internals.hold.as_ref().map(|_| "LEGAL_HOLD");
    system.into_iter().chain(hold).collect()
}

/// How many things are counted, told of and deleted together. Larger slices cost less; a smaller one is
/// all that a crash makes the next run look at twice.
pub const SLICE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        Customer::blank(Id::new(now, [7; 10]), now)
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

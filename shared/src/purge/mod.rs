//! The purge: deletes everything that an account owns once the account's deletion is due. All that is left is
//! a tombstone (the few fields that are kept of a deleted account) and a signed receipt.
//!
//! The work queue is the sparse index `due`. An account enters it when it is frozen or deleted and leaves it
//! in the last transaction of its purge, so each run resumes whatever an earlier run left unfinished. The
//! purge of an account has three steps:
//!
//! 1. *Claim*: one transaction takes the account for this run. If the account is frozen, the transaction
//!    deletes it: it reduces the account to its tombstone and emits the event. From here on nothing can be
//!    added to the account. The claim increments the account's epoch, a fencing token on which each later
//!    write of the ledger is conditioned, so a run that claimed the account earlier can no longer count
//!    anything. A circuit breaker limits how many purges may begin within an hour; it does not stop those
//!    that have begun. The claim also copies the list of participants (other systems that keep data for
//!    accounts), which the run then asks to erase their data.
//! 2. *Cascade*: the account's items are deleted in slices. A *slice* is what one transaction can count: it
//!    writes the counts to the ledger (the record of the erasure), puts the events into the outbox, and frees
//!    the user names of agents. Then the items are deleted. The claim itself counts the first slice. The
//!    ledger keeps the cursor up to which everything is counted; a run that resumes deletes what is left
//!    below the cursor without counting it again, so each item is counted once.
//! 3. *Verify*: another pass finds nothing but the tombstone. One transaction writes the receipt and takes
//!    the account out of the queue. If participants have not answered by then, another receipt follows.
//!
//! All reads are consistent and nothing can be added after the claim, so a page of items misses none.
//!
//! A *job* is the purge of one account within one run. A *lane* runs one job at a time; a run has several
//! lanes. A job that is not done after one *turn*, a fixed number of pages, yields its lane to another job.

mod claim;
pub mod controls;
mod job;
mod lanes;
mod queue;
mod slice;

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::app::{App, Build};
use crate::bus::Bus;
use crate::domain::{Customer, Error, Id, Timestamp};
use crate::platform::metrics::Metric;
use crate::platform::{Deadline, config, metrics};
use crate::signature::Signer;
use crate::store::root::CustomerAttributes;
use crate::store::{Store, fields};
use queue::PurgeQueue;

/// Context of the purge: store, signer, bus and limits.
#[derive(Debug)]
pub struct Purger {
    /// Store, clock and randomness.
    pub app: App,
    signer: Signer,
    bus: Bus,
    /// Names of the account's own fields that the purge blanks. The receipt lists them.
    erased: Vec<&'static str>,
    /// Whether purging is switched on.
    enabled: bool,
    /// Maximum number of purges that begin within one hour.
    breaker: u64,
}

impl Build for Purger {
    fn build() -> Result<Self, Error> {
        let (breaker, enabled) = (config::breaker()?, config::purge_enabled()?);
        Ok(Self { enabled, ..Self::new(App::build()?, Signer::build()?, Bus::build()?, breaker) })
    }
}

impl Purger {
    /// Returns a purger that is switched on and begins at most `breaker` purges within one hour.
    #[must_use]
    pub fn new(app: App, signer: Signer, bus: Bus, breaker: u64) -> Self {
        let erased = fields::blanked::<CustomerAttributes>();
        Self { app, signer, bus, erased, enabled: true, breaker }
    }
}

/// Result of one purge run.
#[derive(Debug, Default, Serialize)]
pub struct PurgeRun {
    /// Number of due accounts that the run found in the queue.
    pub due: u64,
    /// Number of accounts whose purge began.
    pub claimed: u64,
    /// Number of accounts whose purge ended with a receipt.
    pub finished: u64,
    /// Number of owned items that were deleted.
    pub deleted: u64,
    /// Number of accounts that are left with items of an unknown kind; their purge does not end.
    pub quarantined: u64,
    /// Number of accounts whose purge failed; the next run tries again.
    pub failed: u64,
    /// How long the longest-waiting account has been due, in seconds.
    pub oldest_overdue_seconds: u64,
    /// Whether the deadline left work for the next run.
    pub unfinished: bool,
    /// Whether the limit of purges per hour kept an account waiting.
    pub breaker_open: bool,
    /// Whether purging is switched off.
    pub stopped: bool,
}

/// Purges every account whose deletion is due, until none is left or `deadline` is near.
pub async fn purge_due(purger: &Purger, deadline: Deadline) -> Result<PurgeRun, Error> {
    let queue = PurgeQueue::open(&purger.app.store, purger.app.now()).await?;
    purge(purger, queue, deadline).await
}

/// Purges account `id` if its deletion is due and no run has claimed it yet. A claimed account is left to
/// [`purge_due`].
pub async fn purge_one(
    purger: &Purger,
    id: Id<Customer>,
    deadline: Deadline,
) -> Result<PurgeRun, Error> {
    purge(purger, PurgeQueue::of_one(id, purger.app.now()), deadline).await
}

async fn purge(
    purger: &Purger,
    mut queue: PurgeQueue,
    deadline: Deadline,
) -> Result<PurgeRun, Error> {
    let mut run = PurgeRun { stopped: !purger.enabled, ..PurgeRun::default() };
    let worker = Worker { purger, deadline, counters: Counters::default() };
    let result = if purger.enabled { worker.drain(&mut queue, &mut run).await } else { Ok(()) };
    run.due = queue.due();
    run.oldest_overdue_seconds = queue.oldest_overdue().as_secs();
    run.claimed = worker.counters.claimed.into_inner();
    run.deleted = worker.counters.deleted.into_inner();
    metrics::emit(purger.app.now(), &run.metrics());
    result.map(|()| run)
}

impl PurgeRun {
    /// Returns the run's metrics, which the alarms watch.
    fn metrics(&self) -> [Metric; 9] {
        [
            ("PurgeDue", "Count", self.due),
            ("PurgeClaimed", "Count", self.claimed),
            ("PurgeFinished", "Count", self.finished),
            ("PurgeDeletedItems", "Count", self.deleted),
            ("PurgeQuarantined", "Count", self.quarantined),
            ("PurgeFailed", "Count", self.failed),
            ("PurgeOldestOverdue", "Seconds", self.oldest_overdue_seconds),
            ("PurgeBreakerOpen", "Count", u64::from(self.breaker_open)),
            ("PurgeStopped", "Count", u64::from(self.stopped)),
        ]
    }
}

/// State that the jobs of one run share.
struct Worker<'a> {
    purger: &'a Purger,
    deadline: Deadline,
    counters: Counters,
}

/// Counters to which concurrent jobs add.
#[derive(Default)]
struct Counters {
    claimed: AtomicU64,
    deleted: AtomicU64,
}

impl Worker<'_> {
    const fn store(&self) -> &Store {
        &self.purger.app.store
    }

    fn now(&self) -> Timestamp {
        self.purger.app.now()
    }

    fn add_claimed(&self) {
        self.counters.claimed.fetch_add(1, Ordering::Relaxed);
    }

    fn add_deleted(&self, count: usize) {
        self.counters.deleted.fetch_add(count as u64, Ordering::Relaxed);
    }
}

//! The cascade that leaves a tombstone, a receipt, and nothing else.
//!
//! The work queue is the index `due`. An account enters it when it is frozen or deleted and leaves it
//! last of all, so a run that dies anywhere is resumed by the next one:
//!
//! 1. *Claim*: a frozen account whose date has come is deleted, wiped to its tombstone and told of, in
//!    one transaction. From here on nothing can be added to it. The claim moves the account's epoch on:
//!    a run that held it before can count nothing any more. How many purges may begin within an hour is
//!    limited (the breaker); what has begun goes on.
//! 2. *Cascade*: page by page and slice by slice, what is about to go is written down in one transaction
//!    (counted in the ledger, told of in the outbox, user names freed), then goes. The first slice is
//!    written down by the claim itself. The ledger keeps the place up to which all is counted; whoever
//!    resumes only deletes what is left there, so each thing is counted once.
//! 3. *Verify*: another pass finds nothing but the tombstone. Then the receipt is signed and the account
//!    leaves the queue, in one transaction.
//!
//! All reads are consistent: a slice is all that was there up to its end, and nothing can be added.

use std::collections::{BTreeMap, VecDeque};
use std::iter::{from_fn, once};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use uuid::Uuid;

use crate::app::{App, Build};
use crate::domain::erasure::{Counts, InventoryCursor, LedgerEntry, SLICE};
use crate::domain::event::EventType;
use crate::domain::lifecycle::{Change, Command, Transition, decide};
use crate::domain::owned::Kind;
use crate::domain::receipt::Receipt;
use crate::domain::{Customer, Erasure, Error, Event, Id, Timestamp};
use crate::platform::{Deadline, config, metrics};
use crate::signature::Signer;
use crate::store::customer::{Claim, CustomerAttributes};
use crate::store::due::{Due, Part};
use crate::store::erasure::CountedSlice;
use crate::store::owned::{Owned, OwnedPage};
use crate::store::queue::QueueCursor;
use crate::store::{Update, fields};

/// How many accounts are worked on at the same time.
const LANES: usize = 4;

/// How many pages of one account are deleted before others get their turn.
const TURN: usize = 8;

/// How many agents one slice may have: the user name and the attempts of each are two more legs of its
/// transaction, which may have a hundred.
const AGENTS: usize = 40;

/// Purges accounts.
#[derive(Debug)]
pub struct Purger {
    /// The tables and the time.
    pub app: App,
    signer: Signer,
    /// The account's own fields that are erased.
    erased: Vec<&'static str>,
    /// Whether anything is purged at all.
    enabled: bool,
    /// How many purges may begin within one hour.
    breaker: u64,
}

impl Build for Purger {
    fn build() -> Result<Self, Error> {
        let breaker = config::required("BREAKER_ACCOUNTS")?;
        let breaker = breaker
            .parse()
            .map_err(|_| Error::Internal("BREAKER_ACCOUNTS is not a number".to_owned()))?;
        let enabled = config::required("PURGE_ENABLED")? == "true";
        Ok(Self { enabled, ..Self::new(App::build()?, Signer::build()?, breaker) })
    }
}

impl Purger {
    /// A purger that is enabled and begins at most `breaker` purges within one hour.
    #[must_use]
    pub fn new(app: App, signer: Signer, breaker: u64) -> Self {
        let erased = fields::blanked::<CustomerAttributes>();
        Self { app, signer, erased, enabled: true, breaker }
    }
}

/// What one run did, and what it saw.
#[derive(Debug, Default, Serialize)]
pub struct PurgeRun {
    /// Accounts in the queue that were due.
    pub due: u64,
    /// Accounts whose purge began.
    pub claimed: u64,
    /// Accounts whose purge ended, with a receipt.
    pub finished: u64,
    /// Things deleted that accounts owned.
    pub deleted: u64,
    /// Accounts that own something which the purge does not know; they are not finished.
    pub quarantined: u64,
    /// Accounts that could not be purged; the next run tries again.
    pub failed: u64,
    /// For how many seconds the account that has waited longest has been due.
    pub oldest_overdue_seconds: u64,
    /// Whether the run stopped before its deadline with work left for the next one.
    pub unfinished: bool,
    /// Whether as many purges as may begin within an hour have begun.
    pub breaker_open: bool,
    /// Whether purging is switched off.
    pub stopped: bool,
}

/// The purge of one account under way.
struct Job {
    account: Customer,
    ledger: Erasure,
    /// What the next page was already read to be.
    page: Option<OwnedPage>,
    pass: Pass,
}

/// A way through everything an account owns, from the beginning.
#[derive(Default)]
struct Pass {
    /// Whether there was something to delete.
    deleted: bool,
    /// How many unknown things it met.
    unknown: u64,
}

/// What an account has come to.
enum Progress {
    /// Nothing is left but the tombstone.
    Finished,
    /// Nothing is left but what the purge does not know.
    Quarantined,
    /// There is more to do than one turn.
    Long(Box<Job>),
    /// The deadline came first.
    Unfinished,
    /// The account is not due, or its purge has ended.
    NotDue,
    /// Another run has claimed the account.
    Overtaken,
    /// The account must wait for its purge to begin.
    BreakerOpen,
}

/// What lanes have done so far.
#[derive(Default)]
struct Tally {
    claimed: AtomicU64,
    deleted: AtomicU64,
}

/// Purges every account that is due, until none is left or the deadline is near.
pub async fn purge_due(purger: &Purger, deadline: Deadline) -> Result<PurgeRun, Error> {
    let queue = PurgeQueue::open(purger).await?;
    purge(purger, queue, deadline).await
}

/// Purges one account, if it is due and its purge has not begun: what has begun is the queue's.
pub async fn purge_one(
    purger: &Purger,
    id: Id<Customer>,
    deadline: Deadline,
) -> Result<PurgeRun, Error> {
    purge(purger, PurgeQueue::of_one(purger, id), deadline).await
}

async fn purge(
    purger: &Purger,
    mut queue: PurgeQueue<'_>,
    deadline: Deadline,
) -> Result<PurgeRun, Error> {
    let mut run = PurgeRun { stopped: !purger.enabled, ..PurgeRun::default() };
    let tally = Tally::default();
    let mut result = Ok(());
    if purger.enabled {
        result = work(purger, &mut queue, deadline, &tally, &mut run).await;
    }
    run.due = queue.due;
    run.oldest_overdue_seconds = queue.oldest_overdue().as_secs();
    run.claimed = tally.claimed.into_inner();
    run.deleted = tally.deleted.into_inner();
    run.emit(purger.app.now());
    result.map(|()| run)
}

impl PurgeRun {
    /// The erasure clock, for alarms.
    fn emit(&self, now: Timestamp) {
        metrics::emit(
            now,
            &[
                ("PurgeDue", "Count", self.due),
                ("PurgeClaimed", "Count", self.claimed),
                ("PurgeFinished", "Count", self.finished),
                ("PurgeDeletedItems", "Count", self.deleted),
                ("PurgeQuarantined", "Count", self.quarantined),
                ("PurgeFailed", "Count", self.failed),
                ("PurgeOldestOverdue", "Seconds", self.oldest_overdue_seconds),
                ("PurgeBreakerOpen", "Count", u64::from(self.breaker_open)),
                ("PurgeStopped", "Count", u64::from(self.stopped)),
            ],
        );
    }
}

/// Works on several accounts at the same time. Of those that take many turns one has a lane, the rest
/// are for the others: a large account does not make small ones wait.
async fn work(
    purger: &Purger,
    queue: &mut PurgeQueue<'_>,
    deadline: Deadline,
    tally: &Tally,
    run: &mut PurgeRun,
) -> Result<(), Error> {
    let mut lanes = FuturesUnordered::new();
    let mut long: VecDeque<Box<Job>> = VecDeque::new();
    let mut is_long_in_lane = false;
    let mut result = Ok(());
    loop {
        while lanes.len() < LANES && !deadline.is_near() {
            let resumed = if is_long_in_lane { None } else { long.pop_front() };
            let next = match resumed {
                Some(job) => Some(Work::Resume(job)),
                None => match queue.next().await {
                    Ok(Some((id, part))) => Some(Work::Take(id, part == Part::Begun)),
                    Ok(None) => long.pop_front().map(Work::Resume),
                    Err(error) => {
                        queue.close();
                        result = Err(error);
                        None
                    }
                },
            };
            let Some(next) = next else { break };
            is_long_in_lane |= matches!(next, Work::Resume(_));
            lanes.push(purger.account(next, deadline, tally));
        }
        let Some((was_long, id, progress)) = lanes.next().await else { break };
        is_long_in_lane &= !was_long;
        match progress {
            Ok(Progress::Finished) => run.finished += 1,
            Ok(Progress::Quarantined) => run.quarantined += 1,
            Ok(Progress::Long(job)) => long.push_back(job),
            Ok(Progress::Unfinished) => run.unfinished = true,
            Ok(Progress::NotDue | Progress::Overtaken) => {}
            Ok(Progress::BreakerOpen) => {
                run.breaker_open = true;
                queue.begin_no_more();
            }
            Err(error) => {
                run.failed += 1;
                tracing::error!(customer_id = %id, cause = error.cause(), "purge failed");
            }
        }
    }
    run.unfinished |= !long.is_empty() || !queue.is_empty();
    result
}

/// What a lane works on.
enum Work {
    /// An account out of the queue; whether to go on where another run has begun.
    Take(Id<Customer>, bool),
    Resume(Box<Job>),
}

impl Purger {
    /// One turn of work on an account. A failure is this account's alone.
    async fn account(
        &self,
        work: Work,
        deadline: Deadline,
        tally: &Tally,
    ) -> (bool, Id<Customer>, Result<Progress, Error>) {
        match work {
            Work::Resume(job) => (true, job.account.id, self.turn(job, deadline, tally).await),
            Work::Take(id, resume) => {
                let progress = match self.claim(id, resume, tally).await {
                    Ok(Ok(job)) => self.turn(job, deadline, tally).await,
                    Ok(Err(progress)) => Ok(progress),
                    Err(error) => Err(error),
                };
                (false, id, progress)
            }
        }
    }

    /// Takes an account for this run: it is deleted afterwards. Otherwise says why not.
    async fn claim(
        &self,
        id: Id<Customer>,
        resume: bool,
        tally: &Tally,
    ) -> Result<Result<Box<Job>, Progress>, Error> {
        let store = &self.app.store;
        let (Some(mut before), ledger) = store.get_customer_and_erasure(id).await? else {
            return Ok(Err(Progress::NotDue));
        };
        let ledger = ledger.unwrap_or_else(|| Erasure::blank(id));
        loop {
            let now = self.app.now();
            let Transition::Changed(mut change) = decide(&before, &Command::Claim, now)? else {
                return Ok(Err(Progress::NotDue));
            };
            if ledger.tm_finish.is_some() {
                change.entry = Some(LedgerEntry::ErasedAgain(now));
            }
            let event = change.event.map(|what| self.app.event(what, id, Vec::new(), now));
            let claim = match before.internals.epoch {
                0 => self.begin(&before, *change, event.as_ref(), &ledger, now).await?,
                _ if resume => self.resume(&before, *change, event.as_ref()).await?,
                _ => return Ok(Err(Progress::NotDue)),
            };
            match claim {
                Claim::Taken(job) => {
                    let is_first = before.internals.epoch == 0;
                    tally.claimed.fetch_add(u64::from(is_first), Ordering::Relaxed);
                    return Ok(Ok(job));
                }
                Claim::Outdated(current) => before = *current,
                Claim::BreakerOpen => return Ok(Err(Progress::BreakerOpen)),
            }
        }
    }

    /// Claims an account for the first time, and writes down what it deletes first.
    async fn begin(
        &self,
        before: &Customer,
        change: Change,
        event: Option<&Event>,
        ledger: &Erasure,
        now: Timestamp,
    ) -> Result<Claim<Box<Job>>, Error> {
        let store = &self.app.store;
        // The claim fails if something was added since the account was read: this is all.
        let page = store.list_owned(before.id, &InventoryCursor::default()).await?;
        let is_known = ledger.tm_claim.is_some();
        let claimed = Erasure {
            tm_claim: Some(now),
            attempts: ledger.attempts + 1,
            epoch: change.after.internals.epoch,
            ..ledger.clone()
        };
        let slice = slices(&page.items).next().filter(|_| !is_known);
        let first = slice.map(|slice| self.count(&claimed, slice, now));
        let claim = store.claim_customer(before, &change, event, first.as_ref(), self.breaker, now);
        Ok(match claim.await? {
            Claim::Outdated(current) => Claim::Outdated(current),
            Claim::BreakerOpen => Claim::BreakerOpen,
            Claim::Taken(counted) => {
                let ledger = match first {
                    Some(first) if counted => first.ledger,
                    // It was restored since, and its erasure had begun, or ended, before.
                    _ if is_known => store.get_erasure(before.id).await?.unwrap_or(claimed),
                    _ => claimed,
                };
                let (account, page) = (change.after, Some(page));
                Claim::Taken(Box::new(Job { account, ledger, page, pass: Pass::default() }))
            }
        })
    }

    /// Claims an account that a run before has claimed.
    async fn resume(
        &self,
        before: &Customer,
        change: Change,
        event: Option<&Event>,
    ) -> Result<Claim<Box<Job>>, Error> {
        let store = &self.app.store;
        if let Update::Outdated(current) = store.update_customer(before, &change, event).await? {
            return Ok(Claim::Outdated(current));
        }
        // The run before may have counted a slice until now.
        let ledger = store.get_erasure(before.id).await?;
        let ledger = ledger.unwrap_or_else(|| Erasure::blank(before.id));
        let job = Job { account: change.after, ledger, page: None, pass: Pass::default() };
        Ok(Claim::Taken(Box::new(job)))
    }

    /// What is written down of a slice.
    fn count(&self, ledger: &Erasure, slice: &[Owned], now: Timestamp) -> CountedSlice {
        let mut counts = Counts::new();
        let mut announced: BTreeMap<Kind, Vec<Uuid>> = BTreeMap::new();
        for owned in slice {
            *counts.entry(owned.kind).or_default() += 1;
            if owned.kind.is_announced() {
                announced.entry(owned.kind).or_default().extend(owned.id);
            }
        }
        let event =
            |(kind, ids)| self.app.event(EventType::Deleted(kind), ledger.customer, ids, now);
        let end = slice.last().map_or_else(InventoryCursor::default, Owned::position);
        CountedSlice {
            ledger: ledger.with_slice(&counts, end),
            events: announced.into_iter().map(event).collect(),
            logins: slice.iter().filter_map(|owned| owned.login.clone()).collect(),
        }
    }

    /// Deletes some pages of what an account owns.
    async fn turn(
        &self,
        mut job: Box<Job>,
        deadline: Deadline,
        tally: &Tally,
    ) -> Result<Progress, Error> {
        match self.pages(&mut job, deadline, tally).await {
            Ok(Some(progress)) => Ok(progress),
            Ok(None) => Ok(Progress::Long(job)),
            Err(error) => {
                job.ledger.last_error = Some(error.word().to_owned());
                // The error itself is told; that the ledger could not be told is the same trouble.
                let _ = self.app.store.note_trouble(&job.ledger, self.app.now()).await;
                Err(error)
            }
        }
    }

    /// `None` if there is more to do than one turn.
    async fn pages(
        &self,
        job: &mut Job,
        deadline: Deadline,
        tally: &Tally,
    ) -> Result<Option<Progress>, Error> {
        let (store, id) = (&self.app.store, job.account.id);
        for _ in 0..TURN {
            let page = match job.page.take() {
                Some(page) => page,
                None => store.list_owned(id, &InventoryCursor::default()).await?,
            };
            // The next page is read while this one is deleted.
            let next = page.next.clone();
            let ahead = async {
                match &next {
                    Some(next) => store.list_owned(id, next).await.map(Some),
                    None => Ok(None),
                }
            };
            let (stop, ahead) = try_join(self.delete(job, page, deadline, tally), ahead).await?;
            if stop.is_some() {
                return Ok(stop);
            }
            job.page = ahead;
            if job.page.is_none()
                && let Some(progress) = self.end_pass(job).await?
            {
                return Ok(Some(progress));
            }
        }
        Ok(None)
    }

    /// Deletes these things, slice by slice. `None` if all are gone that can go.
    async fn delete(
        &self,
        job: &mut Job,
        page: OwnedPage,
        deadline: Deadline,
        tally: &Tally,
    ) -> Result<Option<Progress>, Error> {
        job.pass.unknown += page.unknown;
        job.pass.deleted |= !page.items.is_empty();
        let counted_to = &job.ledger.counted_to;
        let counted = page.items.partition_point(|owned| owned.position() <= *counted_to);
        let (counted, rest) = page.items.split_at(counted);
        let rest = slices(rest).map(|slice| (slice, false));
        for (slice, is_counted) in once((counted, true)).filter(|_| !counted.is_empty()).chain(rest)
        {
            if deadline.is_near() {
                return Ok(Some(Progress::Unfinished));
            }
            if !is_counted {
                let counted = self.count(&job.ledger, slice, self.app.now());
                if !self.app.store.count_slice(&counted).await? {
                    return Ok(Some(Progress::Overtaken));
                }
                job.ledger = counted.ledger;
            }
            self.app.store.delete_owned(job.account.id, slice).await?;
            tally.deleted.fetch_add(slice.len() as u64, Ordering::Relaxed);
        }
        Ok(None)
    }

    /// Ends the purge if the pass found nothing, or begins the pass that will tell.
    async fn end_pass(&self, job: &mut Job) -> Result<Option<Progress>, Error> {
        if job.pass.deleted {
            job.pass = Pass::default();
            return Ok(None);
        }
        if job.pass.unknown == 0 {
            return self.finish(job).await.map(Some);
        }
        job.ledger.quarantined = job.pass.unknown;
        self.app.store.quarantine(&job.ledger, self.app.now()).await?;
        tracing::error!(customer_id = %job.account.id, count = job.pass.unknown, "unknown things");
        Ok(Some(Progress::Quarantined))
    }

    /// Signs the receipt and takes the account out of the queue, if no other run has claimed it.
    async fn finish(&self, job: &Job) -> Result<Progress, Error> {
        let (account, now) = (&job.account, self.app.now());
        let Transition::Changed(change) = decide(account, &Command::Finish, now)? else {
            return Ok(Progress::NotDue);
        };
        let receipt = self.signer.sign(&Receipt::new(&job.ledger, &self.erased, now)).await?;
        let finished =
            self.app.store.finish_erasure(account, &change, &job.ledger, &receipt).await?;
        Ok(match finished {
            Update::Written => Progress::Finished,
            // An answer was lost: it was this very run that finished.
            Update::Outdated(current)
                if current.internals.tm_purge.is_some()
                    && current.internals.epoch == job.account.internals.epoch =>
            {
                Progress::Finished
            }
            Update::Outdated(_) => Progress::Overtaken,
        })
    }
}

/// Cuts a page so that each slice fits into one transaction.
fn slices(mut items: &[Owned]) -> impl Iterator<Item = &[Owned]> {
    from_fn(move || {
        let mut agents = 0;
        let fits = |owned: &&Owned| {
            agents += usize::from(owned.login.is_some());
            agents <= AGENTS
        };
        let length = items.iter().take(SLICE).take_while(fits).count();
        let (slice, rest) = items.split_at(length);
        items = rest;
        (length > 0).then_some(slice)
    })
}

/// The accounts that are due, one after the other.
struct PurgeQueue<'a> {
    purger: &'a Purger,
    /// When the run began: what falls due later is for the next one.
    until: Timestamp,
    /// First those whose purge has begun.
    lines: VecDeque<Line>,
    oldest: Option<Timestamp>,
    due: u64,
}

struct Line {
    part: Part,
    ready: VecDeque<Due>,
    place: QueueCursor,
}

impl<'a> PurgeQueue<'a> {
    async fn open(purger: &'a Purger) -> Result<Self, Error> {
        let lines = VecDeque::new();
        let mut queue = Self { purger, until: purger.app.now(), lines, oldest: None, due: 0 };
        let look = |part: Part| purger.app.store.list_due(part.beginning(), queue.until);
        let (begun, waiting) = try_join(look(Part::Begun), look(Part::Waiting)).await?;
        for (part, (found, place)) in [(Part::Begun, begun), (Part::Waiting, waiting)] {
            queue.saw(&found);
            queue.lines.push_back(Line { part, ready: found.into(), place });
        }
        Ok(queue)
    }

    fn of_one(purger: &'a Purger, id: Id<Customer>) -> Self {
        let until = purger.app.now();
        let ready = [Due { id, since: until }].into();
        let line = Line { part: Part::Waiting, ready, place: QueueCursor::end() };
        Self { purger, until, lines: [line].into(), oldest: None, due: 0 }
    }

    async fn next(&mut self) -> Result<Option<(Id<Customer>, Part)>, Error> {
        while let Some(line) = self.lines.front_mut() {
            if let Some(due) = line.ready.pop_front() {
                return Ok(Some((due.id, line.part)));
            }
            if line.place.is_end() {
                self.lines.pop_front();
                continue;
            }
            let place = std::mem::replace(&mut line.place, QueueCursor::end());
            let (found, place) = self.purger.app.store.list_due(place, self.until).await?;
            (line.ready, line.place) = (found.iter().copied().collect(), place);
            self.saw(&found);
        }
        Ok(None)
    }

    fn saw(&mut self, found: &[Due]) {
        self.due += found.len() as u64;
        self.oldest = self.oldest.into_iter().chain(found.iter().map(|due| due.since)).min();
    }

    /// Leaves out the accounts whose purge has not begun.
    fn begin_no_more(&mut self) {
        self.lines.retain(|line| line.part == Part::Begun);
    }

    fn close(&mut self) {
        self.lines.clear();
    }

    fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.ready.is_empty() && line.place.is_end())
    }

    fn oldest_overdue(&self) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| self.until.since(oldest))
    }
}

//! The cascade that leaves a tombstone and nothing else.
//!
//! The work queue is the index `due`. An account enters it when it is frozen or deleted and leaves it
//! last of all, so a run that dies anywhere is resumed by the next one:
//!
//! 1. *Claim*: a frozen account whose date has come is deleted, wiped to its tombstone and told of, in
//!    one transaction. From here on nothing can be added to it.
//! 2. *Cascade*: page by page and slice by slice, what is about to go is told of, then goes.
//! 3. *Verify*: a consistent read finds nothing but the tombstone. Then the account leaves the queue,
//!    unless another run has claimed it meanwhile and will do so itself.

use serde::Serialize;

use crate::domain::event::What;
use crate::domain::lifecycle::{Command, Transition, decide};
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id, Status};
use crate::runtime::{App, Deadline};
use crate::store::Update;
use crate::store::owned::Owned;

/// How many things are told of and deleted before the next look at the time: what one event names.
const SLICE: usize = 250;

/// What one run did.
#[derive(Debug, Default, Serialize)]
pub struct Run {
    /// Accounts whose purge ended.
    pub finished: u64,
    /// Things deleted that accounts owned.
    pub deleted: u64,
    /// Accounts that could not be purged; the next run tries again.
    pub failed: u64,
    /// Whether the run stopped before its deadline with work left for the next one.
    pub unfinished: bool,
}

/// Purges every account that is due, until none is left or the deadline is near.
pub async fn purge_due(app: &App, deadline: Deadline) -> Result<Run, Error> {
    let mut run = Run::default();
    let mut due = app.store.due_accounts(app.now());
    while let Some(accounts) = due.next().await? {
        for id in accounts {
            if deadline.is_near() {
                run.unfinished = true;
                return Ok(run);
            }
            purge_account(app, id, deadline, &mut run).await;
        }
    }
    Ok(run)
}

/// Purges one account, if it is due.
pub async fn purge_one(app: &App, id: Id<Customer>, deadline: Deadline) -> Run {
    let mut run = Run::default();
    purge_account(app, id, deadline, &mut run).await;
    run
}

/// Purges one account and counts what came of it; a failure is this account's alone.
async fn purge_account(app: &App, id: Id<Customer>, deadline: Deadline, run: &mut Run) {
    match claim_and_cascade(app, id, deadline, &mut run.deleted).await {
        Ok(Progress::Finished) => run.finished += 1,
        Ok(Progress::Unfinished) => run.unfinished = true,
        Ok(Progress::NotDue | Progress::Overtaken) => {}
        Err(error) => {
            run.failed += 1;
            tracing::error!(customer_id = %id, cause = ?error, "purge failed");
        }
    }
}

/// How far the purge of an account came.
enum Progress {
    /// Nothing is left but the tombstone.
    Finished,
    /// The deadline came first.
    Unfinished,
    /// The account is not due, or its purge has ended.
    NotDue,
    /// Another run has claimed the account.
    Overtaken,
}

async fn claim_and_cascade(
    app: &App,
    id: Id<Customer>,
    deadline: Deadline,
    deleted: &mut u64,
) -> Result<Progress, Error> {
    let Some(claimed) = claim(app, id).await? else {
        return Ok(Progress::NotDue);
    };
    loop {
        if deadline.is_near() {
            return Ok(Progress::Unfinished);
        }
        // Cheap reads while there is much to delete; the read that finds nothing must be consistent.
        let mut page = app.store.list_owned(id, false).await?;
        if page.is_empty() {
            page = app.store.list_owned(id, true).await?;
        }
        if page.is_empty() {
            return finish(app, &claimed).await;
        }
        for slice in page.chunks(SLICE) {
            if deadline.is_near() {
                return Ok(Progress::Unfinished);
            }
            announce(app, id, slice).await?;
            app.store.delete_owned(id, slice).await?;
            *deleted += slice.len() as u64;
        }
    }
}

/// Takes the account for this run: it is deleted afterwards. `None` if there is nothing to purge.
async fn claim(app: &App, id: Id<Customer>) -> Result<Option<Customer>, Error> {
    let Some(customer) = app.store.get_customer(id).await? else {
        return Ok(None);
    };
    let (before, after) = crate::lifecycle::transition(app, customer, &Command::Claim).await?;
    let claimed = after.status == Status::Deleted && after.record.epoch > before.record.epoch;
    Ok(claimed.then_some(after))
}

/// Tells owners elsewhere what is about to go, so that they can release what belongs to it.
async fn announce(app: &App, customer: Id<Customer>, slice: &[Owned]) -> Result<(), Error> {
    for what in Kind::ALL.iter().copied().map(What::Deleted) {
        let is_told = |owned: &&Owned| owned.deletion() == Some(what);
        let ids: Vec<String> =
            slice.iter().filter(is_told).map(|owned| owned.id().to_owned()).collect();
        if !ids.is_empty() {
            app.store.insert_event(&app.event(what, customer, ids, app.now())).await?;
        }
    }
    Ok(())
}

/// Takes the account out of the queue, if no other run has claimed it.
async fn finish(app: &App, claimed: &Customer) -> Result<Progress, Error> {
    let Transition::Changed(tombstone, _) = decide(claimed, &Command::Finish, app.now())? else {
        return Ok(Progress::NotDue);
    };
    match app.store.update_customer(claimed, &tombstone, None).await? {
        Update::Written => Ok(Progress::Finished),
        Update::Outdated(_) => Ok(Progress::Overtaken),
    }
}

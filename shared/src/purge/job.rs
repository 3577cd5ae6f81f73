//! Jobs: a job is the purge of one account within one run. A job that one turn does not finish lets other
//! accounts' jobs run before its next turn.

use futures_util::future::try_join;

use super::Worker;
use super::slice::{count, slices, split_counted};
use crate::asking::ask_missing;
use crate::completion::complete_if_settled;
use crate::domain::erasure::InventoryCursor;
use crate::domain::lifecycle::{Command, Transition, decide};
use crate::domain::participation::Participation;
use crate::domain::receipt::{Edition, Receipt, SignedReceipt};
use crate::domain::webhook::Webhook;
use crate::domain::{Actor, Customer, Erasure, Error, EventType, Id};
use crate::platform::log::LogEntry;
use crate::store::Update;
use crate::store::inventory::{Owned, OwnedPage};

/// Maximum number of pages of owned items that a job deletes in one turn. Then another account's job gets its
/// turn.
const PAGES_PER_TURN: usize = 8;

/// The purge of one account that this run has claimed.
#[derive(Debug)]
pub(super) struct Job {
    account: Customer,
    ledger: Erasure,
    /// The next page, if it has been read already.
    prefetched: Option<OwnedPage>,
    pass: Pass,
    /// The webhook that the account had, if this run has deleted the account. The only other copy is in the
    /// outbox entry of the event `customer_deleted`, until that event is delivered.
    farewell: Option<Webhook>,
    /// Whether this run has made sure that every participant was asked; true if there are none.
    has_asked: bool,
}

impl Job {
    pub(super) fn new(account: Customer, ledger: Erasure, first_page: Option<OwnedPage>) -> Self {
        let (pass, has_asked) = (Pass::default(), ledger.participants.is_empty());
        Self { account, ledger, prefetched: first_page, pass, farewell: None, has_asked }
    }

    /// Returns the job with the account's former webhook, to which the account's last event, `customer_erased`, is
    /// delivered.
    pub(super) fn with_farewell(self, farewell: Option<Webhook>) -> Self {
        Self { farewell, ..self }
    }

    pub(super) const fn account(&self) -> Id<Customer> {
        self.account.id
    }
}

/// State of an account's purge after the claim, or after a turn of its job.
#[derive(Debug)]
pub(super) enum JobState {
    /// Purged: the receipt is written and nothing but the tombstone is left.
    Finished,
    /// Nothing is left but items of an unknown kind, which the purge does not delete.
    Quarantined,
    /// More pages are left than one turn deletes.
    Yielded(Box<Job>),
    /// The deadline ended the turn.
    DeadlineNear,
    /// Not to be purged: not due, purged already, or left to the run that has claimed it.
    NotDue,
    /// Another run has claimed the account since, so this run's writes are refused.
    Fenced,
    /// Not claimed: as many purges as are allowed within an hour have begun.
    BreakerOpen,
}

/// One pass over everything an account owns, from the first page to the last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pass {
    /// Whether the pass has found items and deleted them.
    has_deleted: bool,
    /// Number of items of an unknown kind, which are never deleted.
    unknown: u64,
}

/// Step that follows a pass over everything an account owns.
#[derive(Debug, PartialEq, Eq)]
enum PassEnd {
    /// Items were deleted: another pass shows whether all are gone.
    Repeat,
    /// The pass found nothing: the purge finishes.
    Finish,
    /// The pass found only items of an unknown kind: the account is quarantined, that is, its purge does not
    /// finish.
    Quarantine,
}

impl Pass {
    fn add(&mut self, items: usize, unknown: u64) {
        self.has_deleted |= items > 0;
        self.unknown += unknown;
    }

    const fn end(&self) -> PassEnd {
        match self {
            Self { has_deleted: true, .. } => PassEnd::Repeat,
            Self { unknown: 0, .. } => PassEnd::Finish,
            _ => PassEnd::Quarantine,
        }
    }
}

impl Worker<'_> {
    /// Runs one turn of a job. An error is noted in the ledger.
    pub(super) async fn run_job(&self, mut job: Box<Job>) -> Result<JobState, Error> {
        match self.run_turn_of(&mut job).await {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Ok(JobState::Yielded(job)),
            Err(error) => {
                job.ledger.last_error = Some(error.code().to_owned());
                // The error itself is returned. If the ledger cannot be written either, that has the same
                // cause.
                let _ = self.store().record_failure(&job.ledger, self.now()).await;
                Err(error)
            }
        }
    }

    /// Asks participants to erase what they keep for the account, unless this run has done so, and deletes
    /// the pages of one turn. `None` if more pages are left.
    async fn run_turn_of(&self, job: &mut Job) -> Result<Option<JobState>, Error> {
        if !job.has_asked {
            ask_missing(self.store(), &self.purger.bus, &job.ledger, self.now()).await?;
            job.has_asked = true;
        }
        self.delete_pages(job).await
    }

    /// Deletes up to [`PAGES_PER_TURN`] pages of the account's items. `None` if more pages are left.
    async fn delete_pages(&self, job: &mut Job) -> Result<Option<JobState>, Error> {
        let id = job.account();
        for _ in 0..PAGES_PER_TURN {
            let page = match job.prefetched.take() {
                Some(page) => page,
                None => self.store().list_owned(id, &InventoryCursor::default()).await?,
            };
            job.pass.add(page.items.len(), page.unknown);
            let prefetch = self.next_page(id, page.next.as_ref());
            let (state, next) = try_join(self.delete_page(job, &page.items), prefetch).await?;
            if state.is_some() {
                return Ok(state);
            }
            job.prefetched = next;
            if job.prefetched.is_none()
                && let Some(state) = self.end_pass(job).await?
            {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    async fn next_page(
        &self,
        id: Id<Customer>,
        cursor: Option<&InventoryCursor>,
    ) -> Result<Option<OwnedPage>, Error> {
        match cursor {
            Some(cursor) => self.store().list_owned(id, cursor).await.map(Some),
            None => Ok(None),
        }
    }

    /// Counts and deletes the items of a page in slices, of which each is counted by one transaction. `None` if
    /// all are deleted; otherwise the reason why the turn ends early.
    async fn delete_page(&self, job: &mut Job, items: &[Owned]) -> Result<Option<JobState>, Error> {
        let (counted, rest) = split_counted(&job.ledger, items);
        if !counted.is_empty() {
            if self.deadline.is_near() {
                return Ok(Some(JobState::DeadlineNear));
            }
            self.delete_items(job.account(), counted).await?;
        }
        for slice in slices(rest) {
            if self.deadline.is_near() {
                return Ok(Some(JobState::DeadlineNear));
            }
            let counted = count(&self.purger.app, &job.ledger, slice, self.now());
            if !self.store().count_slice(&counted).await? {
                return Ok(Some(JobState::Fenced));
            }
            job.ledger = counted.ledger;
            self.delete_items(job.account(), slice).await?;
        }
        Ok(None)
    }

    async fn delete_items(&self, id: Id<Customer>, items: &[Owned]) -> Result<(), Error> {
        self.store().delete_owned(id, items).await?;
        self.add_deleted(items.len());
        Ok(())
    }

    /// Decides what follows a pass over everything the account owns. Returns `None` if another pass does, or the final
    /// state of the job if it is done.
    async fn end_pass(&self, job: &mut Job) -> Result<Option<JobState>, Error> {
        let pass = std::mem::take(&mut job.pass);
        match pass.end() {
            PassEnd::Repeat => {
                // All counted items are deleted. Items that the next pass meets were added since, by a log-in that
                // raced the claim; they are counted wherever they are in the order of keys.
                job.ledger.counted_to = InventoryCursor::default();
                Ok(None)
            }
            PassEnd::Finish => self.finish(job).await.map(Some),
            PassEnd::Quarantine => {
                job.ledger.quarantined = pass.unknown;
                self.store().quarantine(&job.ledger, self.now()).await?;
                LogEntry::UnknownItems { customer_id: job.account(), count: pass.unknown }.log();
                Ok(Some(JobState::Quarantined))
            }
        }
    }

    /// Signs the receipt and takes the account out of the queue, unless another run has claimed it. If the erasure
    /// waits for participants, a second receipt follows after their answers.
    async fn finish(&self, job: &Job) -> Result<JobState, Error> {
        let (account, now) = (&job.account, self.now());
        let Transition::Changed(change) =
            decide(account, &Command::FinishPurge, Actor::PURGE, now)?
        else {
            return Ok(JobState::NotDue);
        };
        let parts = self.parts(&job.ledger).await?;
        let receipt = Receipt::new(&job.ledger, &parts, &self.purger.erased, now, Edition::First);
        let receipt = SignedReceipt::new(&receipt, self.purger.signer.sign(&receipt).await?);
        let erased = EventType::CustomerErased;
        let event = self.purger.app.event(erased, account.id, Vec::new(), Actor::PURGE, now);
        let event = (&event, job.farewell.as_ref());
        let finished =
            self.store().finish_erasure(account, &change, &job.ledger, &receipt, event).await?;
        let is_finished = match finished {
            Update::Written => true,
            // This run made that write itself; only the answer was lost.
            Update::Outdated(current) => {
                current.internals.tm_purge.is_some()
                    && current.internals.epoch == account.internals.epoch
            }
        };
        if !is_finished {
            return Ok(JobState::Fenced);
        }
        if !receipt.summary.r#final {
            // A participant may have answered after the first receipt was made and before it was written.
            // Such an answer did not complete the erasure, as the purge had not finished.
            let purger = self.purger;
            complete_if_settled(&purger.app, &purger.signer, &purger.erased, account.id).await;
        }
        Ok(JobState::Finished)
    }

    /// Reads what the participants were asked and have answered. Reads nothing if the erasure has no
    /// participants.
    async fn parts(&self, ledger: &Erasure) -> Result<Vec<Participation>, Error> {
        if ledger.participants.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store().get_erasure_and_parts(ledger.customer).await?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(pages: &[(usize, u64)]) -> Pass {
        let mut pass = Pass::default();
        for (items, unknown) in pages {
            pass.add(*items, *unknown);
        }
        pass
    }

    #[test]
    fn pass_over_nothing_finishes_the_purge() {
        assert_eq!(pass(&[]).end(), PassEnd::Finish);
        assert_eq!(pass(&[(0, 0), (0, 0)]).end(), PassEnd::Finish);
    }

    #[test]
    fn pass_that_deleted_is_followed_by_one_that_verifies() {
        assert_eq!(pass(&[(1, 0)]).end(), PassEnd::Repeat);
        assert_eq!(pass(&[(1, 0), (0, 0)]).end(), PassEnd::Repeat);
        assert_eq!(pass(&[(0, 3), (1, 0)]).end(), PassEnd::Repeat);
    }

    #[test]
    fn pass_over_unknown_items_only_quarantines_the_account() {
        assert_eq!(pass(&[(0, 2), (0, 1)]), Pass { has_deleted: false, unknown: 3 });
        assert_eq!(pass(&[(0, 2), (0, 1)]).end(), PassEnd::Quarantine);
    }
}

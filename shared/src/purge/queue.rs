//! The purge's work queue: the accounts whose deletion is due. Accounts whose purge has begun come
//! before the others.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::try_join;

use crate::domain::{Customer, Error, Id, Timestamp};
use crate::store::Store;
use crate::store::purge::{Due, PurgeStage};
use crate::store::queue::QueueCursor;

/// Due accounts in the order in which a run takes them, read page by page.
#[derive(Debug)]
pub(super) struct PurgeQueue {
    /// Start of the run. Accounts that fall due later are left to the next run.
    until: Timestamp,
    /// Accounts that are left to take, by stage; those at the front are taken first.
    sections: VecDeque<Section>,
    /// Earliest due time among the accounts seen so far.
    oldest: Option<Timestamp>,
    /// Number of accounts seen so far.
    due: u64,
}

/// Due accounts of one stage: those that a run has claimed, or those that none has.
#[derive(Debug)]
struct Section {
    stage: PurgeStage,
    /// Accounts on the pages read so far whose purge this run has not started yet.
    accounts: VecDeque<Due>,
    next_page: QueueCursor,
}

/// Front of the queue: the next account to take, or a page that must be read first.
#[derive(Debug)]
enum Front {
    Account(Id<Customer>, PurgeStage),
    /// A page that has to be read first.
    Unread(QueueCursor),
    Empty,
}

impl PurgeQueue {
    /// Opens the queue of the accounts that are due at `now`: reads the first page of each stage.
    pub(super) async fn open(store: &Store, now: Timestamp) -> Result<Self, Error> {
        let first_page = |stage: PurgeStage| store.list_due(stage.beginning(), now);
        let (claimed, unclaimed) =
            try_join(first_page(PurgeStage::Claimed), first_page(PurgeStage::Unclaimed)).await?;
        let mut queue = Self::empty(now);
        queue.push(PurgeStage::Claimed, claimed);
        queue.push(PurgeStage::Unclaimed, unclaimed);
        Ok(queue)
    }

    /// Returns a queue of one account, which is assumed to be due and unclaimed; the claim checks that.
    pub(super) fn of_one(id: Id<Customer>, now: Timestamp) -> Self {
        let account = Due { id, since: now };
        let section = Section {
            stage: PurgeStage::Unclaimed,
            accounts: [account].into(),
            next_page: QueueCursor::end(),
        };
        Self { sections: [section].into(), ..Self::empty(now) }
    }

    const fn empty(now: Timestamp) -> Self {
        Self { until: now, sections: VecDeque::new(), oldest: None, due: 0 }
    }

    fn push(&mut self, stage: PurgeStage, (accounts, next_page): (Vec<Due>, QueueCursor)) {
        self.count(&accounts);
        self.sections.push_back(Section { stage, accounts: accounts.into(), next_page });
    }

    fn count(&mut self, accounts: &[Due]) {
        self.due += accounts.len() as u64;
        self.oldest = self.oldest.into_iter().chain(accounts.iter().map(|due| due.since)).min();
    }

    /// Takes the next account and its stage. `None` if the queue is empty. An error empties the queue:
    /// what was not read is left to the next run.
    pub(super) async fn next(
        &mut self,
        store: &Store,
    ) -> Result<Option<(Id<Customer>, PurgeStage)>, Error> {
        loop {
            match self.take_front() {
                Front::Account(id, stage) => return Ok(Some((id, stage))),
                Front::Empty => return Ok(None),
                Front::Unread(cursor) => match store.list_due(cursor, self.until).await {
                    Ok((accounts, next_page)) => self.refill(accounts, next_page),
                    Err(error) => {
                        self.sections.clear();
                        return Err(error);
                    }
                },
            }
        }
    }

    fn take_front(&mut self) -> Front {
        while let Some(section) = self.sections.front_mut() {
            if let Some(due) = section.accounts.pop_front() {
                return Front::Account(due.id, section.stage);
            }
            if !section.next_page.is_end() {
                let cursor = std::mem::replace(&mut section.next_page, QueueCursor::end());
                return Front::Unread(cursor);
            }
            self.sections.pop_front();
        }
        Front::Empty
    }

    /// Adds the page that [`Front::Unread`] asked for.
    fn refill(&mut self, accounts: Vec<Due>, next_page: QueueCursor) {
        self.count(&accounts);
        if let Some(section) = self.sections.front_mut() {
            section.accounts = accounts.into();
            section.next_page = next_page;
        }
    }

    /// Drops the accounts whose purge has not begun.
    pub(super) fn drop_unclaimed(&mut self) {
        self.sections.retain(|section| section.stage == PurgeStage::Claimed);
    }

    /// Whether nothing is left to take.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty =
            |section: &Section| section.accounts.is_empty() && section.next_page.is_end();
        self.sections.iter().all(is_empty)
    }

    /// Number of due accounts seen so far.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// Returns how long the longest-waiting account has been due; zero if there is none.
    pub(super) fn oldest_overdue(&self) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| self.until.since(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000).unwrap()
    }

    fn account(second: u8) -> Due {
        let since = at(second.into());
        Due { id: Id::new(since, [second; 10]), since }
    }

    fn accounts(seconds: &[u8]) -> Vec<Due> {
        seconds.iter().map(|second| account(*second)).collect()
    }

    /// Returns a queue of a run that started at second 100 of the Unix epoch, with one page per stage.
    fn queue(claimed: &[u8], unclaimed: &[u8], more_claimed: bool) -> PurgeQueue {
        let mut queue = PurgeQueue::empty(at(100));
        let next_page =
            if more_claimed { PurgeStage::Claimed.beginning() } else { QueueCursor::end() };
        queue.push(PurgeStage::Claimed, (accounts(claimed), next_page));
        queue.push(PurgeStage::Unclaimed, (accounts(unclaimed), QueueCursor::end()));
        queue
    }

    fn take(queue: &mut PurgeQueue) -> Option<(Id<Customer>, PurgeStage)> {
        match queue.take_front() {
            Front::Account(id, stage) => Some((id, stage)),
            Front::Empty => None,
            Front::Unread(_) => panic!("a page has to be read"),
        }
    }

    #[test]
    fn claimed_accounts_come_before_unclaimed_ones_that_have_waited_longer() {
        let mut queue = queue(&[50, 60], &[1, 2], false);
        let taken: Vec<_> = std::iter::from_fn(|| take(&mut queue)).collect();
        let expected = [
            (50, PurgeStage::Claimed),
            (60, PurgeStage::Claimed),
            (1, PurgeStage::Unclaimed),
            (2, PurgeStage::Unclaimed),
        ];
        assert_eq!(taken, expected.map(|(second, stage)| (account(second).id, stage)));
        assert!(queue.is_empty());
        assert!(matches!(queue.take_front(), Front::Empty), "stays empty");
    }

    #[test]
    fn next_page_of_a_stage_is_read_before_the_next_stage_begins() {
        let mut queue = queue(&[50], &[1], true);
        assert_eq!(take(&mut queue), Some((account(50).id, PurgeStage::Claimed)));
        let Front::Unread(cursor) = queue.take_front() else { panic!("no page is asked for") };
        assert!(!cursor.is_end());

        // An empty page with another behind it does not end the stage.
        queue.refill(Vec::new(), PurgeStage::Claimed.beginning());
        assert!(matches!(queue.take_front(), Front::Unread(_)));
        queue.refill(accounts(&[70]), QueueCursor::end());
        assert_eq!(take(&mut queue), Some((account(70).id, PurgeStage::Claimed)));
        assert_eq!(take(&mut queue), Some((account(1).id, PurgeStage::Unclaimed)));
        assert_eq!(take(&mut queue), None);
    }

    #[test]
    fn open_breaker_drops_unclaimed_accounts_only() {
        let mut queue = queue(&[50], &[1, 2], false);
        queue.drop_unclaimed();
        assert_eq!(take(&mut queue), Some((account(50).id, PurgeStage::Claimed)));
        assert_eq!(take(&mut queue), None);
    }

    #[test]
    fn unread_page_keeps_the_queue_from_being_empty() {
        assert!(!queue(&[], &[], true).is_empty());
        assert!(queue(&[], &[], false).is_empty());
    }

    #[test]
    fn counts_cover_every_page_and_the_oldest_account() {
        let mut queue = queue(&[50], &[30, 40], true);
        assert_eq!((queue.due(), queue.oldest_overdue().as_secs()), (3, 70));
        take(&mut queue);
        queue.take_front();
        queue.refill(accounts(&[5]), QueueCursor::end());
        assert_eq!((queue.due(), queue.oldest_overdue().as_secs()), (4, 95));
        assert_eq!(PurgeQueue::empty(at(100)).oldest_overdue(), Duration::ZERO);
    }

    #[test]
    fn queue_of_one_account_reports_nothing_due() {
        let mut queue = PurgeQueue::of_one(account(3).id, at(100));
        assert_eq!((queue.due(), queue.oldest_overdue()), (0, Duration::ZERO));
        assert_eq!(take(&mut queue), Some((account(3).id, PurgeStage::Unclaimed)));
        assert_eq!(take(&mut queue), None);
    }
}

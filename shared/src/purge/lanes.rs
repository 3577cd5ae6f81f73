//! Lanes: a run purges several accounts at the same time, one per lane, and large accounts do not hold up
//! small ones.

use std::collections::VecDeque;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::job::{Job, JobState};
use super::queue::PurgeQueue;
use super::{PurgeRun, Worker};
use crate::domain::{Customer, Error, Id};
use crate::platform::log::{Cause, LogEntry};
use crate::store::purge::PurgeStage;

/// Number of lanes: how many accounts a run purges at the same time.
const LANES: usize = 4;

/// Long jobs, those that one turn did not finish, in round-robin order.
///
/// As long as the queue holds accounts, at most one lane runs a long job, so the other lanes stay free for
/// accounts that have not had a turn.
#[derive(Debug)]
struct LongJobs<J> {
    waiting: VecDeque<J>,
    /// Number of lanes that run a long job.
    running: usize,
}

impl<J> LongJobs<J> {
    const fn new() -> Self {
        Self { waiting: VecDeque::new(), running: 0 }
    }

    /// Adds a job that has yielded its lane.
    fn add(&mut self, job: J) {
        self.waiting.push_back(job);
    }

    /// Takes the next long job for a free lane while accounts may be left in the queue. `None` if a lane runs
    /// a long job already.
    fn take_reserved(&mut self) -> Option<J> {
        if self.running > 0 { None } else { self.take_any() }
    }

    /// Takes the next long job for a free lane when the queue is empty.
    fn take_any(&mut self) -> Option<J> {
        let job = self.waiting.pop_front();
        self.running += usize::from(job.is_some());
        job
    }

    /// Frees the lane of a long job whose turn is over.
    fn end_turn(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// A lane's next step.
enum Turn {
    /// Claims an account from the queue and runs its first turn.
    First(Id<Customer>, PurgeStage),
    /// Runs another turn of a long job.
    Next(Box<Job>),
}

impl Turn {
    const fn is_long(&self) -> bool {
        matches!(self, Self::Next(_))
    }

    fn account(&self) -> Id<Customer> {
        match self {
            Self::First(id, _) => *id,
            Self::Next(job) => job.account(),
        }
    }
}

/// A turn of a job that has ended: the state that it has left.
struct EndedTurn {
    account: Id<Customer>,
    was_long: bool,
    result: Result<JobState, Error>,
}

impl Worker<'_> {
    /// Purges the accounts of `queue` until none is left or the deadline is near, and counts them in `run`.
    /// Fails if the queue cannot be read, but only after the jobs in progress have ended.
    pub(super) async fn drain(
        &self,
        queue: &mut PurgeQueue,
        run: &mut PurgeRun,
    ) -> Result<(), Error> {
        let mut lanes = FuturesUnordered::new();
        let mut long = LongJobs::new();
        let mut result = Ok(());
        loop {
            while lanes.len() < LANES && !self.deadline.is_near() {
                let next = self.next_turn(queue, &mut long).await.unwrap_or_else(|error| {
                    result = Err(error);
                    long.take_any().map(Turn::Next)
                });
                let Some(turn) = next else { break };
                lanes.push(self.run_turn(turn));
            }
            let Some(turn) = lanes.next().await else { break };
            if turn.was_long {
                long.end_turn();
            }
            run.count(&turn);
            match turn.result {
                Ok(JobState::Yielded(job)) => long.add(job),
                Ok(JobState::BreakerOpen) => queue.drop_unclaimed(),
                _ => {}
            }
        }
        run.unfinished |= !long.is_empty() || !queue.is_empty();
        result
    }

    async fn next_turn(
        &self,
        queue: &mut PurgeQueue,
        long: &mut LongJobs<Box<Job>>,
    ) -> Result<Option<Turn>, Error> {
        if let Some(job) = long.take_reserved() {
            return Ok(Some(Turn::Next(job)));
        }
        Ok(match queue.next(self.store()).await? {
            Some((id, stage)) => Some(Turn::First(id, stage)),
            None => long.take_any().map(Turn::Next),
        })
    }

    /// Runs a turn. If it fails, the other accounts of the run are not affected.
    async fn run_turn(&self, turn: Turn) -> EndedTurn {
        let (account, was_long) = (turn.account(), turn.is_long());
        let result = match turn {
            Turn::Next(job) => self.run_job(job).await,
            Turn::First(id, stage) => self.start(id, stage).await,
        };
        EndedTurn { account, was_long, result }
    }

    async fn start(&self, id: Id<Customer>, stage: PurgeStage) -> Result<JobState, Error> {
        match self.claim(id, stage).await? {
            Ok(job) => self.run_job(job).await,
            Err(unclaimed) => Ok(unclaimed),
        }
    }
}

impl PurgeRun {
    fn count(&mut self, turn: &EndedTurn) {
        match &turn.result {
            Ok(JobState::Finished) => self.finished += 1,
            Ok(JobState::Quarantined) => self.quarantined += 1,
            Ok(JobState::DeadlineNear) => self.unfinished = true,
            Ok(JobState::BreakerOpen) => self.breaker_open = true,
            Ok(JobState::Yielded(_) | JobState::NotDue | JobState::Fenced) => {}
            Err(error) => {
                self.failed += 1;
                let customer_id = turn.account;
                LogEntry::PurgeFailed { customer_id, cause: Cause(error) }.log();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job: its name, and the number of turns that it takes.
    #[derive(Debug, PartialEq)]
    struct Turns(char, usize);

    /// Simulates [`Worker::drain`] with `accounts`, all turns taking equally long. Returns the order in which accounts
    /// finish and, per round, the number of lanes that ran a long job while the queue held accounts.
    fn run(accounts: Vec<Turns>) -> (String, Vec<usize>) {
        let mut queue = VecDeque::from(accounts);
        let mut long = LongJobs::new();
        let (mut finished, mut long_lanes) = (String::new(), Vec::new());
        loop {
            let mut lanes = Vec::new();
            while lanes.len() < LANES {
                let reserved = long.take_reserved().map(|job| (job, true));
                let next = reserved
                    .or_else(|| queue.pop_front().map(|job| (job, false)))
                    .or_else(|| long.take_any().map(|job| (job, true)));
                let Some(next) = next else { break };
                lanes.push(next);
            }
            if lanes.is_empty() {
                return (finished, long_lanes);
            }
            if !queue.is_empty() {
                long_lanes.push(lanes.iter().filter(|(_, is_long)| *is_long).count());
            }
            for (Turns(name, turns), was_long) in lanes {
                if was_long {
                    long.end_turn();
                }
                match turns {
                    1 => finished.push(name),
                    _ => long.add(Turns(name, turns - 1)),
                }
            }
        }
    }

    #[test]
    fn each_end_of_a_turn_moves_its_metric_and_no_other() {
        let moved = |run: PurgeRun| {
            let metrics = run.metrics().into_iter().filter(|(.., value)| *value > 0);
            metrics.map(|(name, _, value)| (name, value)).collect::<Vec<_>>()
        };
        let after = |result: Result<JobState, Error>| {
            let account = Id::from_uuid(uuid::Uuid::from_u128(1));
            let mut run = PurgeRun::default();
            run.count(&EndedTurn { account, was_long: false, result });
            moved(run)
        };
        assert_eq!(after(Ok(JobState::Finished)), [("PurgeFinished", 1)]);
        assert_eq!(after(Ok(JobState::Quarantined)), [("PurgeQuarantined", 1)]);
        assert_eq!(after(Ok(JobState::BreakerOpen)), [("PurgeBreakerOpen", 1)]);
        assert_eq!(after(Err(Error::LastAdmin)), [("PurgeFailed", 1)]);
        for nothing in [JobState::NotDue, JobState::Fenced, JobState::DeadlineNear] {
            assert_eq!(after(Ok(nothing)), []);
        }
        let counted = PurgeRun { due: 1, claimed: 2, deleted: 3, ..PurgeRun::default() };
        let expected = [("PurgeDue", 1), ("PurgeClaimed", 2), ("PurgeDeletedItems", 3)];
        assert_eq!(moved(counted), expected);
        let late = PurgeRun { oldest_overdue_seconds: 4, stopped: true, ..PurgeRun::default() };
        assert_eq!(moved(late), [("PurgeOldestOverdue", 4), ("PurgeStopped", 1)]);
    }

    #[test]
    fn small_accounts_behind_large_ones_finish_first() {
        let large = "ABCDEFGH".chars().map(|name| Turns(name, 50));
        let small = "abcdefghijklmnop".chars().map(|name| Turns(name, 1));
        let (finished, long_lanes) = run(large.chain(small).collect());
        assert!(finished.starts_with("abcdefghijklmnop"), "{finished}");
        assert!(long_lanes.iter().all(|lanes| *lanes <= 1), "{long_lanes:?}");
    }

    #[test]
    fn one_lane_serves_a_long_job_while_accounts_wait() {
        let small = "abcdefghijklmnopqrstuvwx".chars().map(|name| Turns(name, 1));
        let (finished, _) = run([Turns('L', 3)].into_iter().chain(small).collect());
        let position = finished.find('L').unwrap();
        assert!(position < 10, "{finished}: the long job is not left to the end");
    }

    #[test]
    fn all_lanes_run_long_jobs_once_the_queue_is_empty() {
        let mut long = LongJobs::new();
        for name in ['a', 'b', 'c'] {
            long.add(Turns(name, 2));
        }
        assert_eq!(long.take_reserved(), Some(Turns('a', 2)));
        assert_eq!(long.take_reserved(), None);
        assert_eq!(long.take_any(), Some(Turns('b', 2)));
        assert_eq!(long.take_any(), Some(Turns('c', 2)));
        long.end_turn();
        long.add(Turns('a', 1));
        assert_eq!(long.take_reserved(), None, "two lanes still run long jobs");
        long.end_turn();
        long.end_turn();
        assert_eq!(long.take_reserved(), Some(Turns('a', 1)));
        assert!(long.is_empty());
    }

    #[test]
    fn long_jobs_take_turns_in_round_robin_order() {
        let (finished, _) = run(vec![
            Turns('a', 9),
            Turns('b', 9),
            Turns('c', 9),
            Turns('d', 9),
            Turns('e', 9),
            Turns('f', 9),
            Turns('g', 9),
            Turns('h', 9),
        ]);
        assert_eq!(finished, "abcdefgh", "equal jobs finish in the order in which they began");
    }
}

//! What was asked, and how it was answered; what was checked, and what was not as it must be.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Problems that are shown; the others are counted.
const SHOWN: usize = 20;

/// Counters of a soak.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counters>);

/// Answers to one kind of request.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    /// How many had each status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Time of each, in milliseconds.
    pub(crate) waits: Vec<f64>,
}

/// Counters, as they are.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    pub(crate) requests: BTreeMap<String, Answers>,
    pub(crate) runs: BTreeMap<String, Answers>,
    pub(crate) checks: BTreeMap<&'static str, u64>,
    pub(crate) problems: Vec<String>,
    /// Problems beyond those.
    pub(crate) further: u64,
}

impl Tally {
    /// Counts an answer to a client.
    pub(crate) fn answered(&self, request: &str, status: u16, wait: Duration) {
        self.lock().requests.entry(request.to_owned()).or_default().add(status, wait);
    }

    /// Counts a run of a scheduled function.
    pub(crate) fn ran(&self, function: &str, status: u16, wait: Duration) {
        self.lock().runs.entry(function.to_owned()).or_default().add(status, wait);
    }

    /// Counts a check, and its outcome as a problem unless it is as it must be.
    pub(crate) fn check(&self, what: &'static str, holds: bool, problem: impl FnOnce() -> String) {
        *self.lock().checks.entry(what).or_default() += 1;
        if !holds {
            self.complain(format!("{what}: {}", problem()));
        }
    }

    /// Records that something was not as it must be.
    pub(crate) fn complain(&self, problem: String) {
        let mut counters = self.lock();
        if counters.problems.len() < SHOWN {
            crate::say(&problem);
            counters.problems.push(problem);
        } else {
            counters.further += 1;
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().clone()
    }

    pub(crate) fn progress(&self) -> String {
        let counters = self.lock();
        let checks: u64 = counters.checks.values().sum();
        format!("{} requests, {checks} checks", counters.sent())
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// How many requests were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.requests.values().map(Answers::count).sum()
    }
}

impl Answers {
    fn add(&mut self, status: u16, wait: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.waits.push(wait.as_secs_f64() * 1_000.0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// How many had a status in this range.
    pub(crate) fn within(&self, statuses: std::ops::Range<u16>) -> u64 {
        self.statuses.range(statuses).map(|(_, count)| count).sum()
    }
}

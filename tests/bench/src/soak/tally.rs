//! Counters of a soak: requests and their answers, checks, and the problems that they found.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum number of problems that are shown; further ones are only counted.
const SHOWN: usize = 20;

/// Counters of a soak, shared by its tasks.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counters>);

/// Answers to one kind of request.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    /// Number of answers by HTTP status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Response time of each request, in milliseconds.
    pub(crate) waits: Vec<f64>,
}

/// Counters: answers by request, runs by scheduled function, checks by name, and the problems found.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    pub(crate) requests: BTreeMap<String, Answers>,
    pub(crate) runs: BTreeMap<String, Answers>,
    pub(crate) checks: BTreeMap<&'static str, u64>,
    pub(crate) problems: Vec<String>,
    /// Number of problems beyond those in `problems`.
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

    /// Counts the check named `what`, and records a problem unless it `holds`.
    pub(crate) fn check(&self, what: &'static str, holds: bool, problem: impl FnOnce() -> String) {
        *self.lock().checks.entry(what).or_default() += 1;
        if !holds {
            self.complain(format!("{what}: {}", problem()));
        }
    }

    /// Records a problem: keeps and shows the first ones, counts the others.
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
    /// Returns the number of requests that were sent.
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

    /// Returns the number of answers with a status in this range.
    pub(crate) fn within(&self, statuses: std::ops::Range<u16>) -> u64 {
        self.statuses.range(statuses).map(|(_, count)| count).sum()
    }
}

//! What each function cost: starts, errors, database calls, capacity, round trips.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::lock;

/// Counters per function.
pub(crate) struct Stats {
    functions: Mutex<BTreeMap<String, Counters>>,
    /// The calls of each process that has some under way, to tell calls side by side from calls in sequence.
    chains: Mutex<HashMap<String, Chain>>,
}

/// Calls of a process since it last had none under way. A call's place is one more than the highest of those
/// that were answered before it began, so that the highest of all is the number of round trips in sequence.
#[derive(Default)]
struct Chain {
    under_way: usize,
    /// The highest place that was answered.
    answered: u64,
    /// The place of the call that began last, which no other's is above.
    last: u64,
}

/// What one function did since the last reset.
#[derive(Default, Clone, Serialize)]
pub(crate) struct Counters {
    pub(crate) invocations: u64,
    pub(crate) cold_starts: u64,
    /// Of the last cold start: from its begin to the first request for an event.
    pub(crate) init_ms: Option<f64>,
    pub(crate) errors: u64,
    /// Password hashes computed, as the function's log says.
    pub(crate) hashes: u64,
    pub(crate) dynamodb: DatabaseCounters,
    /// KMS calls by operation.
    pub(crate) kms: BTreeMap<String, u64>,
}

/// What one function asked of the database.
#[derive(Default, Clone, Serialize)]
pub(crate) struct DatabaseCounters {
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) rcu: f64,
    pub(crate) wcu: f64,
    /// Units written by table, such as `AccountsTable`, and by index, such as `AccountsTable/list`.
    pub(crate) written: BTreeMap<String, f64>,
    /// Round trips in sequence: the longest chain of calls that each began after the one before was answered.
    pub(crate) steps: u64,
}

/// A database call under way.
pub(crate) struct Call {
    stats: Arc<Stats>,
    process: String,
    place: u64,
}

impl Stats {
    pub(crate) fn new(functions: impl Iterator<Item = String>) -> Self {
        let zero = |id| (id, Counters::default());
        Self { functions: Mutex::new(functions.map(zero).collect()), chains: Mutex::default() }
    }

    /// Changes the counters of `function`; others than the template's are not counted.
    pub(crate) fn count(&self, function: &str, change: impl FnOnce(&mut Counters)) {
        if let Some(counters) = lock(&self.functions).get_mut(function) {
            change(counters);
        }
    }

    /// Counts a database call of `process`, which is under way until the result is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>, function: &str, process: &str, name: &str) -> Call {
        let (place, is_step) = {
            let mut chains = lock(&self.chains);
            let chain = chains.entry(process.to_owned()).or_default();
            chain.under_way += 1;
            let place = chain.answered + 1;
            (place, std::mem::replace(&mut chain.last, place) < place)
        };
        self.count(function, |counters| {
            *counters.dynamodb.calls.entry(name.to_owned()).or_default() += 1;
            counters.dynamodb.steps += u64::from(is_step);
        });
        Call { stats: Arc::clone(self), process: process.to_owned(), place }
    }

    /// Counts what a line of a function's log tells of.
    pub(crate) fn read_log(&self, function: &str, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(hashes) = line["hashes"].as_u64() {
            self.count(function, |counters| counters.hashes += hashes);
        }
    }

    /// The functions that are counted.
    pub(crate) fn functions(&self) -> Vec<String> {
        lock(&self.functions).keys().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        for counters in lock(&self.functions).values_mut() {
            *counters = Counters::default();
        }
    }

    pub(crate) fn report(&self) -> Value {
        json!({"functions": *lock(&self.functions)})
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut chains = lock(&self.stats.chains);
        if let Some(chain) = chains.get_mut(&self.process) {
            chain.under_way -= 1;
            chain.answered = chain.answered.max(self.place);
            if chain.under_way == 0 {
                chains.remove(&self.process);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Arc<Stats> {
        Arc::new(Stats::new(std::iter::once("f".to_owned())))
    }

    fn steps(stats: &Stats) -> u64 {
        lock(&stats.functions)["f"].dynamodb.steps
    }

    #[test]
    fn calls_side_by_side_are_one_step_and_calls_in_sequence_are_many() {
        let stats = stats();
        let begin = || stats.begin_call("f", "process", "GetItem");
        let together = [begin(), begin(), begin()];
        assert_eq!(steps(&stats), 1);
        drop(together);
        drop(begin());
        drop(begin());
        assert_eq!(steps(&stats), 3);
    }

    #[test]
    fn a_call_after_an_answer_is_a_step_whatever_else_is_under_way() {
        let stats = stats();
        let begin = || stats.begin_call("f", "process", "GetItem");
        let (first, slow) = (begin(), begin());
        drop(first);
        let second = begin();
        assert_eq!(steps(&stats), 2);
        drop(slow);
        let beside = begin();
        assert_eq!(steps(&stats), 2, "beside the second");
        drop((second, beside));
        drop(begin());
        assert_eq!(steps(&stats), 3);
    }

    #[test]
    fn calls_of_two_processes_are_steps_of_each() {
        let stats = stats();
        let together = ["one", "another"].map(|process| stats.begin_call("f", process, "GetItem"));
        assert_eq!(steps(&stats), 2);
        drop(together);
    }
}

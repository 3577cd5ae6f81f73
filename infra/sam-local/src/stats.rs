//! Counters per function: invocations, cold starts, errors, database calls, capacity, round trips.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::sync::lock;

/// Counters per function.
pub(crate) struct Stats {
    functions: Mutex<BTreeMap<String, Counters>>,
    /// Names of the numeric log-line fields whose values are summed up.
    log_fields: Vec<String>,
    /// Calls in progress, by process id, to tell parallel calls from sequential ones.
    chains: Mutex<HashMap<String, Chain>>,
}

/// Overlapping database calls of one process. A chain begins with a call while no other is in progress, and
/// ends as soon as none is in progress any more. A call's depth is one more than the greatest depth among the
/// calls of the chain that were answered before it began. So the greatest depth is the number of sequential
/// round trips.
#[derive(Default)]
struct Chain {
    under_way: usize,
    /// Greatest depth among the chain's answered calls.
    answered: u64,
    /// Depth of the latest call, which is also the greatest so far.
    last: u64,
}

/// Counters of one function since the last reset.
#[derive(Default, Clone, Serialize)]
pub(crate) struct Counters {
    pub(crate) invocations: u64,
    pub(crate) cold_starts: u64,
    /// Duration of the last cold start, from the start of the process to its first request for an event.
    pub(crate) init_ms: Option<f64>,
    pub(crate) errors: u64,
    /// Sums of the numeric fields of the function's log lines, by field.
    #[serde(flatten)]
    logged: BTreeMap<String, u64>,
    pub(crate) dynamodb: DatabaseCounters,
    /// Number of KMS calls by operation.
    pub(crate) kms: BTreeMap<String, u64>,
}

/// Counters of one function's database calls.
#[derive(Default, Clone, Serialize)]
pub(crate) struct DatabaseCounters {
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) rcu: f64,
    pub(crate) wcu: f64,
    /// Write units by table (`Orders`) and by index (`Orders/open`).
    pub(crate) written: BTreeMap<String, f64>,
    /// Number of sequential round trips. Parallel calls count as one; a call that begins after another was
    /// answered counts as one more.
    pub(crate) steps: u64,
}

/// A database call in progress. Dropping it marks the call as answered.
pub(crate) struct Call {
    stats: Arc<Stats>,
    process: String,
    depth: u64,
}

impl Stats {
    /// Returns counters at zero for these functions. `log_fields` are the numeric fields of their log lines
    /// that are summed up.
    pub(crate) fn new(
        functions: impl IntoIterator<Item = String>,
        log_fields: Vec<String>,
    ) -> Self {
        let stats = Self { functions: Mutex::default(), log_fields, chains: Mutex::default() };
        let zero = |id| (id, stats.zero());
        *lock(&stats.functions) = functions.into_iter().map(zero).collect();
        stats
    }

    fn zero(&self) -> Counters {
        let logged = self.log_fields.iter().map(|field| (field.clone(), 0)).collect();
        Counters { logged, ..Counters::default() }
    }

    /// Changes the counters of `function`. Does nothing for a function that the template lacks.
    pub(crate) fn count(&self, function: &str, change: impl FnOnce(&mut Counters)) {
        if let Some(counters) = lock(&self.functions).get_mut(function) {
            change(counters);
        }
    }

    /// Counts a database call of `process`. The call is in progress until the returned [`Call`] is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>, function: &str, process: &str, name: &str) -> Call {
        let (depth, is_step) = {
            let mut chains = lock(&self.chains);
            let chain = chains.entry(process.to_owned()).or_default();
            chain.under_way += 1;
            let depth = chain.answered + 1;
            (depth, std::mem::replace(&mut chain.last, depth) < depth)
        };
        self.count(function, |counters| {
            *counters.dynamodb.calls.entry(name.to_owned()).or_default() += 1;
            counters.dynamodb.steps += u64::from(is_step);
        });
        Call { stats: Arc::clone(self), process: process.to_owned(), depth }
    }

    /// Adds the values of the fields `log_fields` in `line`, a log line of the function, to their sums.
    pub(crate) fn read_log(&self, function: &str, line: &str) {
        if self.log_fields.is_empty() {
            return;
        }
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        self.count(function, |counters| {
            for (field, sum) in &mut counters.logged {
                *sum += line[field].as_u64().unwrap_or_default();
            }
        });
    }

    /// Returns the logical ids of the functions.
    pub(crate) fn functions(&self) -> Vec<String> {
        lock(&self.functions).keys().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        for counters in lock(&self.functions).values_mut() {
            *counters = self.zero();
        }
    }

    /// Returns all counters, in JSON.
    pub(crate) fn report(&self) -> Value {
        json!({"functions": *lock(&self.functions)})
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut chains = lock(&self.stats.chains);
        if let Some(chain) = chains.get_mut(&self.process) {
            chain.under_way -= 1;
            chain.answered = chain.answered.max(self.depth);
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
        Arc::new(Stats::new(["f".to_owned()], vec!["bytes".to_owned()]))
    }

    fn steps(stats: &Stats) -> u64 {
        lock(&stats.functions)["f"].dynamodb.steps
    }

    #[test]
    fn parallel_calls_are_one_step_and_sequential_calls_are_many() {
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
    fn calls_of_two_processes_are_counted_apart() {
        let stats = stats();
        let together = ["one", "another"].map(|process| stats.begin_call("f", process, "GetItem"));
        assert_eq!(steps(&stats), 2);
        drop(together);
    }

    #[test]
    fn a_numeric_field_of_the_log_is_summed_up() {
        let stats = stats();
        for line in [r#"{"bytes": 2}"#, "text", r#"{"bytes": 3, "other": 4}"#] {
            stats.read_log("f", line);
        }
        assert_eq!(stats.report()["functions"]["f"]["bytes"], 5);
        stats.reset();
        assert_eq!(stats.report()["functions"]["f"]["bytes"], 0);
    }
}

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
    /// Calls under way per process, to tell calls side by side from calls in sequence.
    in_flight: Mutex<HashMap<String, usize>>,
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
    /// Round trips in sequence: calls made side by side count once.
    pub(crate) steps: u64,
}

/// A database call under way.
pub(crate) struct Call {
    stats: Arc<Stats>,
    process: String,
}

impl Stats {
    pub(crate) fn new(functions: impl Iterator<Item = String>) -> Self {
        let zero = |id| (id, Counters::default());
        Self { functions: Mutex::new(functions.map(zero).collect()), in_flight: Mutex::default() }
    }

    /// Changes the counters of `function`; others than the template's are not counted.
    pub(crate) fn count(&self, function: &str, change: impl FnOnce(&mut Counters)) {
        if let Some(counters) = lock(&self.functions).get_mut(function) {
            change(counters);
        }
    }

    /// Counts a database call of `process`, which is under way until the result is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>, function: &str, process: &str, name: &str) -> Call {
        let alone = {
            let mut in_flight = lock(&self.in_flight);
            let calls = in_flight.entry(process.to_owned()).or_default();
            *calls += 1;
            *calls == 1
        };
        self.count(function, |counters| {
            *counters.dynamodb.calls.entry(name.to_owned()).or_default() += 1;
            counters.dynamodb.steps += u64::from(alone);
        });
        Call { stats: Arc::clone(self), process: process.to_owned() }
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
        let mut in_flight = lock(&self.stats.in_flight);
        if let Some(calls) = in_flight.get_mut(&self.process) {
            *calls -= 1;
            if *calls == 0 {
                in_flight.remove(&self.process);
            }
        }
    }
}

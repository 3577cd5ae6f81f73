//! Samples of resident memory: whether it grows with the number of calls.

use std::collections::BTreeMap;

use sam_local::Stack;
use serde_json::Value;

use crate::Result;
use crate::resident::{Process, processes};

/// Maximum growth of resident memory per call, in KiB; more is taken for a leak. The runtime of a function keeps 0.15
/// KiB of each call, as the README of the bench says.
pub(crate) const MAY_GROW: f64 = 0.5;

/// Calls and resident memory at one time.
struct Sample {
    /// Invocations of all functions.
    calls: f64,
    /// Resident memory of the stack's own process, in KiB.
    stack: f64,
    /// Resident KiB of each process of a function, by process id.
    functions: BTreeMap<u32, f64>,
}

/// Samples, in the order of time.
#[derive(Default)]
pub(crate) struct Samples(Vec<Sample>);

/// Growth of memory in the second half of the soak. Every part of the stack has been used in the first half, so
/// growth after it suggests a leak.
#[derive(Clone, Copy, Default)]
pub(crate) struct Growth {
    pub(crate) calls: f64,
    /// Resident MiB of the stack itself, at the beginning and at the end of the soak's second half.
    pub(crate) stack: (f64, f64),
    /// Resident MiB of all functions together, at the beginning and at the end of the soak's second half.
    pub(crate) functions: (f64, f64),
    /// Growth in KiB per call: of the stack, and of all functions' processes that ran throughout the second
    /// half.
    pub(crate) per_call: (f64, f64),
}

impl Samples {
    pub(crate) fn take(&mut self, stack: &Stack) -> Result<()> {
        let stats = stack.stats();
        let functions = stats["functions"].as_object().into_iter().flatten();
        let calls = functions.filter_map(|(_, function)| function["invocations"].as_f64()).sum();
        let processes = processes()?;
        let kib = |process: &Process| f64::from(process.kib);
        let (own, children): (Vec<_>, Vec<_>) =
            processes.iter().partition(|(_, process)| process.is_own);
        self.0.push(Sample {
            calls,
            stack: own.into_iter().map(|(_, process)| kib(process)).sum(),
            functions: children.into_iter().map(|(id, process)| (*id, kib(process))).collect(),
        });
        Ok(())
    }

    pub(crate) fn growth(&self) -> Growth {
        let (Some(first), Some(last)) = (self.0.get(self.0.len() / 2), self.0.last()) else {
            return Growth::default();
        };
        let calls = (last.calls - first.calls).max(1.0);
        let mib = |sample: &Sample| sample.functions.values().sum::<f64>() / 1_024.0;
        // A process that began or ended meanwhile does not count as growth.
        let grown =
            last.functions.iter().filter_map(|(id, kib)| Some(kib - first.functions.get(id)?));
        Growth {
            calls,
            stack: (first.stack / 1_024.0, last.stack / 1_024.0),
            functions: (mib(first), mib(last)),
            per_call: ((last.stack - first.stack) / calls, grown.sum::<f64>() / calls),
        }
    }
}

impl Growth {
    /// Whether the stack and the functions each grew by no more than [`MAY_GROW`] per call.
    pub(crate) fn is_bounded(self) -> bool {
        self.per_call.0 <= MAY_GROW && self.per_call.1 <= MAY_GROW
    }

    pub(crate) fn document(self) -> Value {
        serde_json::json!({
            "calls": self.calls,
            "stack_mib": self.stack,
            "functions_mib": self.functions,
            "kib_per_call": self.per_call,
        })
    }
}

//! The report of a soak.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Scene;
use super::audit::Audit;
use super::resident::{Growth, MAY_GROW, Samples};
use super::tally::{Answers, Counters};
use crate::report::{date, machine, percentile};
use crate::{Result, Soak};

/// Minimum length of a soak, in minutes, for memory growth to be judged: in a shorter one, processes are not warm for
/// long enough.
const JUDGED_FROM: f64 = 10.0;

/// The results of a soak.
pub(crate) struct Verdict<'a> {
    arguments: &'a Soak,
    counters: Counters,
    growth: Growth,
    audit: &'a Audit,
}

impl<'a> Verdict<'a> {
    pub(crate) fn new(
        arguments: &'a Soak,
        scene: &Scene,
        samples: &Samples,
        audit: &'a Audit,
        purged: bool,
    ) -> Self {
        let growth = samples.growth();
        scene.tally.check("the purge comes to an end", purged, || "accounts are left".to_owned());
        if arguments.minutes >= JUDGED_FROM {
            scene.tally.check("memory does not grow", growth.is_bounded(), || {
                let (stack, functions) = growth.per_call;
                format!("{stack:.2} and {functions:.2} KiB per call, of {MAY_GROW}")
            });
        }
        Self { arguments, counters: scene.tally.counters(), growth, audit }
    }

    pub(crate) fn document(&self) -> Value {
        let answers = |answers: &Answers| json!(answers.statuses);
        let all = |all: &std::collections::BTreeMap<String, Answers>| {
            all.iter()
                .map(|(name, one)| (name.clone(), answers(one)))
                .collect::<serde_json::Map<_, _>>()
        };
        json!({
            "minutes": self.arguments.minutes,
            "requests": all(&self.counters.requests),
            "runs": all(&self.counters.runs),
            "checks": self.counters.checks,
            "problems": self.counters.problems,
            "memory": self.growth.document(),
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.introduction();
        self.answers(&mut text);
        self.checks(&mut text);
        self.memory(&mut text);
        self.problems(&mut text);
        text
    }

    /// Returns an error if the soak found a problem.
    pub(crate) fn result(&self) -> Result<()> {
        let problems = self.counters.problems.len() as u64 + self.counters.further;
        if problems == 0 { Ok(()) } else { Err(format!("{problems} problems").into()) }
    }

    fn introduction(&self) -> String {
        let Audit { accounts, deleted, items, events, dead_letters } = self.audit;
        let arguments = self.arguments;
        format!(
            "{}, {}; {} minutes, {} accounts at the same time, items held for {} ms, {} % of calls to the tables fail.\n\n\
             {accounts} accounts were made and used, {deleted} of them deleted and purged; {} requests, {events} events. At \
             the end the accounts table has {items} items; {dead_letters} dead letters.\n\n",
            date(),
            machine(),
            arguments.minutes,
            arguments.accounts,
            arguments.hold,
            arguments.faults,
            self.counters.sent(),
        )
    }

    fn answers(&self, text: &mut String) {
        text.push_str("| request | answers | 2xx | 404 again | 409 | 429 | 503 | others | p50 ms | p99 ms |\n");
        text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
        for (name, answers) in self.counters.requests.iter().chain(&self.counters.runs) {
            let mut waits = answers.waits.clone();
            waits.sort_by(f64::total_cmp);
            let of = |status: u16| answers.statuses.get(&status).copied().unwrap_or_default();
            let known = answers.within(200..300) + [404, 409, 429, 503].map(of).iter().sum::<u64>();
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.0} |",
                answers.count(),
                answers.within(200..300),
                of(404),
                of(409),
                of(429),
                of(503),
                answers.count() - known,
                percentile(&waits, 50),
                percentile(&waits, 99),
            );
        }
    }

    fn checks(&self, text: &mut String) {
        text.push_str("\n| checked | times |\n|---|--:|\n");
        for (what, times) in &self.counters.checks {
            let _ = writeln!(text, "| {what} | {times} |");
        }
    }

    fn memory(&self, text: &mut String) {
        let Growth { calls, stack, functions, per_call } = self.growth;
        let _ = writeln!(
            text,
            "\n| memory, second half ({calls:.0} calls) | MiB at its beginning | at its end | KiB per call |\n\
             |---|--:|--:|--:|\n\
             | stack | {:.0} | {:.0} | {:.2} |\n\
             | functions | {:.0} | {:.0} | {:.2} |",
            stack.0, stack.1, per_call.0, functions.0, functions.1, per_call.1,
        );
    }

    fn problems(&self, text: &mut String) {
        let Counters { problems, further, .. } = &self.counters;
        if problems.is_empty() {
            text.push_str("\nNo problem.\n");
            return;
        }
        let _ = writeln!(text, "\nProblems, and {further} more:\n");
        for problem in problems {
            let _ = writeln!(text, "- {problem}");
        }
    }
}

//! `tenure watch`: follows an erasure to its verified receipt.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::receipts;
use crate::arguments::Id;
use crate::client::{Call, Client};
use crate::context::Context;
use crate::error::Error;
use crate::receipt::{Keys, Receipt, verify};
use crate::show::{self, harmless, time};
use crate::wire::{Erasure, Overview, Part};

/// Shortest wait between two requests.
const SHORTEST: Duration = Duration::from_millis(500);
/// Longest wait between two requests while the purge is at work.
const WHILE_PURGING: Duration = Duration::from_secs(15);
/// Longest wait between two requests while participants have yet to answer.
const WHILE_AWAITING: Duration = Duration::from_mins(1);
/// Number of failed requests in a row that the watch tolerates. The next failure ends it.
const UNANSWERED: u32 = 10;

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Id of the account
    customer: Id,
    /// Stop after this many seconds, with exit code 7
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Write the receipt to this file
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

impl Watch {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let client = context.client()?;
        let erasure = self.follow(&client)?;
        let (text, receipt) =
            verified(&self.customer, &erasure.receipts, &receipts::fetch(&client)?)?;
        if let Some(path) = &self.receipt {
            std::fs::write(path, format!("{text}\n"))
                .map_err(|problem| Error::file(path, &problem))?;
        }
        receipts::print(&receipt, context)
    }

    /// Polls the erasure and shows its progress until it is complete; returns it.
    fn follow(&self, client: &Client) -> Result<Erasure, Error> {
        let call = Call::get(format!("/v1.0/customers/{}/erasure", self.customer));
        let end = self
            .timeout
            .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        let (mut pace, mut view, mut unanswered) = (Pace::new(), None, 0);
        loop {
            let longest = match client.send(&call) {
                Err(Error::Unreachable(_) | Error::Broken(_)) if unanswered < UNANSWERED => {
                    unanswered += 1;
                    WHILE_PURGING
                }
                Err(error) => return Err(error),
                Ok(answer) => {
                    unanswered = 0;
                    let erasure: Erasure = answer.read()?;
                    view.get_or_insert_with(|| View::new(self.totals(client, &erasure)))
                        .show(&erasure);
                    match course(&erasure) {
                        Course::Complete => return Ok(erasure),
                        Course::Stopped(why) => return Err(Error::Unfinished(why)),
                        Course::UnderWay(longest) => {
                            pace.observe(answer.as_str());
                            longest
                        }
                    }
                }
            };
            let left =
                end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Error::Unfinished("The time is up; the erasure goes on.".to_owned()));
            }
            // The last wait is cut short, so that the erasure is asked for once more at the end.
            thread::sleep(pace.next(longest).min(left));
        }
    }

    /// Returns the number of items of each kind that the account owns, which are the lengths of the progress bars.
    /// Empty unless the purge is due or running. The counts in the erasure do not serve as lengths, because they grow
    /// while the purge runs.
    fn totals(&self, client: &Client, erasure: &Erasure) -> BTreeMap<String, u64> {
        if !matches!(erasure.stage.as_str(), "due" | "running") {
            return BTreeMap::new();
        }
        let overview =
            client.send(&Call::get(format!("/v1.0/customers/{}/overview", self.customer)));
        // A failure is ignored: without totals, the bars end at what was found so far.
        overview
            .and_then(|answer| answer.read::<Overview>())
            .map(|overview| overview.resources)
            .unwrap_or_default()
    }
}

/// Decision whether to go on watching an erasure.
#[derive(Debug, PartialEq, Eq)]
enum Course {
    /// The erasure is complete.
    Complete,
    /// The erasure is in progress: ask again after at most this time.
    UnderWay(Duration),
    /// The erasure does not proceed, for this reason, so the watch ends.
    Stopped(String),
}

fn course(erasure: &Erasure) -> Course {
    let due = || time(erasure.tm_due.as_deref());
    match erasure.stage.as_str() {
        "finished" => Course::Complete,
        "due" | "running" => Course::UnderWay(WHILE_PURGING),
        "awaiting" | "incomplete" => Course::UnderWay(WHILE_AWAITING),
        "scheduled" => {
            Course::Stopped(format!("The erasure has not begun: it is due at {}.", due()))
        }
        "held" => Course::Stopped(
            "The erasure does not begin while the account is held: tenure hold list CUSTOMER"
                .to_owned(),
        ),
        "withdrawn" => {
            Course::Stopped("The erasure was withdrawn: the account was recovered.".to_owned())
        }
        "none" => Course::Stopped("No erasure has been requested: tenure plan CUSTOMER".to_owned()),
        other => Course::Stopped(format!(
            "The erasure is {other}, which this version of tenure does not know."
        )),
    }
}

/// Verifies the last receipt of an erasure. If that receipt supersedes an earlier one, checks that the superseded
/// receipt is the erasure's next-to-last. Returns the last receipt's text and its verified form.
fn verified<'a>(
    customer: &Id,
    receipts: &'a [String],
    keys: &Keys,
) -> Result<(&'a str, Receipt), Error> {
    let (last, earlier) = receipts.split_last().ok_or_else(|| {
        Error::Unfinished(
            "The erasure is finished, and there is no receipt: see the runbook.".to_owned(),
        )
    })?;
    let receipt = verify(last, keys)?;
    receipt.is_of(&customer.to_string())?;
    if receipt.is_superseding() {
        receipt.replaces(earlier.last().map_or("", String::as_str))?;
    }
    Ok((last, receipt))
}

/// Waiting time between requests. It doubles with each wait, and starts again at the shortest when the answer changes.
#[derive(Debug)]
struct Pace {
    wait: Duration,
    last: String,
}

impl Pace {
    const fn new() -> Self {
        Self { wait: SHORTEST, last: String::new() }
    }

    fn observe(&mut self, answer: &str) {
        if answer != self.last {
            answer.clone_into(&mut self.last);
            self.wait = SHORTEST;
        }
    }

    /// Returns the next wait, at most `longest`, and doubles the one after it.
    fn next(&mut self, longest: Duration) -> Duration {
        let wait = self.wait.min(longest);
        self.wait = wait * 2;
        wait
    }
}

/// Shows the progress of an erasure on stderr: bars at a terminal, otherwise a line whenever the stage or a
/// participant's state changes.
struct View {
    totals: BTreeMap<String, u64>,
    screen: MultiProgress,
    stage: ProgressBar,
    kinds: BTreeMap<String, ProgressBar>,
    parts: BTreeMap<String, ProgressBar>,
    said: String,
}

impl View {
    fn new(totals: BTreeMap<String, u64>) -> Self {
        let screen = MultiProgress::new();
        let stage = screen.add(ProgressBar::new(0).with_style(style("{msg}")));
        Self {
            totals,
            screen,
            stage,
            kinds: BTreeMap::new(),
            parts: BTreeMap::new(),
            said: String::new(),
        }
    }

    fn show(&mut self, erasure: &Erasure) {
        self.stage.set_message(harmless(&headline(erasure)));
        for (kind, progress) in &erasure.resources {
            let total = self.totals.get(kind).copied().unwrap_or_default().max(progress.found);
            let bar = self.kinds.entry(kind.clone()).or_insert_with(|| {
                let bar = ProgressBar::new(total)
                    .with_style(style("  {prefix:20} [{bar:40}] {pos} of {len}"));
                self.screen.add(bar.with_prefix(harmless(kind)))
            });
            bar.set_length(total);
            bar.set_position(progress.deleted);
        }
        for part in &erasure.participants {
            let line = self.parts.entry(part.name.clone()).or_insert_with(|| {
                self.screen.add(
                    ProgressBar::new(0)
                        .with_style(style("  {prefix:20} {msg}"))
                        .with_prefix(harmless(&part.name)),
                )
            });
            line.set_message(harmless(&state(part)));
        }
        if !stderr().is_terminal() {
            self.say(erasure);
        }
    }

    fn say(&mut self, erasure: &Erasure) {
        let parts =
            erasure.participants.iter().map(|part| format!("; {}: {}", part.name, state(part)));
        let said = format!("{}{}", headline(erasure), parts.collect::<String>());
        if said != self.said {
            show::note(&said);
            self.said = said;
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        for bar in self.kinds.values().chain(self.parts.values()).chain([&self.stage]) {
            bar.abandon();
        }
    }
}

/// Returns a text about the erasure: its stage, the number of items that the purge leaves alone because it does not
/// know their kind, and the purge's last error.
fn headline(erasure: &Erasure) -> String {
    let stage = match erasure.stage.as_str() {
        "due" => "The erasure is due, and has not begun.",
        "running" => "The purge deletes what the account owns.",
        "awaiting" => "The purge has finished. Participants have yet to answer.",
        "incomplete" => "The purge has finished. A participant is overdue.",
        "finished" => "The erasure is complete.",
        _ => "The erasure has not begun.",
    };
    let left = erasure.quarantined;
    let quarantined =
        (left > 0).then(|| format!("{left} items of unknown kinds are left: see the runbook."));
    let error = erasure.last_error.as_ref().filter(|_| erasure.stage == "running");
    let error = error.map(|error| format!("Last error: {error}"));
    [Some(stage.to_owned()), quarantined, error].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn state(part: &Part) -> String {
    let kind = if part.required { "" } else { ", optional" };
    match part.state.as_str() {
        "completed" | "waived" => format!("{}{kind}", part.state),
        other => format!("{other}{kind}, until {}", time(Some(&part.tm_deadline))),
    }
}

fn style(template: &str) -> ProgressStyle {
    // All templates are literals in this file, so the fallback is never used.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(stage: &str) -> Erasure {
        serde_json::from_str(&format!(
            r#"{{"stage": "{stage}", "tm_due": "2024-07-20T14:22:35Z", "last_error": null}}"#
        ))
        .unwrap()
    }

    #[test]
    fn an_erasure_is_watched_while_waiting_is_of_use() {
        assert_eq!(course(&erasure("finished")), Course::Complete);
        for stage in ["due", "running", "awaiting", "incomplete"] {
            assert!(matches!(course(&erasure(stage)), Course::UnderWay(_)), "{stage}");
        }
        for stage in ["none", "scheduled", "withdrawn", "held", "unheard-of"] {
            assert!(matches!(course(&erasure(stage)), Course::Stopped(_)), "{stage}");
        }
    }

    #[test]
    fn requests_become_rarer_while_nothing_changes() {
        let mut pace = Pace::new();
        pace.observe("a");
        let hour: Duration = (0..80)
            .map(|_| {
                pace.observe("a");
                pace.next(WHILE_AWAITING)
            })
            .sum();
        assert!(hour > Duration::from_hours(1), "80 requests take {hour:?}");
        pace.observe("b");
        assert_eq!(pace.next(WHILE_AWAITING), SHORTEST);
    }

    #[test]
    fn a_finished_erasure_without_a_receipt_is_not_complete() {
        let keys = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y", "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"}]}"#;
        let customer = "5e4a0680-804e-11ec-8477-2fea5968d85b".parse().unwrap();
        let error = verified(&customer, &[], &Keys::read(keys).unwrap()).unwrap_err();
        assert_eq!(error.exit_code(), 7);
    }
}

//! Options of a stack.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use axum::Router;
use serde_json::Value;

use crate::data::Data;

/// How long a table in the same region takes to answer.
const LATENCY: Duration = Duration::from_millis(4);

/// What a stack runs, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// Values for the template's parameters, by name; the others have their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Directory of the functions' executables. A function names its own in
    /// `Metadata.BuildProperties.Binary`.
    pub binaries: PathBuf,
    /// Variables of every function beside those of the template.
    pub environment: BTreeMap<String, String>,
    /// Name of the variable that tells a function how far virtual time is ahead, in seconds; `None`: functions
    /// have the machine's time.
    pub clock_variable: Option<String>,
    /// Invocations before the API is served, such as one that creates a first user.
    pub setup: Vec<Invocation>,
    /// Routes beside those of the template, such as documentation.
    pub routes: Router,
    /// Numeric fields of the functions' log lines that `GET /_local/stats` sums up.
    pub log_fields: Vec<String>,
    /// Where data is kept.
    pub data: Data,
    /// Whether data that an earlier stack has kept is deleted at start.
    pub reset: bool,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Whether log lines are shown on stderr.
    pub echo: bool,
    /// How many log lines, events, messages and dead letters are kept to be shown.
    pub kept: Kept,
    /// Delay of each reply of `DynamoDB`. The embedded one replies within a fraction of a millisecond, a real
    /// table within a few. Without the delay, parallel calls would be counted as sequential round trips.
    pub latency: Duration,
    /// How long every transaction stays in flight and holds its items, so that concurrent writers conflict as
    /// on AWS; zero: not at all.
    pub contention: Duration,
}

/// An invocation of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Logical id of the function. Nothing is invoked if the template lacks it.
    pub function: String,
    /// The event that the function gets.
    pub payload: Value,
}

/// Maximum numbers of entries that a stack keeps to be shown; the oldest are dropped.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Lines that functions wrote.
    pub log_lines: usize,
    /// Events that reached a bus.
    pub events: usize,
    /// Messages that were sent.
    pub mail: usize,
    /// Stream records and asynchronous invocations that were given up.
    pub dead_letters: usize,
}

impl Kept {
    /// Everything: for a stack that does not run for long.
    pub const ALL: Self = Self {
        log_lines: usize::MAX,
        events: usize::MAX,
        mail: usize::MAX,
        dead_letters: usize::MAX,
    };
}

impl Options {
    /// A quiet stack on any port that keeps its data in memory: what a test wants.
    #[must_use]
    pub fn in_memory(template: impl Into<PathBuf>, binaries: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            parameters: BTreeMap::new(),
            binaries: binaries.into(),
            environment: BTreeMap::new(),
            clock_variable: None,
            setup: Vec::new(),
            routes: Router::new(),
            log_fields: Vec::new(),
            data: Data::InMemory,
            reset: false,
            port: 0,
            echo: false,
            kept: Kept::ALL,
            latency: LATENCY,
            contention: Duration::ZERO,
        }
    }
}

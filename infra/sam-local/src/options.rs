//! Options of a stack.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use axum::Router;
use serde_json::Value;

use crate::data::Data;

/// Default delay of a reply: the time that a table in the same region takes to answer.
const LATENCY: Duration = Duration::from_millis(4);

/// Options of a stack: the template, its executables, the data, and the behaviour of the played services.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// Values for the template's parameters, by name; the others have their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Directory of the functions' executables. The template names each function's executable in
    /// `Metadata.BuildProperties.Binary`.
    pub binaries: PathBuf,
    /// Environment variables of every function beside those of the template.
    pub environment: BTreeMap<String, String>,
    /// Name of the environment variable that tells a function the seconds by which virtual time is ahead; `None`:
    /// functions have the machine's time.
    pub clock_variable: Option<String>,
    /// Invocations that are made before the API is served, such as one that creates a first user.
    pub setup: Vec<Invocation>,
    /// Routes beside those of the template, such as documentation.
    pub routes: Router,
    /// Numeric fields of the functions' log lines that `GET /_local/stats` sums up.
    pub log_fields: Vec<String>,
    /// Place where the stack keeps its data.
    pub data: Data,
    /// Whether the stack deletes the data of an earlier stack when it starts.
    pub reset: bool,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Whether log lines are shown on stderr.
    pub echo: bool,
    /// Maximum numbers of log lines, events, messages and dead letters that the stack keeps to be shown.
    pub kept: Kept,
    /// Delay of each reply of `DynamoDB`. The embedded one replies within a fraction of a millisecond, a real
    /// table within a few. Without the delay, parallel calls would be counted as sequential round trips.
    pub latency: Duration,
    /// Time for which every transaction stays in flight and locks its items, so that concurrent writers conflict as on
    /// AWS; zero: not at all.
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
    /// Stream records and asynchronous invocations that failed after the last retry.
    pub dead_letters: usize,
}

impl Kept {
    /// No limits, for a stack that runs only for a short time.
    pub const ALL: Self = Self {
        log_lines: usize::MAX,
        events: usize::MAX,
        mail: usize::MAX,
        dead_letters: usize::MAX,
    };
}

impl Options {
    /// Returns options that suit a test: any free port, data in memory, and no log lines on stderr.
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

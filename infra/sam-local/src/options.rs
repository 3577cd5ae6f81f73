//! Options of a stack.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use axum::Router;
use serde_json::Value;

use crate::data::Data;

/// Default of [`Options::latency`]: about the time in which a table in the same region replies.
const LATENCY: Duration = Duration::from_millis(4);

/// Options of a stack: the template, its executables, the data, and the behaviour of the emulated services.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// Values for the template's parameters, by name. Parameters that are not listed have their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Directory of the functions' executables. The template names each function's executable in
    /// `Metadata.BuildProperties.Binary`.
    pub binaries: PathBuf,
    /// Environment variables that every function gets in addition to those of the template.
    pub environment: BTreeMap<String, String>,
    /// Name of the environment variable that tells a function by how many seconds virtual time is ahead of
    /// the machine's clock; `None`: functions use the machine's time.
    pub clock_variable: Option<String>,
    /// Invocations that are made before the API is served, such as one that creates a first user.
    pub setup: Vec<Invocation>,
    /// Routes that the stack serves in addition to those of the template, such as documentation.
    pub routes: Router,
    /// Numeric fields of the functions' log lines that `GET /_local/stats` sums up.
    pub log_fields: Vec<String>,
    /// Place where the stack keeps its data.
    pub data: Data,
    /// Whether the stack, when it starts, deletes the data that an earlier stack has kept.
    pub reset: bool,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// Whether log lines are shown on stderr.
    pub echo: bool,
    /// Maximum numbers of log lines, events, messages and dead letters that the stack keeps for display.
    pub kept: Kept,
    /// Delay of each reply of `DynamoDB`. The embedded `DynamoDB` replies within a fraction of a millisecond,
    /// a real table within a few milliseconds. Without the delay, calls made in parallel would often not
    /// overlap, and be counted as sequential round trips.
    pub latency: Duration,
    /// Time for which every transaction stays in flight with its items locked, so that concurrent writers
    /// conflict as on AWS. If zero, a transaction executes at once.
    pub contention: Duration,
}

/// An invocation of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Logical id of the function. If the template has no such function, nothing is invoked.
    pub function: String,
    /// The event that the function gets.
    pub payload: Value,
}

/// Maximum number of entries of each kind that a stack keeps for display; the oldest are dropped.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Maximum number of log lines that functions wrote.
    pub log_lines: usize,
    /// Maximum number of events that were put on a bus.
    pub events: usize,
    /// Maximum number of mail messages that functions sent.
    pub mail: usize,
    /// Maximum number of dead letters: stream batches and asynchronous invocations whose last retry failed.
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

//! Log output of the stack and its functions.

use std::{collections::VecDeque, sync::Mutex};

use crate::sync::lock;

/// Speaker of the stack's own messages on stderr.
const STACK: &str = "local";

/// Keeps the last lines that functions wrote, and echoes everything on stderr if asked to.
pub(crate) struct Console {
    echo: bool,
    /// Number of lines kept; older ones are dropped.
    capacity: usize,
    lines: Mutex<VecDeque<String>>,
}

impl Console {
    pub(crate) fn new(echo: bool, capacity: usize) -> Self {
        Self { echo, capacity, lines: Mutex::default() }
    }

    /// Shows a message of the stack itself.
    pub(crate) fn say(&self, message: &str) {
        self.show(STACK, message);
    }

    /// Keeps and shows a line that a function wrote.
    pub(crate) fn relay(&self, function: &str, line: String) {
        self.show(function, &line);
        let mut lines = lock(&self.lines);
        lines.push_back(line);
        if lines.len() > self.capacity {
            lines.pop_front();
        }
    }

    /// Lines kept, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    #[expect(clippy::print_stderr, reason = "log output of a command-line program")]
    fn show(&self, speaker: &str, message: &str) {
        if self.echo {
            eprintln!("[{speaker}] {message}");
        }
    }
}

//! Log output of the stack and its functions.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::history::History;

/// Prefix of the stack's own messages on stderr.
const STACK: &str = "local";

/// Keeps the last lines that functions wrote, and echoes everything on stderr if asked to.
pub(crate) struct Console {
    echo: AtomicBool,
    lines: History<String>,
}

impl Console {
    pub(crate) const fn new(echo: bool, capacity: usize) -> Self {
        Self { echo: AtomicBool::new(echo), lines: History::new(capacity) }
    }

    /// Turns the echo on stderr on or off.
    pub(crate) fn set_echo(&self, echo: bool) {
        self.echo.store(echo, Ordering::Relaxed);
    }

    /// Shows a message of the stack itself.
    pub(crate) fn say(&self, message: &str) {
        self.show(STACK, message);
    }

    /// Keeps and shows a line that a function wrote.
    pub(crate) fn relay(&self, function: &str, line: String) {
        self.show(function, &line);
        self.lines.push(line);
    }

    /// Returns the lines kept, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.entries()
    }

    #[expect(clippy::print_stderr, reason = "log output of a command-line program")]
    fn show(&self, speaker: &str, message: &str) {
        if self.echo.load(Ordering::Relaxed) {
            eprintln!("[{speaker}] {message}");
        }
    }
}

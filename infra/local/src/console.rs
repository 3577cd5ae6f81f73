//! What the stack and its functions say.

use std::{collections::VecDeque, sync::Mutex};

use crate::lock;

/// Keeps the lines that the functions wrote, and shows them on stderr if asked to.
pub(crate) struct Console {
    echo: bool,
    /// How many lines are kept; those before are forgotten.
    most: usize,
    lines: Mutex<VecDeque<String>>,
}

impl Console {
    pub(crate) fn new(echo: bool, most: usize) -> Self {
        Self { echo, most, lines: Mutex::default() }
    }

    /// A message of the stack's own.
    pub(crate) fn say(&self, message: &str) {
        self.show("local", message);
    }

    /// A line a function wrote.
    pub(crate) fn relay(&self, function: &str, line: String) {
        self.show(function, &line);
        let mut lines = lock(&self.lines);
        lines.push_back(line);
        if lines.len() > self.most {
            lines.pop_front();
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    #[expect(clippy::print_stderr, reason = "a command-line program talks to people on stderr")]
    fn show(&self, speaker: &str, message: &str) {
        if self.echo {
            eprintln!("[{speaker}] {message}");
        }
    }
}

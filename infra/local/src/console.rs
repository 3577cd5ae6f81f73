//! What the stack and its functions say.

use std::sync::Mutex;

use crate::lock;

/// Keeps every line the functions wrote, and shows it on stderr if asked to.
pub(crate) struct Console {
    echo: bool,
    lines: Mutex<Vec<String>>,
}

impl Console {
    pub(crate) fn new(echo: bool) -> Self {
        Self { echo, lines: Mutex::default() }
    }

    /// A message of the stack's own.
    pub(crate) fn say(&self, message: &str) {
        self.show("local", message);
    }

    /// A line a function wrote.
    pub(crate) fn relay(&self, function: &str, line: String) {
        self.show(function, &line);
        lock(&self.lines).push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    #[expect(clippy::print_stderr, reason = "a command-line program talks to people on stderr")]
    fn show(&self, speaker: &str, message: &str) {
        if self.echo {
            eprintln!("[{speaker}] {message}");
        }
    }
}

//! Reads input that must stay out of command-line arguments and of the shell's history: user names,
//! passwords, personal data.
//!
//! At a terminal, the user is prompted for each value; otherwise each is a line of stdin.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use crate::error::Error;
use crate::profile::Secret;

/// Maximum number of bytes that are read from a file: 4 MiB. The rest is ignored.
const MAX_FILE: u64 = 4 << 20;

/// Reads a line, such as a user name.
pub(crate) fn line(question: &str) -> Result<String, Error> {
    if io::stdin().is_terminal() {
        // Stdin can be read even if stderr cannot be written.
        let _ = write!(io::stderr(), "{question}: ").and_then(|()| io::stderr().flush());
    }
    next_line(question)
}

/// Reads a secret: at a terminal without echo.
pub(crate) fn secret(question: &str) -> Result<Secret, Error> {
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{question}: ")).map_err(|problem| {
            Error::Usage(format!("{question}: cannot be read from the terminal: {problem}."))
        })?;
        return Ok(Secret::new(typed));
    }
    next_line(question).map(Secret::new)
}

fn next_line(question: &str) -> Result<String, Error> {
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(0) => Err(Error::Usage(format!(
            "{question}: is missing; type it, or send it as a line of stdin."
        ))),
        Ok(_) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(problem) => Err(Error::Usage(format!("{question}: {problem}."))),
    }
}

/// Reads a text file; `-` is stdin.
pub(crate) fn file(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    read.map_err(|problem| Error::file(path, &problem))?;
    Ok(text)
}

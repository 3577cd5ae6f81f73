//! Writes all output for people and programs to stdout and stderr, except prompts and progress bars.
//!
//! Names, reasons and messages are other people's text. In a terminal, control characters could move the cursor, change
//! its title or type commands, and bidirectional controls could reorder the text. Both kinds are shown as escapes.

use std::io::{self, Write as _};

use unicode_width::UnicodeWidthStr as _;

use crate::error::Error;

/// Prints one JSON document on stdout, as one line.
pub(crate) fn json(document: &str) -> Result<(), Error> {
    Ok(writeln!(io::stdout(), "{}", harmless_json(document))?)
}

/// Prints a line for people on stdout.
pub(crate) fn line(line: &str) -> Result<(), Error> {
    Ok(writeln!(io::stdout(), "{}", harmless(line))?)
}

/// Prints a table for people on stdout.
pub(crate) fn table(table: &Table) -> Result<(), Error> {
    Ok(io::stdout().write_all(table.to_text().as_bytes())?)
}

/// Prints text of this program itself, such as a script, on stdout without escapes.
pub(crate) fn script(text: &[u8]) -> Result<(), Error> {
    Ok(io::stdout().write_all(text)?)
}

/// Prints a message on stderr.
pub(crate) fn note(message: &str) {
    for line in message.lines() {
        // If stderr cannot be written, there is nowhere to report it.
        let _ = writeln!(io::stderr(), "{}", harmless(line));
    }
}

/// Prints why a command failed.
pub(crate) fn complain(message: &str) {
    note(&format!("tenure: {}", message.replace('\n', "\n  ")));
}

/// Columns of text, as wide as their widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table with these headings. An empty slice gives a table without headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>();
        Self { rows: if headings.is_empty() { Vec::new() } else { vec![headings] } }
    }

    /// Appends a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.into_iter().map(harmless).collect());
    }

    fn to_text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell: &String| cell.width())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| line_of(row, &widths)).collect()
    }
}

fn line_of(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// Returns `text` with escapes for control characters and for invisible characters that change a terminal's
/// layout.
pub(crate) fn harmless(text: &str) -> String {
    let escaped = |character: char| {
        if is_obeyed(character) {
            character.escape_default().to_string()
        } else {
            character.to_string()
        }
    };
    text.chars().map(escaped).collect()
}

/// Returns `document` in one line, with the characters that a terminal would obey as JSON escapes. This keeps
/// the JSON value: in JSON, such characters occur only in strings, except for white space, which becomes
/// spaces.
fn harmless_json(document: &str) -> String {
    let escaped = |character: char| match character {
        '\n' | '\r' | '\t' => " ".to_owned(),
        _ if is_obeyed(character) => format!("\\u{:04x}", u32::from(character)),
        _ => character.to_string(),
    };
    document.chars().map(escaped).collect()
}

/// Whether the character is a control, or an invisible character that can change the layout or order of the text around
/// it.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns a timestamp of the API without the fraction of a second, for people; a dash if there is none.
pub(crate) fn time(time: Option<&str>) -> String {
    let Some(time) = time else { return "–".to_owned() };
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 8] = [
        "\u{1b}]0;title\u{7}",
        "\u{1b}[2J",
        "\u{9b}2J",
        "a\rb",
        "a\nb",
        "\u{8}\u{8}",
        "\u{202e}txt.exe",
        "\u{2066}x\u{2069}",
    ];

    #[test]
    fn characters_that_a_terminal_obeys_are_escaped() {
        for text in HOSTILE {
            assert!(!harmless(text).chars().any(is_obeyed), "{text:?}");
        }
        assert_eq!(harmless("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(harmless("Zoë & 株式会社 \u{1f600}"), "Zoë & 株式会社 \u{1f600}");
    }

    #[test]
    fn escaped_json_is_one_harmless_line_and_means_the_same() {
        for text in HOSTILE {
            // JSON allows some of the characters unescaped in a string.
            let raw = format!("{{\n\"a\": {}\n}}", serde_json::to_string(text).unwrap());
            let line = harmless_json(&raw);
            assert!(!line.chars().any(is_obeyed), "{line:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["a"], text);
        }
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(["株式会社", "active"]);
        table.row(["\u{1b}[1m", "x"]);
        assert_eq!(table.to_text(), "NAME       STATUS\n株式会社   active\n\\u{1b}[1m  x\n");
    }

    #[test]
    fn times_have_no_fraction() {
        assert_eq!(time(Some("2024-07-20T15:00:04.200346Z")), "2024-07-20T15:00:04Z");
        assert_eq!(time(Some("2024-07-20T15:00:04Z")), "2024-07-20T15:00:04Z");
        assert_eq!(time(None), "–");
    }
}

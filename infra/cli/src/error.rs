//! Reasons why a command fails, each with a message for people and an exit code for programs.

use std::fmt::{self, Display, Formatter};
use std::io;

use crate::receipt::NotGenuine;
use crate::wire::Refusal;

/// The exit codes, as `--help` shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the API
  2  wrong usage, or a file that cannot be read or written
  3  not signed in
  4  changed since: the plan or what it was decided on is outdated; nothing was done
  5  the API cannot be reached, or does not work
  6  the receipt is not genuine
  7  the erasure is not complete";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The API refused the request.
    Refused(Refusal),
    /// The account has changed since it was read: the plan is outdated, or a precondition fails.
    Changed(Refusal),
    /// The token is missing, has expired, or is not accepted.
    SignedOut(String),
    /// An argument, a file or some input is invalid.
    Usage(String),
    /// There was no response, or one that is not from the API.
    Unreachable(String),
    /// The API answered that it does not work at the moment: status 500 or 503.
    Broken(Refusal),
    /// A receipt is not genuine.
    Receipt(NotGenuine),
    /// An erasure is not complete, or has not begun.
    Unfinished(String),
    /// Stdout cannot be written.
    Output(io::Error),
}

impl Error {
    /// Returns the exit code of the process, as documented in [`EXIT_CODES`].
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) | Self::Output(_) => 2,
            Self::SignedOut(_) => 3,
            Self::Changed(_) => 4,
            Self::Unreachable(_) | Self::Broken(_) => 5,
            Self::Receipt(_) => 6,
            Self::Unfinished(_) => 7,
        }
    }

    /// Returns the error for a file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, problem: &io::Error) -> Self {
        Self::Usage(format!("{}: {problem}.", path.display()))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) | Self::Changed(refusal) | Self::Broken(refusal) => {
                refusal.fmt(f)
            }
            Self::SignedOut(why)
            | Self::Usage(why)
            | Self::Unreachable(why)
            | Self::Unfinished(why) => f.write_str(why),
            Self::Receipt(why) => write!(f, "NOT GENUINE: {why}."),
            Self::Output(problem) => write!(f, "The output cannot be written: {problem}."),
        }
    }
}

impl From<NotGenuine> for Error {
    fn from(why: NotGenuine) -> Self {
        Self::Receipt(why)
    }
}

impl From<io::Error> for Error {
    fn from(problem: io::Error) -> Self {
        Self::Output(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        serde_json::from_str(r#"{"status": "A", "reason": "B", "message": "C", "request_id": "D"}"#)
            .unwrap()
    }

    #[test]
    fn every_exit_code_is_documented() {
        let errors = [
            Error::Refused(refusal()),
            Error::Usage(String::new()),
            Error::Output(io::Error::other("")),
            Error::SignedOut(String::new()),
            Error::Changed(refusal()),
            Error::Unreachable(String::new()),
            Error::Broken(refusal()),
            Error::Receipt(NotGenuine::Signature),
            Error::Unfinished(String::new()),
        ];
        for error in errors {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", error.exit_code())), "{error:?}");
        }
    }

    #[test]
    fn a_refusal_names_message_reason_and_request() {
        let said = Error::Refused(refusal()).to_string();
        assert!(said.contains('C') && said.contains("B, request D"), "{said}");
    }
}

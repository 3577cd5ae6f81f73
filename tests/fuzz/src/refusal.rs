//! Refusals: what a client is told.

use pure::domain::Error;
use pure::http::{Reply, message};

/// The longest message, in characters: a rule of ours, and the names of the fields there are.
const LONGEST: usize = 1_000;

/// Requires a refusal to be the client's mistake, told in few words, and returns the field that it names.
pub(crate) fn check(error: &Error) -> String {
    let status = Reply::error(error, "").status();
    assert!((400..500).contains(&status), "{status}: {error:?}");
    let message = message(error);
    let length = message.chars().count();
    assert!((1..=LONGEST).contains(&length), "{message}");
    let field = match error {
        Error::InvalidField(name, _) | Error::RepeatedParameter(name) => name,
        Error::UnknownParameter { name, .. } => name,
        Error::InvalidParameter(name, _) | Error::UnsupportedHeader(name) => *name,
        _ => "",
    };
    field.to_owned()
}

/// Requires a refusal to name one of these fields.
pub(crate) fn names(error: &Error, fields: &[&str]) {
    let field = check(error);
    assert!(fields.contains(&field.as_str()), "{field}: {error:?}");
}

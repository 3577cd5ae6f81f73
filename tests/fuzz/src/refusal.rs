//! Checks of refusals: status, message, and the field that is named.

use pure::domain::Error;
use pure::http::{Reply, message};

/// Maximum length of an error message, in characters: enough for the rule that is broken and the names of all accepted
/// fields.
const LONGEST: usize = 1_000;

/// Checks that a refusal is a client error (4xx) with a short message. Returns the field that it names; empty if none.
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

/// Checks that a refusal names one of `fields`.
pub(crate) fn check_field(error: &Error, fields: &[&str]) {
    let field = check(error);
    assert!(fields.contains(&field.as_str()), "{field}: {error:?}");
}

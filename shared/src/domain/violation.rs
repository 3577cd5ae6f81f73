//! Why a field of a request is refused.

use std::fmt;

/// Why a field is refused. `Display` writes it so that it can follow the field's name in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The field is required but absent.
    Missing,
    /// The field was sent more than once.
    Duplicate,
    /// The field is unknown; contains the list of known fields.
    Unknown(String),
    /// The value breaks a rule; contains the rule in words, such as "must have at least 8 characters".
    Value(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Duplicate => f.write_str("is there more than once"),
            Self::Unknown(known) => write!(f, "is not a field here; known: {known}"),
            Self::Value(rule) => f.write_str(rule),
        }
    }
}

impl From<&str> for Violation {
    fn from(rule: &str) -> Self {
        Self::Value(rule.to_owned())
    }
}

impl From<String> for Violation {
    fn from(rule: String) -> Self {
        Self::Value(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_told_in_words_that_follow_the_fields_name() {
        let rule = "must be a boolean";
        for (violation, words) in [
            (Violation::Missing, "is missing"),
            (Violation::Duplicate, "is there more than once"),
            (Violation::Unknown("`name`".to_owned()), "is not a field here; known: `name`"),
            (rule.into(), rule),
            (rule.to_owned().into(), rule),
        ] {
            assert_eq!(violation.to_string(), words);
        }
    }
}

//! Arguments that several commands take.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use clap::Args;

/// Id of an account, a delivery or another object: a UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id(String);

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |(place, byte): (usize, u8)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        if text.len() == 36 && text.bytes().enumerate().all(is_allowed) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("must be a UUID, as `tenure customers list` shows it")
        }
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a hold: 1 to 40 of `a` to `z`, digits and `-`.
#[derive(Clone, Debug)]
pub(crate) struct HoldName(String);

impl FromStr for HoldName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&name.len()) && name.bytes().all(is_allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err("must be 1 to 40 lower-case letters, digits and -")
        }
    }
}

impl Display for HoldName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Limit on the number of rows shown from a list.
#[derive(Debug, Args)]
pub(crate) struct Rows {
    /// Show at most this many rows
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "all")]
    limit: u32,
    /// Show all rows
    #[arg(long)]
    all: bool,
}

impl Rows {
    /// Returns the maximum number of rows to show; `None` means no limit.
    pub(crate) fn limit(&self) -> Option<usize> {
        (!self.all).then_some(self.limit as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_hold_names_stay_in_their_segment_of_the_path() {
        assert!(
            "5E4a0680-804e-11ec-8477-2fea5968d85b"
                .parse::<Id>()
                .is_ok_and(|id| id.to_string().starts_with("5e4a"))
        );
        for bad in [
            "",
            "5e4a0680804e11ec84772fea5968d85b",
            "../..0680-804e-11ec-8477-2fea5968d85b",
            "5e4a0680-804e-11ec-8477-2fea5968d85?",
        ] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
        for bad in ["", "a/b", "..", "A", "é"] {
            assert!(bad.parse::<HoldName>().is_err(), "{bad}");
        }
    }
}

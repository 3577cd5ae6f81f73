//! How an operator looks for accounts: what can be asked, and where a page of the answer starts.

use std::fmt;

use super::value::{Email, FromText as _, Name};
use super::{Customer, Error, Id, Status, Timestamp};

/// What can be asked, by its name in the query.
pub const PARAMETERS: [&str; 6] =
    ["status", "deleted", "created_after", "created_before", "name", "email"];

/// The accounts that an operator looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those of a status, or all that are not deleted; newest first.
    Created {
        /// The status, if one is asked for.
        status: Option<Status>,
        /// Created later than this.
        after: Option<Timestamp>,
        /// Created earlier than this.
        before: Option<Timestamp>,
    },
    /// Those whose names begin like this, whatever the case; in the order of their names.
    Named(NamePrefix),
    /// The one with this address.
    Email(Email),
}

/// The beginning of a name, as far as accounts are found by it: 64 characters, in lower case. `Debug` does
/// not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePrefix(String);

/// Where a page starts: behind this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// In the order of creation; without an id, behind all that were created at this time.
    Created(Timestamp, Option<Id<Customer>>),
    /// In the order of names; which is its own is to be read, if the account is at this version still. A
    /// token says no name.
    Named(Id<Customer>, u64),
}

impl NamePrefix {
    const LENGTH: usize = 64;

    /// Of a whole name; none if the name is empty.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        // Letter by letter: what follows makes no difference to a beginning.
        let lower: String = name.chars().flat_map(char::to_lowercase).take(Self::LENGTH).collect();
        (!lower.is_empty()).then_some(Self(lower))
    }

    /// Of what somebody asks for, if a name can begin like this and it is not longer than what accounts
    /// are found by.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.chars().flat_map(char::to_lowercase).count() <= Self::LENGTH;
        Name::from_text(text).filter(|_| fits).and_then(|name| Self::of(name.expose()))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NamePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamePrefix(…)")
    }
}

impl Filter {
    /// Reads what is asked; `value` gives a parameter's value, if it was sent.
    pub fn parse<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Error> {
        for alone in ["email", "name"] {
            let others = PARAMETERS.into_iter().filter(|other| *other != alone);
            let mut others = others.filter(|other| value(other).is_some());
            if let Some(other) = others.next().filter(|_| value(alone).is_some()) {
                return Err(wrong(
                    alone,
                    &format!("cannot be combined with {other}; {COMBINABLE}"),
                ));
            }
        }
        if let Some(text) = value("email") {
            let email = Email::from_text(text).filter(|email| email.canonical().is_some());
            let rule = "must be an e-mail address such as name@example.com";
            return email.map(Self::Email).ok_or_else(|| wrong("email", rule));
        }
        if let Some(text) = value("name") {
            let rule = "must be the beginning of a name, of 1 to 64 characters";
            return NamePrefix::parse(text).map(Self::Named).ok_or_else(|| wrong("name", rule));
        }
        let time = |name| {
            let rule = "must be a time as answers show it, such as 2024-01-15T10:30:00Z";
            let read = |text| Timestamp::parse(text).ok_or_else(|| wrong(name, rule));
            value(name).map(read).transpose()
        };
        let (after, before) = (time("created_after")?, time("created_before")?);
        if after.is_some_and(|after| before.is_some_and(|before| before <= after)) {
            return Err(wrong("created_before", "must be later than created_after"));
        }
        Ok(Self::Created { status: status(value("status"), value("deleted"))?, after, before })
    }

    /// Reads where a page starts, in the text that [`Filter::token`] writes.
    #[must_use]
    pub fn cursor(&self, token: &str) -> Option<Cursor> {
        match self {
            Self::Created { status, after, before } => {
                let token = match status {
                    Some(status) => token.strip_prefix(status.name())?.strip_prefix('~')?,
                    None => token,
                };
                let (time, id) = match token.split_once('~') {
                    Some((time, id)) => (time, Some(Id::parse(id)?)),
                    None => (token, None),
                };
                let time = Timestamp::parse(time)?;
                let is_within = after.is_none_or(|after| after < time)
                    && before.is_none_or(|before| time < before);
                is_within.then_some(Cursor::Created(time, id))
            }
            Self::Named(_) => {
                let (id, version) = token.strip_prefix("name~")?.split_once('~')?;
                let number =
                    version.parse::<u64>().ok().filter(|one| one.to_string() == version)?;
                Some(Cursor::Named(Id::parse(id)?, number))
            }
            Self::Email(_) => None,
        }
    }

    /// Where the next page starts, as text that means nothing to any other filter.
    #[must_use]
    pub fn token(&self, cursor: &Cursor) -> String {
        let status = match self {
            Self::Created { status: Some(status), .. } => format!("{}~", status.name()),
            _ => String::new(),
        };
        match cursor {
            Cursor::Created(time, None) => format!("{status}{time}"),
            Cursor::Created(time, Some(id)) => format!("{status}{time}~{id}"),
            Cursor::Named(id, version) => format!("name~{id}~{version}"),
        }
    }
}

/// What is said to who wants to go on behind an account that has changed, and may be elsewhere by now.
#[must_use]
pub fn moved() -> Error {
    let rule = "leads nowhere any more, as the account at which that page ended has changed; start again \
                without it";
    wrong("page_token", rule)
}

const COMBINABLE: &str = "status, deleted, created_after and created_before can be combined with each \
                          other, name and email with nothing";

fn wrong(parameter: &'static str, rule: &str) -> Error {
    Error::InvalidParameter(parameter, rule.to_owned())
}

/// `deleted=true` is another way to say `status=deleted`.
fn status(status: Option<&str>, deleted: Option<&str>) -> Result<Option<Status>, Error> {
    let rule = "must be initial, active, frozen or deleted";
    let read = |text| Status::parse(text).ok_or_else(|| wrong("status", rule));
    let status = status.map(read).transpose()?;
    match (deleted, status) {
        (None, status) => Ok(status),
        (Some("false"), Some(Status::Deleted)) => {
            Err(wrong("deleted", "cannot be false with status=deleted"))
        }
        (Some("false"), status) => Ok(status),
        (Some("true"), None | Some(Status::Deleted)) => Ok(Some(Status::Deleted)),
        (Some("true"), Some(_)) => Err(wrong("deleted", "cannot be true with another status")),
        (Some(_), _) => Err(wrong("deleted", "must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(query: &[(&str, &'static str)]) -> Result<Filter, String> {
        let value =
            |name: &str| query.iter().find(|(sent, _)| *sent == name).map(|(_, text)| *text);
        Filter::parse(value).map_err(|error| match error {
            Error::InvalidParameter(name, rule) => format!("{name}: {rule}"),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (query, names) in [
            (&[("name", "a"), ("status", "active")][..], "name"),
            (&[("email", "a@b.c"), ("name", "a")], "email"),
            (&[("email", "a@b.c"), ("deleted", "true")], "email"),
            (&[("name", "a"), ("created_after", "2024-01-15T10:30:00Z")], "name"),
            (&[("status", "Active")], "status"),
            (&[("status", "")], "status"),
            (&[("deleted", "1")], "deleted"),
            (&[("deleted", "true"), ("status", "frozen")], "deleted"),
            (&[("deleted", "false"), ("status", "deleted")], "deleted"),
            (&[("created_after", "2024-01-15")], "created_after"),
            (&[("created_before", "2024-01-15T10:30:00.0Z")], "created_before"),
            (
                &[
                    ("created_after", "2024-01-15T10:30:00Z"),
                    ("created_before", "2024-01-15T10:30:00Z"),
                ],
                "created_before",
            ),
            (&[("name", "")], "name"),
            (&[("name", "a\u{1f}")], "name"),
            (&[("email", "")], "email"),
            (&[("email", "[withheld]")], "email"),
        ] {
            let refused = parse(query).expect_err("refused");
            assert!(refused.starts_with(&format!("{names}: ")), "{query:?}: {refused}");
        }
    }

    #[test]
    fn deleted_is_a_status() {
        assert_eq!(parse(&[("deleted", "true")]), parse(&[("status", "deleted")]));
        assert_eq!(parse(&[("deleted", "false")]), parse(&[]));
    }

    /// Everything that can be asked, with and without bounds.
    fn filters() -> Vec<Filter> {
        let mut filters = vec![parse(&[("name", "Ab")]).unwrap()];
        for status in [None, Some("initial"), Some("active"), Some("frozen"), Some("deleted")] {
            let status: Vec<_> = status.map(|text| ("status", text)).into_iter().collect();
            filters.push(parse(&status).unwrap());
        }
        filters
    }

    #[test]
    fn a_token_of_another_filter_means_nothing() {
        let (id, time) = (Id::new(Timestamp::MAX, [1; 10]), Timestamp::from_micros(1).unwrap());
        for filter in filters() {
            let cursor = match &filter {
                Filter::Named(_) => Cursor::Named(id, 7),
                _ => Cursor::Created(time, Some(id)),
            };
            let token = filter.token(&cursor);
            assert_eq!(filter.cursor(&token), Some(cursor), "{token}");
            for other in filters().into_iter().filter(|other| *other != filter) {
                assert_eq!(other.cursor(&token), None, "{token} to {other:?}");
            }
            assert_eq!(parse(&[("email", "a@b.c")]).unwrap().cursor(&token), None);
        }
        // A place outside the bounds is a place of another list.
        let bounded = parse(&[("created_after", "2024-01-15T10:30:00Z")]).unwrap();
        assert_eq!(bounded.cursor("2024-01-15T10:30:00Z"), None);
        assert!(bounded.cursor("2024-01-15T10:30:00.000001Z").is_some());
    }

    #[test]
    fn names_begin_alike_whatever_the_case() {
        let name = |text: &str| NamePrefix::of(text).unwrap().0;
        for (whole, start) in [("ÄCME Corp", "äc"), ("ΟΔΟΣΑ", "ΟΔΟΣ"), ("İz", "i"), ("a~b", "A~")]
        {
            assert!(name(whole).starts_with(&NamePrefix::parse(start).unwrap().0), "{whole}");
        }
        assert_eq!(NamePrefix::parse(&"x".repeat(65)), None);
        assert!(NamePrefix::parse(&"x".repeat(64)).is_some());
    }

    proptest! {
        /// Names of any length fit into a key, and are found by any of their beginnings.
        #[test]
        fn a_name_is_found_by_its_beginning(name in "\\PC{1,300}", length in 1..64_usize) {
            let whole = NamePrefix::of(&name).unwrap();
            prop_assert!(whole.0.len() <= 256);
            let start: String = name.chars().take(length).collect();
            if let Some(start) = NamePrefix::parse(&start) {
                prop_assert!(whole.0.starts_with(&start.0));
            }
        }

        #[test]
        fn whatever_token_is_sent_is_read_or_refused(token in "\\PC{0,80}") {
            for filter in filters() {
                if let Some(cursor) = filter.cursor(&token) {
                    prop_assert_eq!(filter.token(&cursor), token.clone());
                }
            }
        }
    }
}

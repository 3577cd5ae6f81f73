//! Search for accounts: filters, and the cursors of their pages.

use std::fmt;

use super::mark::Mark;
use super::value::{Email, FromText, Name, TextViolation, fold};
use super::{Customer, Error, Id, Status, Timestamp};

/// A search by an operator: the accounts to list, and their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Accounts with a status, or all that are not deleted; newest first.
    Created {
        /// The status; `None` for all that are not deleted.
        status: Option<Status>,
        /// Created after this, exclusive.
        after: Option<Timestamp>,
        /// Created before this, exclusive.
        before: Option<Timestamp>,
    },
    /// Accounts whose names begin with this prefix, in the order of their names.
    Named(NamePrefix),
    /// Accounts whose current address, verified or not, or retained address is this one; newest first.
    Email(Email),
    /// Accounts in a state such as held or suspended, newest first; those with [`Mark::Scheduled`] by the
    /// date of their deletion, earliest first.
    Marked(Mark),
}

/// The beginning of a name, with its case [folded](fold): 192 characters at most. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePrefix(String);

/// The position after which a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// In a list by time of creation: the account's time of creation and its id; without an id, after all
    /// accounts that were created at this time.
    Created(Timestamp, Option<Id<Customer>>),
    /// In a list by name: the account's id and version. Its name is looked up, so that page tokens contain no
    /// names; the cursor becomes invalid when the account's version changes.
    Named(Id<Customer>, u64),
    /// In the list of accounts with an e-mail address: the account's id.
    Email(Id<Customer>),
    /// In the list of accounts with a mark: the time by which the account is sorted in that list, and its id.
    Marked(Timestamp, Id<Customer>),
}

impl NamePrefix {
    /// Maximum number of characters that are kept of a folded name, so that name and id fit into a sort key.
    const MAX_FOLDED: usize = 192;

    /// Maximum number of characters of a text to search for. Case folding turns one character into at most three, with
    /// few exceptions, so that the folded text fits into [`MAX_FOLDED`](Self::MAX_FOLDED).
    const MAX_SEARCHED: usize = 64;

    /// Returns the prefix under which accounts with this name are listed: the folded name, cut to 192 characters.
    /// `None` if the name is empty.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let folded: String = fold(name).chars().take(Self::MAX_FOLDED).collect();
        (!folded.is_empty()).then_some(Self(folded))
    }

    /// Returns the text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a text is refused as the beginning of a name to search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixViolation {
    /// The prefix is empty, or longer than 64 characters, or longer than 192 with its case folded.
    Length,
    /// The prefix breaks this rule of names.
    Name(TextViolation),
}

impl fmt::Display for PrefixViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("must be the beginning of a name, of 1 to 64 characters"),
            Self::Name(violation) => violation.fmt(f),
        }
    }
}

impl FromText for NamePrefix {
    type Violation = PrefixViolation;
    fn from_text(text: &str) -> Result<Self, PrefixViolation> {
        let name = Name::from_text(text).map_err(PrefixViolation::Name)?;
        let fits = text.chars().count() <= Self::MAX_SEARCHED
            && fold(name.expose()).chars().count() <= Self::MAX_FOLDED;
        Self::of(name.expose()).filter(|_| fits).ok_or(PrefixViolation::Length)
    }
    fn rule() -> String {
        "the beginning of a name".to_owned()
    }
}

impl fmt::Debug for NamePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamePrefix(…)")
    }
}

impl Filter {
    /// Returns the cursor in a page token that [`Filter::token`] wrote for this filter; `None` if `token` is anything
    /// else.
    #[must_use]
    pub fn cursor(&self, token: &str) -> Option<Cursor> {
        // Ids and numbers can also be spelled in ways that `token` never writes.
        self.read(token).filter(|cursor| self.token(cursor) == token)
    }

    fn read(&self, token: &str) -> Option<Cursor> {
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
                Some(Cursor::Named(Id::parse(id)?, version.parse().ok()?))
            }
            Self::Email(_) => Some(Cursor::Email(Id::parse(token.strip_prefix("email~")?)?)),
            Self::Marked(mark) => {
                let token = token.strip_prefix(mark.name())?.strip_prefix('~')?;
                let (time, id) = token.split_once('~')?;
                Some(Cursor::Marked(Timestamp::parse(time)?, Id::parse(id)?))
            }
        }
    }

    /// Returns the page token for this cursor, to be used with this filter only.
    #[must_use]
    pub fn token(&self, cursor: &Cursor) -> String {
        let list = match self {
            Self::Created { status: Some(status), .. } => format!("{}~", status.name()),
            Self::Marked(mark) => format!("{}~", mark.name()),
            _ => String::new(),
        };
        match cursor {
            Cursor::Created(time, None) => format!("{list}{time}"),
            Cursor::Created(time, Some(id)) | Cursor::Marked(time, id) => {
                format!("{list}{time}~{id}")
            }
            Cursor::Named(id, version) => format!("name~{id}~{version}"),
            Cursor::Email(id) => format!("email~{id}"),
        }
    }
}

/// Returns the error for a page token that has become invalid: the account at which its page ended has
/// changed since, and may have moved within the list.
#[must_use]
pub fn moved() -> Error {
    let rule = "leads nowhere any more, as the account at which that page ended has changed; start again \
                without it";
    Error::InvalidParameter("page_token", rule.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    /// Returns filters of every kind, without time bounds.
    fn filters() -> Vec<Filter> {
        let statuses = [Status::Initial, Status::Active, Status::Frozen, Status::Deleted];
        let of = |status| Filter::Created { status, after: None, before: None };
        let email = Email::from_text("a@b.c").unwrap();
        let named = Filter::Named(NamePrefix::of("Ab").unwrap());
        let mut filters = vec![named, Filter::Email(email), of(None)];
        filters.extend(statuses.map(|status| of(Some(status))));
        filters.extend(Mark::ALL.map(Filter::Marked));
        filters
    }

    #[test]
    fn a_page_token_of_another_filter_is_refused() {
        let (id, time) = (Id::new(Timestamp::MAX, [1; 10]), Timestamp::from_micros(1).unwrap());
        for filter in filters() {
            let cursor = match &filter {
                Filter::Named(_) => Cursor::Named(id, 7),
                Filter::Email(_) => Cursor::Email(id),
                Filter::Marked(_) => Cursor::Marked(time, id),
                Filter::Created { .. } => Cursor::Created(time, Some(id)),
            };
            let token = filter.token(&cursor);
            assert_eq!(filter.cursor(&token), Some(cursor), "{token}");
            for other in filters().into_iter().filter(|other| *other != filter) {
                assert_eq!(other.cursor(&token), None, "{token} to {other:?}");
            }
        }
        // A cursor outside of the filter's bounds belongs to another list.
        let bound = Timestamp::parse("2024-01-15T10:30:00Z");
        for (after, before, inside) in [
            (bound, None, "2024-01-15T10:30:00.000001Z"),
            (None, bound, "2024-01-15T10:29:59.999999Z"),
        ] {
            let bounded = Filter::Created { status: None, after, before };
            assert_eq!(bounded.cursor("2024-01-15T10:30:00Z"), None);
            assert!(bounded.cursor(inside).is_some(), "{inside}");
        }
    }

    #[test]
    fn a_malformed_page_token_is_refused() {
        let all = Filter::Created { status: None, after: None, before: None };
        for token in [
            "-000001-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2024-01-15T10:30:00.0Z",
            "2024-01-15T10:30:00+00:00",
            "2024-01-15T10:30:00Z~",
            "2024-01-15T10:30:00Z~x",
            "x",
            "",
        ] {
            assert_eq!(all.cursor(token), None, "{token}");
        }
    }

    #[test]
    fn a_page_token_has_one_spelling() {
        for filter in filters() {
            let (id, time) = ("0190b5a2-7c1e-7c3a-9d0e-1b2c3d4e5f60", Timestamp::MAX);
            let token = |id: &str| match &filter {
                Filter::Named(_) => format!("name~{id}~7"),
                Filter::Email(_) => format!("email~{id}"),
                Filter::Marked(mark) => format!("{}~{time}~{id}", mark.name()),
                Filter::Created { status: Some(status), .. } => {
                    format!("{}~{time}~{id}", status.name())
                }
                Filter::Created { .. } => format!("{time}~{id}"),
            };
            assert!(filter.cursor(&token(id)).is_some(), "{}", token(id));
            let other = token(&id.to_uppercase());
            assert_eq!(filter.cursor(&other), None, "{other}");
        }
        let named = Filter::Named(NamePrefix::of("a").unwrap());
        assert_eq!(named.cursor("name~0190b5a2-7c1e-7c3a-9d0e-1b2c3d4e5f60~07"), None);
    }

    #[test]
    fn a_name_is_found_in_any_case_and_composition() {
        let starts = |whole: &str, prefix: &str| {
            let prefix = NamePrefix::from_text(prefix).unwrap();
            NamePrefix::of(whole).unwrap().expose().starts_with(prefix.expose())
        };
        for (whole, prefix) in [
            ("Παπαδόπουλος", "ΠΑΠΑΔΌΠΟΥΛΟΣ"),
            ("Straße 7", "STRASSE"),
            ("STRASSE 7", "Straße"),
            ("ÄCME Corp", "äc"),
            ("José Ltd", "JOSE\u{301}"),
            ("Jose\u{301} Ltd", "josé"),
            ("ΟΔΟΣΑ", "ΟΔΟΣ"),
            ("한국어", "한"),
            ("İz", "i"),
            ("a~b", "A~"),
        ] {
            assert!(starts(whole, prefix), "{whole} {prefix}");
        }
        for (whole, prefix) in [("Strase", "Straße"), ("Acme", "Äc"), ("Ilk", "ı")] {
            assert!(!starts(whole, prefix), "{whole} {prefix}");
        }
    }

    #[test]
    fn the_length_of_a_prefix_is_limited() {
        let read = |text: &str| NamePrefix::from_text(text);
        assert!(read(&"x".repeat(64)).is_ok());
        assert!(read(&"한".repeat(64)).is_ok());
        for text in [String::new(), "x".repeat(65), "\u{1f82}".repeat(64)] {
            assert_eq!(read(&text), Err(PrefixViolation::Length));
        }
        assert!(matches!(read("a\u{1f}"), Err(PrefixViolation::Name(_))));
    }

    proptest! {
        /// Names of any length fit into a key, and any prefix of a name finds it.
        #[test]
        fn a_name_is_found_by_its_beginning(name in "\\PC{1,255}", length in 1..64_usize) {
            let whole = NamePrefix::of(&name).unwrap();
            prop_assert!(whole.0.len() <= 768);
            let cuts_a_character =
                name.chars().nth(length).is_some_and(|next| canonical_combining_class(next) != 0);
            prop_assume!(!cuts_a_character);
            let prefix: String = name.chars().take(length).collect();
            for spelling in [prefix.clone(), prefix.to_lowercase(), fold(&prefix)] {
                if let Ok(prefix) = NamePrefix::from_text(&spelling) {
                    prop_assert!(whole.0.starts_with(&prefix.0));
                }
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

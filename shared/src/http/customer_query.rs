//! The query of the list of accounts: its parameters, and the filter that they form.

use super::accepts::{PAGE_SIZE, PAGE_TOKEN};
use crate::domain::find::{Filter, NamePrefix};
use crate::domain::mark::Mark;
use crate::domain::time::Round;
use crate::domain::value::{Email, FromText};
use crate::domain::{Error, Status, Timestamp};

/// Query parameters of the list of accounts: filters, page size and page token.
pub const CUSTOMER_QUERY: &[&str] = &[
    PAGE_SIZE,
    PAGE_TOKEN,
    "status",
    "deleted",
    "created_after",
    "created_before",
    "name",
    "email",
    SORT,
    HOLD,
    SUSPENDED,
    WEBHOOKS,
];

const SORT: &str = "sort";
const HOLD: &str = "hold";
const SUSPENDED: &str = "suspended";
const WEBHOOKS: &str = "webhooks";

/// Filters that cannot be combined with any other; only page size and page token may be sent with them.
const ALONE: [&str; 5] = ["email", "name", HOLD, SUSPENDED, WEBHOOKS];

const COMBINABLE: &str = "status, deleted, created_after and created_before can be combined with each \
                          other, status=frozen with sort=due, the others with nothing";

/// Returns the filter that the query asks for. `value` returns the value of a parameter, if it was sent.
pub(super) fn parse<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Filter, Error> {
    for alone in ALONE {
        let others =
            CUSTOMER_QUERY.iter().filter(|other| ![PAGE_SIZE, PAGE_TOKEN, alone].contains(other));
        let mut others = others.filter(|other| value(other).is_some());
        if let Some(other) = others.next().filter(|_| value(alone).is_some()) {
            return Err(invalid(alone, format!("cannot be combined with {other}; {COMBINABLE}")));
        }
    }
    if let Some(text) = value("email") {
        let email = text_parameter::<Email>("email", text)?;
        if email.canonical().is_none() {
            let rule = "must be an e-mail address such as name@example.com";
            return Err(invalid("email", rule.to_owned()));
        }
        return Ok(Filter::Email(email));
    }
    if let Some(text) = value("name") {
        return text_parameter::<NamePrefix>("name", text).map(Filter::Named);
    }
    if let Some(mark) = mark(&value)? {
        return Ok(Filter::Marked(mark));
    }
    // The bounds are exclusive, and accounts' times are whole microseconds. So a bound with more decimals
    // excludes the same accounts if it is rounded away from those that it includes.
    let time = |name, round| {
        let rule = "must be an RFC 3339 time such as 2024-01-15T10:30:00Z";
        let read = |text: &str| {
            let moment = Timestamp::parse_rfc3339(&with_plus(text), round);
            moment.ok_or_else(|| invalid(name, rule.to_owned()))
        };
        value(name).map(read).transpose()
    };
    let (after, before) = (time("created_after", Round::Down)?, time("created_before", Round::Up)?);
    if after.is_some_and(|after| before.is_some_and(|before| before <= after)) {
        return Err(invalid("created_before", "must be later than created_after".to_owned()));
    }
    Ok(Filter::Created { status: status(value("status"), value("deleted"))?, after, before })
}

/// Returns the [`Mark`] that the query filters by (held, suspended, failing webhook, or scheduled for
/// deletion), if any.
fn mark<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Mark>, Error> {
    let flags = [
        (HOLD, "true", Mark::Held),
        (SUSPENDED, "true", Mark::Suspended),
        (WEBHOOKS, "failing", Mark::FailingWebhook),
        (SORT, "due", Mark::Scheduled),
    ];
    for (name, only, mark) in flags {
        match value(name) {
            None => {}
            Some(text) if text != only => {
                return Err(invalid(name, format!("must be {only}, or be left out")));
            }
            Some(_) if mark == Mark::Scheduled => return only_frozen(value).map(|()| Some(mark)),
            Some(_) => return Ok(Some(mark)),
        }
    }
    Ok(None)
}

/// Refuses to sort by the date of deletion, unless the query lists all frozen accounts.
fn only_frozen<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Result<(), Error> {
    if value("status") != Some(Status::Frozen.name()) {
        let rule = "needs status=frozen, as only frozen accounts have a date to sort by";
        return Err(invalid(SORT, rule.to_owned()));
    }
    let mut others = ["deleted", "created_after", "created_before"].into_iter();
    match others.find(|other| value(other).is_some()) {
        Some(other) => Err(invalid(SORT, format!("cannot be combined with {other}; {COMBINABLE}"))),
        None => Ok(()),
    }
}

/// Returns `time` with the `+` of its UTC offset restored: a `+` that the client has not escaped as `%2B` is
/// decoded as a space.
fn with_plus(time: &str) -> String {
    let is_offset = time.len().checked_sub("+00:00".len());
    match is_offset.and_then(|at| time.split_at_checked(at)) {
        Some((moment, offset)) => moment.to_owned() + &offset.replace(' ', "+"),
        None => time.to_owned(),
    }
}

fn text_parameter<T: FromText>(name: &'static str, text: &str) -> Result<T, Error> {
    T::from_text(text).map_err(|violation| invalid(name, violation.to_string()))
}

/// Returns the status to filter by; `deleted=true` is another way to say `status=deleted`.
fn status(status: Option<&str>, deleted: Option<&str>) -> Result<Option<Status>, Error> {
    let refused = |name, rule: &str| Err(invalid(name, rule.to_owned()));
    let status = match status.map(Status::parse) {
        Some(None) => return refused("status", "must be initial, active, frozen or deleted"),
        known => known.flatten(),
    };
    match (deleted, status) {
        (None, status) => Ok(status),
        (Some("false"), Some(Status::Deleted)) => {
            refused("deleted", "cannot be false with status=deleted")
        }
        (Some("false"), status) => Ok(status),
        (Some("true"), None | Some(Status::Deleted)) => Ok(Some(Status::Deleted)),
        (Some("true"), Some(_)) => refused("deleted", "cannot be true with another status"),
        (Some(_), _) => refused("deleted", "must be true or false"),
    }
}

fn invalid(parameter: &'static str, rule: String) -> Error {
    Error::InvalidParameter(parameter, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &'static str)]) -> Result<Filter, String> {
        let value =
            |name: &str| query.iter().find(|(sent, _)| *sent == name).map(|(_, text)| *text);
        parse(value).map_err(|error| match error {
            Error::InvalidParameter(name, rule) => format!("{name}: {rule}"),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn an_invalid_query_is_refused_by_the_name_of_its_parameter() {
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
            (&[("created_before", "-0001-01-15T10:30:00Z")], "created_before"),
            (&[("created_before", "10000-01-15T10:30:00Z")], "created_before"),
            (
                &[
                    ("created_after", "2024-01-15T10:30:00Z"),
                    ("created_before", "2024-01-15T10:30:00Z"),
                ],
                "created_before",
            ),
            (&[("hold", "false")], "hold"),
            (&[("hold", "true"), ("suspended", "true")], "hold"),
            (&[("suspended", "yes")], "suspended"),
            (&[("suspended", "true"), ("status", "active")], "suspended"),
            (&[("webhooks", "true")], "webhooks"),
            (&[("webhooks", "failing"), ("sort", "due")], "webhooks"),
            (&[("sort", "due")], "sort"),
            (&[("sort", "due"), ("status", "active")], "sort"),
            (&[("sort", "name"), ("status", "frozen")], "sort"),
            (&[("sort", "due"), ("status", "frozen"), ("deleted", "false")], "sort"),
            (
                &[("sort", "due"), ("status", "frozen"), ("created_after", "2024-01-15T10:30:00Z")],
                "sort",
            ),
            (&[("name", "")], "name"),
            (&[("name", "a\u{1f}")], "name"),
            (&[("email", "")], "email"),
            (&[("email", "[email protected]")], "email"),
            (&[("email", "[withheld]")], "email"),
        ] {
            let refused = read(query).expect_err("refused");
            assert!(refused.starts_with(&format!("{names}: ")), "{query:?}: {refused}");
        }
    }

    #[test]
    fn a_state_is_listed_by_its_mark() {
        for (query, mark) in [
            (&[("hold", "true")][..], Mark::Held),
            (&[("suspended", "true")], Mark::Suspended),
            (&[("webhooks", "failing")], Mark::FailingWebhook),
            (&[("status", "frozen"), ("sort", "due")], Mark::Scheduled),
        ] {
            assert_eq!(read(query), Ok(Filter::Marked(mark)), "{query:?}");
        }
    }

    #[test]
    fn deleted_is_a_status() {
        assert_eq!(read(&[("deleted", "true")]), read(&[("status", "deleted")]));
        assert_eq!(read(&[("deleted", "false")]), read(&[]));
    }

    #[test]
    fn a_plus_that_is_not_escaped_is_read() {
        for text in ["2024-01-15T10:30:00 00:00", "2024-01-15 10:30:00 00:00"] {
            assert!(read(&[("created_after", text)]).is_ok(), "{text}");
        }
    }

    #[test]
    fn bounds_are_rounded_towards_what_they_exclude() {
        let at = |text| Timestamp::parse(text).unwrap();
        let bounds = |query: &[(&str, &'static str)]| match read(query) {
            Ok(Filter::Created { after, before, .. }) => (after, before),
            other => panic!("{other:?}"),
        };
        let text = "2024-01-15T10:30:00.1234567Z";
        assert_eq!(bounds(&[("created_after", text)]).0, Some(at("2024-01-15T10:30:00.123456Z")));
        assert_eq!(bounds(&[("created_before", text)]).1, Some(at("2024-01-15T10:30:00.123457Z")));
    }
}

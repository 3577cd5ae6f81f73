//! Moments in time, to the microsecond.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC. Shown as RFC 3339 with `Z`, up to microseconds, trailing zeros dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The end of time.
    pub const MAX: Self = Self(jiff::Timestamp::MAX);

    /// The moment `micros` microseconds after 1970; `None` past the year 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(micros).ok().map(Self)
    }

    /// Reads the form that [`Display`](fmt::Display) writes and nothing else, so that a moment has
    /// one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = Self(text.parse().ok()?);
        (moment.to_string() == text).then_some(moment)
    }

    /// This moment and `duration` later, or the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration).unwrap_or(jiff::Timestamp::MAX))
    }

    /// This much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration).unwrap_or(jiff::Timestamp::MIN))
    }

    /// How long it is from this moment until `later`; nothing, if that is over.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.duration_since(self.0).try_into().unwrap_or_default()
    }

    /// The beginning of this moment's day.
    #[must_use]
    pub fn day(self) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        let seconds = self.seconds() - self.seconds().rem_euclid(DAY);
        Self::from_micros(seconds * 1_000_000).unwrap_or(self)
    }

    /// 27 characters, always six decimals: sorts as text in the order of time.
    #[must_use]
    pub fn fixed(self) -> String {
        format!("{:.6}", self.0)
    }

    /// Reads the form that [`fixed`](Self::fixed) writes and nothing else.
    #[must_use]
    pub fn parse_fixed(text: &str) -> Option<Self> {
        let moment = Self(text.parse().ok()?);
        (moment.fixed() == text).then_some(moment)
    }

    /// How long it has been since `earlier`; nothing if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).try_into().unwrap_or_default()
    }

    /// Whole seconds since 1970, as DynamoDB's time to live wants them.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

/// A month of the calendar, in UTC. Shown as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(jiff::civil::Date);

impl Month {
    /// The month that `moment` is in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(jiff::tz::Offset::UTC.to_datetime(moment.0).date().first_of_month())
    }

    /// Reads the form that [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let month = Self(format!("{text}-01").parse().ok()?);
        (month.to_string() == text).then_some(month)
    }

    /// The month after it; none at the end of time.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(jiff::Span::new().months(1)).ok().map(Self)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn shows_no_trailing_zeros() {
        let second = at("2024-01-15T10:30:00Z");
        assert_eq!(second.to_string(), "2024-01-15T10:30:00Z");
        assert_eq!(
            second.plus(Duration::from_micros(120)).to_string(),
            "2024-01-15T10:30:00.00012Z"
        );
        assert_eq!(second.fixed(), "2024-01-15T10:30:00.000000Z");
    }

    #[test]
    fn a_day_begins_at_midnight() {
        for moment in ["2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999999Z"] {
            assert_eq!(at(moment).day(), at("2024-02-29T00:00:00Z"));
        }
        assert_eq!(at("1969-12-31T23:00:00Z").day(), at("1969-12-31T00:00:00Z"));
    }

    #[test]
    fn has_one_spelling() {
        for text in [
            "2024-01-15T10:30:00+00:00",
            "2024-01-15T10:30:00.0Z",
            "2024-01-15 10:30:00Z",
            "2024-01-15",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn months_follow_each_other() {
        let month = Month::of(at("2026-12-31T23:59:59.999999Z"));
        assert_eq!(month.to_string(), "2026-12");
        assert_eq!(month.next(), Month::parse("2027-01"));
        for text in ["2026-13", "2026-1", "26-01", "2026-01-01", ""] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }

    #[test]
    fn thirty_days_cross_a_leap_day() {
        let scheduled = at("2024-02-10T00:00:00Z").plus(Duration::from_hours(30 * 24));
        assert_eq!(scheduled, at("2024-03-11T00:00:00Z"));
    }
}

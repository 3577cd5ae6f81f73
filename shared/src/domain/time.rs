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
    fn thirty_days_cross_a_leap_day() {
        let scheduled = at("2024-02-10T00:00:00Z").plus(Duration::from_hours(30 * 24));
        assert_eq!(scheduled, at("2024-03-11T00:00:00Z"));
    }
}

//! Times, to the microsecond.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// A time in UTC. Shown as RFC 3339 with `Z`, up to microseconds, trailing zeros dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The latest time that can be represented: 9999-12-30T22:00:00.999999999Z.
    pub const MAX: Self = Self(jiff::Timestamp::MAX);

    /// The beginning of the year 0. Earlier times cannot be written in RFC 3339.
    const START: Self = Self(jiff::Timestamp::constant(-62_167_219_200, 0));

    /// Returns the time `micros` microseconds after the Unix epoch; `None` if it is later than
    /// [`MAX`](Self::MAX) or earlier than [`jiff::Timestamp::MIN`], in the year -9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(micros).ok().map(Self)
    }

    /// Parses a time in the form that [`Display`](fmt::Display) writes; `None` for any other spelling, or for
    /// a time before the year 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = Self(text.parse().ok()?);
        (Self::START <= moment && moment.to_string() == text).then_some(moment)
    }

    /// Parses a time in any spelling of RFC 3339, and rounds it to the microsecond; `None` if `text` has
    /// another form. Times after 9999-12-30T22:00:00Z become that time; times before the year 0 become its
    /// beginning.
    #[must_use]
    pub fn parse_rfc3339(text: &str, round: Round) -> Option<Self> {
        let (civil, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
        if !has_form(civil, "0000-00-00T00:00:00") {
            return None;
        }
        let civil: DateTime = format!("{}T{}", &civil[..10], &civil[11..]).parse().ok()?;
        let (fraction, offset) = match rest.strip_prefix('.') {
            Some(rest) => {
                rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?)
            }
            None => ("", rest),
        };
        let seconds = civil.duration_since(EPOCH).as_secs() - offset_seconds(offset)?;
        let micros = seconds * 1_000_000 + microseconds(fraction, round);
        let end = jiff::Timestamp::MAX.as_second() * 1_000_000;
        Self::from_micros(micros.min(end)).map(|moment| moment.max(Self::START))
    }

    /// Returns the time `duration` later, at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration).unwrap_or(jiff::Timestamp::MAX))
    }

    /// Returns the time `duration` earlier, at least [`jiff::Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration).unwrap_or(jiff::Timestamp::MIN))
    }

    /// Returns the duration from this time until `later`; zero if `later` is earlier.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.duration_since(self.0).try_into().unwrap_or_default()
    }

    /// Returns the beginning of the day, in UTC.
    #[must_use]
    pub fn day(self) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        let seconds = self.seconds() - self.seconds().rem_euclid(DAY);
        Self::from_micros(seconds * 1_000_000).unwrap_or(self)
    }

    /// Returns the time as text of 27 characters, always with six decimals. Such texts sort chronologically.
    #[must_use]
    pub fn fixed(self) -> String {
        format!("{:.6}", self.0)
    }

    /// Parses a time in the form that [`fixed`](Self::fixed) writes; `None` for any other text.
    #[must_use]
    pub fn parse_fixed(text: &str) -> Option<Self> {
        let moment = Self(text.parse().ok()?);
        (moment.fixed() == text).then_some(moment)
    }

    /// Returns the duration from `earlier` until this time; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).try_into().unwrap_or_default()
    }

    /// Returns the whole seconds since the Unix epoch, the unit of DynamoDB's time to live.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

/// Direction in which a time with more than six decimals is rounded to a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the earlier microsecond.
    Down,
    /// To the later microsecond.
    Up,
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Whether `text` matches the pattern `form`: a digit for each `0`, and the same character for any other; a
/// `t` or a space may stand for a `T`.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            other => byte == other,
        })
}

/// Returns the seconds by which an offset such as `+05:30` is ahead of UTC; `None` if `offset` is malformed.
fn offset_seconds(offset: &str) -> Option<i64> {
    let (sign, ahead) = match offset.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", ahead) => (1, ahead),
        ("-", ahead) => (-1, ahead),
        _ => return None,
    };
    if !has_form(ahead, "00:00") {
        return None;
    }
    let (hours, minutes): (i64, i64) = (ahead[..2].parse().ok()?, ahead[3..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

/// Converts the decimal digits of a fraction of a second to microseconds, rounded as `round` says.
fn microseconds(fraction: &str, round: Round) -> i64 {
    let (first, finer) = fraction.split_at(fraction.len().min(6));
    let micros: i64 = format!("{first:0<6}").parse().unwrap_or_default();
    let is_finer = finer.bytes().any(|digit| digit != b'0');
    micros + i64::from(is_finer && round == Round::Up)
}

/// A calendar month in UTC. Shown as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(jiff::civil::Date);

impl Month {
    /// Returns the month that `moment` is in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(jiff::tz::Offset::UTC.to_datetime(moment.0).date().first_of_month())
    }

    /// Parses a month in the form that [`Display`](fmt::Display) writes; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let month = Self(format!("{text}-01").parse().ok()?);
        (month.to_string() == text).then_some(month)
    }

    /// Returns the next month; `None` after the last.
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
    use proptest::prelude::*;

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
    fn a_fixed_form_is_read_and_no_other() {
        let second = at("2024-01-15T10:30:00Z");
        assert_eq!(Timestamp::parse_fixed("2024-01-15T10:30:00.000000Z"), Some(second));
        for text in ["2024-01-15T10:30:00Z", "2024-01-15T10:30:00.0000000Z", "x"] {
            assert_eq!(Timestamp::parse_fixed(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_between_two_moments_is_zero_in_the_wrong_direction() {
        let (early, late) = (at("2024-01-15T10:30:00Z"), at("2024-01-15T10:30:07Z"));
        let between = Duration::from_secs(7);
        assert_eq!((early.until(late), late.since(early)), (between, between));
        assert_eq!((late.until(early), early.since(late)), (Duration::ZERO, Duration::ZERO));
        assert_eq!((early.plus(between), late.minus(between)), (late, early));
    }

    #[test]
    fn a_day_begins_at_midnight() {
        for moment in ["2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999999Z"] {
            assert_eq!(at(moment).day(), at("2024-02-29T00:00:00Z"));
        }
        assert_eq!(at("1969-12-31T23:00:00Z").day(), at("1969-12-31T00:00:00Z"));
    }

    #[test]
    fn only_the_canonical_spelling_is_parsed() {
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
    fn times_as_clients_print_them_are_read() {
        for (text, moment) in [
            // JavaScript, Go, Python, Java, Swift.
            ("2024-01-15T10:30:00.120Z", "2024-01-15T10:30:00.12Z"),
            ("2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00Z"),
            ("2024-01-15T10:30:00.120000000Z", "2024-01-15T10:30:00.12Z"),
            ("2024-01-15T10:30:00+00:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15T10:30:00.120000+00:00", "2024-01-15T10:30:00.12Z"),
            ("2024-01-15 10:30:00+00:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15T16:00:00+05:30", "2024-01-15T10:30:00Z"),
            ("2024-01-14T23:30:00-11:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15T10:30:00-00:00", "2024-01-15T10:30:00Z"),
            ("2024-01-15t10:30:00z", "2024-01-15T10:30:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z"),
            ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text, Round::Down), Some(at(moment)), "{text}");
        }
        for end in ["9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59"] {
            let moment = Timestamp::parse_rfc3339(end, Round::Up).unwrap();
            assert!(at("9999-12-30T21:59:59Z") < moment && moment <= Timestamp::MAX, "{end}");
        }
    }

    #[test]
    fn a_finer_time_is_rounded_in_the_direction_of_its_bound() {
        let text = "2024-01-15T10:30:59.9999990000001Z";
        let read = |round| Timestamp::parse_rfc3339(text, round).unwrap();
        assert_eq!(read(Round::Down), at("2024-01-15T10:30:59.999999Z"));
        assert_eq!(read(Round::Up), at("2024-01-15T10:31:00Z"));
    }

    #[test]
    fn other_texts_than_rfc_3339_times_are_refused() {
        for text in [
            "",
            "2024-01-15",
            "2024-01-15T10:30Z",
            "2024-01-15T10:30:00",
            "2024-01-15T10:30:00.Z",
            "2024-01-15T10:30:00,5Z",
            "2024-01-15T10:30:00.5",
            "2024-01-15T10:30:00+0000",
            "2024-01-15T10:30:00+00",
            "2024-01-15T10:30:00+24:00",
            "2024-01-15T10:30:00+05:60",
            "2024-01-15T10:30:00ZZ",
            "2024-01-15T10:30:00Z[UTC]",
            "2024-01-15_10:30:00Z",
            "2024-02-30T10:30:00Z",
            "2024-13-01T10:30:00Z",
            "2024-01-15T24:00:00Z",
            "2024-01-15T10:60:00Z",
            "-0001-01-15T10:30:00Z",
            "-000001-01-15T10:30:00Z",
            "+010000-01-15T10:30:00Z",
            "10000-01-15T10:30:00Z",
            "20240115T103000Z",
            "1705314600",
            "２024-01-15T10:30:00Z",
            "2024-01-15T10:30:0é",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text, Round::Down), None, "{text}");
        }
    }

    #[test]
    fn moments_before_the_year_0_have_no_form() {
        for text in ["-000001-12-31T23:59:59Z", "-0001-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_spelling_of_one_moment_is_one_and_two_moments_stay_two(
            micros in -62_167_219_200_000_000..253_402_200_000_000_000_i64,
            other in -3..3_i64, hours in -23..=23_i64, minutes in 0..60_i64, zeros in 0..12_usize,
            separator in "[Tt ]", round in prop_oneof![Just(Round::Down), Just(Round::Up)],
        ) {
            let moment = Timestamp::from_micros(micros).unwrap();
            let offset = hours * 60 + minutes * hours.signum();
            let Some(local) = Timestamp::from_micros(micros + offset * 60_000_000) else { return Ok(()) };
            let local = local.fixed();
            prop_assume!(local.len() == 27);
            let text = format!(
                "{}{separator}{}{}{}{:02}:{:02}",
                &local[..10], &local[11..26], "0".repeat(zeros), if offset < 0 { '-' } else { '+' },
                offset.abs() / 60, offset.abs() % 60,
            );
            let read = Timestamp::parse_rfc3339(&text, round);
            prop_assert_eq!(read, Some(moment), "{}", text);
            prop_assert_eq!(Timestamp::parse_rfc3339(&moment.to_string(), round), read);
            let neighbour = Timestamp::from_micros(micros + other).map(|moment| moment.to_string());
            if let Some(neighbour) = neighbour.filter(|text| !text.starts_with('-')) {
                prop_assert_eq!(Timestamp::parse_rfc3339(&neighbour, round) == read, other == 0);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", time in "[0-9Tt:.+-]{15,30}[Zz]?") {
            for text in [text, time] {
                let _ = Timestamp::parse_rfc3339(&text, Round::Up);
            }
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

//! The `Retry-After` header (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

use crate::domain::Timestamp;

/// The value of a `Retry-After` header: when a webhook receiver asks for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this delay, counted from the receipt of the response.
    Delay(Duration),
    /// At this time.
    At(SystemTime),
}

impl RetryAfter {
    /// Reads the `Retry-After` header of a response with status 429 or 503. `None` for any other status, and
    /// if the header is missing or malformed.
    pub(super) fn of<B>(answer: &Response<B>) -> Option<Self> {
        let is_heeded = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let value = answer.headers().get(RETRY_AFTER).filter(|_| is_heeded)?;
        Self::parse(value.to_str().ok()?.trim())
    }

    fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that is too large for a u64 is a very long delay, not an error.
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::Delay(Duration::from_secs(seconds)));
        }
        httpdate::parse_http_date(text).ok().map(Self::At)
    }

    /// Converts the header of a response that was received at `now` to a time, at most `cap` after `now`.
    #[must_use]
    pub fn time(self, now: Timestamp, cap: Duration) -> Timestamp {
        match self {
            Self::Delay(delay) => now.plus(delay.min(cap)),
            Self::At(time) => {
                let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
                let latest = now.plus(cap);
                Timestamp::from_micros(micros).map_or(latest, |time| time.min(latest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// Returns the number of seconds that a response with this status and this `Retry-After` asks to wait. It
    /// is received at Sun, 06 Nov 1994 08:49:37 GMT.
    fn seconds(status: u16, value: &str) -> Option<u64> {
        let now = Timestamp::from_micros(784_111_777_000_000).unwrap();
        let answer =
            Response::builder().status(status).header("retry-after", value).body(()).unwrap();
        RetryAfter::of(&answer).map(|after| now.until(after.time(now, DAY)).as_secs())
    }

    #[test]
    fn seconds_are_counted_from_the_answer() {
        assert_eq!(seconds(429, "120"), Some(120));
        assert_eq!(seconds(503, " 7200 "), Some(7_200));
        assert_eq!(seconds(503, "0"), Some(0));
    }

    #[test]
    fn dates_are_read_in_all_three_forms() {
        assert_eq!(seconds(503, "Sun, 06 Nov 1994 09:49:37 GMT"), Some(3_600));
        assert_eq!(seconds(503, "Sunday, 06-Nov-94 09:49:37 GMT"), Some(3_600));
        assert_eq!(seconds(429, "Sun Nov  6 09:49:37 1994"), Some(3_600));
        assert_eq!(seconds(429, "Sat, 05 Nov 1994 09:49:37 GMT"), Some(0), "in the past");
    }

    #[test]
    fn waits_are_capped() {
        for long in ["86401", "99999999999999999999999", "Tue, 06 Nov 2035 08:49:37 GMT"] {
            assert_eq!(seconds(503, long), Some(86_400), "{long}");
        }
    }

    #[test]
    fn malformed_values_are_ignored() {
        for value in ["", "soon", "-5", "1.5", "+5", "5 minutes", "Sun, 06 Nov 1994", "\u{ff}"] {
            assert_eq!(seconds(503, value), None, "{value:?}");
        }
    }

    #[test]
    fn other_statuses_ask_for_nothing() {
        for status in [200, 301, 404, 410, 500, 502, 504] {
            assert_eq!(seconds(status, "120"), None, "{status}");
        }
    }
}

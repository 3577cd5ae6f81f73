//! The delivery of an event to its account's webhook: tried over three days, then given up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DeliveryResult, Event, Id, Timestamp};

/// How long each attempt waits for the one before at least, plus up to a tenth: ten attempts over 75 to
/// 83 hours. The schedule that makes them comes once a minute.
const WAITS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How long the sealed address of a deleted account is kept at most: 24 hours.
pub const SEALED: Duration = Duration::from_hours(24);

/// The delivery of one event, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// The event, and the receiver's `webhook-id`.
    pub id: Id<Event>,
    /// The event's name.
    #[serde(rename = "type")]
    pub name: String,
    /// The event's place in the account's order.
    pub sequence: u64,
    /// When it happened.
    pub tm_event: Timestamp,
    /// What has come of the delivery.
    pub status: DeliveryState,
    /// How often it was tried.
    pub attempts: u64,
    /// What came of the last attempt.
    pub last_result: Option<DeliveryResult>,
    /// When that was.
    pub tm_attempt: Option<Timestamp>,
    /// When it is tried next.
    pub tm_next_attempt: Option<Timestamp>,
}

/// What has come of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is tried until it works.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// It was tried as often as it is tried. It can be sent again by hand.
    Failed,
    /// The receiver said that it is gone (410); nothing is sent there until the address is set again.
    Gone,
    /// There was nowhere to send it any more.
    Discarded,
}

/// When the next attempt is, after `made` attempts of which the last is at `now`; none if that was the
/// last one. `jitter` is of 255. Nothing is tried after `end`, if there is one, but then once more.
#[must_use]
pub fn next_attempt(
    made: u64,
    now: Timestamp,
    jitter: u8,
    end: Option<Timestamp>,
) -> Option<Timestamp> {
    let wait = *WAITS.get(usize::try_from(made).ok()?)?;
    let tenth = u64::try_from(wait.as_millis()).ok()? * u64::from(jitter) / 2550;
    let next = now.plus(wait + Duration::from_millis(tenth));
    match end {
        Some(end) if end <= now => None,
        Some(end) => Some(next.min(end)),
        None => Some(next),
    }
}

/// Whether a delivery was tried so often that it is given up.
#[must_use]
pub const fn is_exhausted(attempts: u64) -> bool {
    attempts >= WAITS.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap()
    }

    fn attempts(jitter: u8, end: Option<Timestamp>) -> Vec<Timestamp> {
        let mut times = vec![start()];
        while let Some(next) = next_attempt(times.len() as u64, times[times.len() - 1], jitter, end)
        {
            times.push(next);
        }
        times
    }

    #[test]
    fn ten_attempts_over_three_days() {
        for jitter in [0, 128, 255] {
            let times = attempts(jitter, None);
            assert_eq!(times.len(), 10);
            let hours = (times[9].millis() - times[0].millis()) / 3_600_000;
            assert!((75..=83).contains(&hours), "{hours} h");
        }
    }

    #[test]
    fn a_farewell_is_tried_once_more_when_its_time_is_up() {
        let end = start().plus(SEALED);
        for jitter in [0, 255] {
            let times = attempts(jitter, Some(end));
            assert_eq!(times.last(), Some(&end));
            assert!(times.is_sorted());
        }
    }
}

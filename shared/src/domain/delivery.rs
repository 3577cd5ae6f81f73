//! The delivery of an event to its account's webhook: retry schedule, limits and state. A failed delivery is
//! retried for about three days.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Customer, DeliveryResult, Event, Id, Timestamp};

/// Retry schedule: the minimum delay before each of ten attempts, to which up to a tenth of jitter is added;
/// 75 to 83 hours in total. A run that starts once a minute makes the attempts that are due.
const RETRY_SCHEDULE: [Duration; 10] = [
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

/// A lane: one account's deliveries to one host, which have [limits](LANE_LIMITS) of their own, so that slow deliveries
/// in one lane delay no other lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The receiver's host, with its port if it is a loopback address.
    pub host: String,
    /// The account whose events are delivered.
    pub customer: Id<Customer>,
}

/// Limits on delivery attempts.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Maximum number of attempts per minute.
    pub per_minute: u64,
    /// Maximum number of concurrent attempts.
    pub concurrent: u64,
}

/// Limits of one lane.
pub const LANE_LIMITS: AttemptLimits = AttemptLimits { per_minute: 600, concurrent: 5 };

/// Limits of one host, for all lanes together, so that nobody can flood a host by directing many accounts at it. One
/// lane can use up an eighth of the concurrent attempts and a quarter of the attempts per minute.
pub const HOST_LIMITS: AttemptLimits = AttemptLimits { per_minute: 2_400, concurrent: 40 };

/// How long the webhook URI and secrets of a deleted account are kept with its last events, so that these can
/// still be delivered: 24 hours.
pub const SEALED_LIFETIME: Duration = Duration::from_hours(24);

/// Longest wait that a receiver can ask for with `Retry-After`: 24 hours.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// The delivery of one event to an account's webhook, as the API shows it to the account's owner.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Id of the event, which the receiver gets as `webhook-id`.
    pub id: Id<Event>,
    /// The event type, such as `customer_created`.
    #[serde(rename = "type")]
    pub name: String,
    /// The event's sequence number within its account.
    pub sequence: u64,
    /// When the event happened.
    pub tm_event: Timestamp,
    /// The delivery's state.
    pub status: DeliveryState,
    /// Number of attempts so far.
    pub attempts: u64,
    /// The last attempt's result; `None` before the first.
    pub last_result: Option<DeliveryResult>,
    /// When the last attempt was made; `None` before the first.
    pub tm_attempt: Option<Timestamp>,
    /// When the next attempt is due; `None` if there is none.
    pub tm_next_attempt: Option<Timestamp>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Not accepted by the receiver yet; more attempts will be made.
    Pending,
    /// The receiver has accepted it.
    Delivered,
    /// Every attempt of the retry schedule has failed. The event is sent again only on request.
    Failed,
    /// The receiver answered 410: nothing more is sent until the webhook URI is set again.
    Gone,
    /// Dropped, because the account no longer has a webhook.
    Discarded,
}

/// Returns when the next attempt is due, if `made` attempts were made and the last of them at `now`; `None`
/// if the schedule has no further attempt. `jitter` is a random byte, which determines the jitter. If `end`
/// is given, an attempt that would be due later is made at `end`, as the last one.
#[must_use]
pub fn next_attempt(
    made: u64,
    now: Timestamp,
    jitter: u8,
    end: Option<Timestamp>,
) -> Option<Timestamp> {
    let wait = *RETRY_SCHEDULE.get(usize::try_from(made).ok()?)?;
    let tenth = u64::try_from(wait.as_millis()).ok()? * u64::from(jitter) / 2550;
    let next = now.plus(wait + Duration::from_millis(tenth));
    match end {
        Some(end) if end <= now => None,
        Some(end) => Some(next.min(end)),
        None => Some(next),
    }
}

/// Returns when the next attempt is due: as `asked` for in `Retry-After`, but no sooner than `scheduled` and
/// no later than `end`.
#[must_use]
pub fn heed(scheduled: Timestamp, asked: Option<Timestamp>, end: Option<Timestamp>) -> Timestamp {
    let next = scheduled.max(asked.unwrap_or(scheduled));
    end.map_or(next, |end| next.min(end.max(scheduled)))
}

/// Whether a webhook counts as failing once this many attempts to deliver one event have failed. Two are
/// needed, because a single attempt may fail while the receiver is being redeployed.
#[must_use]
pub const fn is_failing(attempts: u64) -> bool {
    attempts > 1
}

/// Whether the retry schedule is exhausted after this many attempts.
#[must_use]
pub const fn is_exhausted(attempts: u64) -> bool {
    attempts >= RETRY_SCHEDULE.len() as u64
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
    fn the_last_attempt_is_at_the_end() {
        let end = start().plus(SEALED_LIFETIME);
        for jitter in [0, 255] {
            let times = attempts(jitter, Some(end));
            assert_eq!(times.last(), Some(&end));
            assert!(times.is_sorted());
        }
    }
    #[test]
    fn receiver_can_ask_for_a_later_attempt_but_not_for_a_sooner_one() {
        let at = |minutes| start().plus(Duration::from_mins(minutes));
        assert_eq!(heed(at(5), None, None), at(5));
        assert_eq!(heed(at(5), Some(at(60)), None), at(60));
        assert_eq!(heed(at(5), Some(at(1)), None), at(5));
        assert_eq!(heed(at(5), Some(at(60)), Some(at(30))), at(30), "the sealed address ends then");
        assert_eq!(heed(at(5), Some(at(60)), Some(at(90))), at(60));
    }

    #[test]
    fn a_webhook_fails_from_the_second_failed_attempt_on_and_the_tenth_is_the_last() {
        assert_eq!([0, 1, 2, 10].map(is_failing), [false, false, true, true]);
        assert_eq!([0, 9, 10, 11].map(is_exhausted), [false, false, true, true]);
        assert_eq!(next_attempt(10, start(), 0, None), None);
    }

    #[test]
    fn jitter_adds_up_to_a_tenth_and_nothing_follows_the_end() {
        let wait = |jitter| start().until(next_attempt(2, start(), jitter, None).unwrap());
        assert_eq!([0, 255].map(wait), [300, 330].map(Duration::from_secs));
        assert_eq!(next_attempt(2, start(), 0, Some(start())), None);
        let end = start().plus(Duration::from_millis(1));
        assert_eq!(next_attempt(2, start(), 0, Some(end)), Some(end));
    }
}

//! The clock: the only module that reads the time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::config;
use crate::domain::{Error, Timestamp};

/// Environment variable with the clock's offset in seconds. Only the local stack sets it; a test checks that
/// `template.yaml` does not.
const OFFSET: &str = "TENURE_CLOCK_OFFSET_SECONDS";

/// Source of the current time: the system's clock or, in tests, a time that the test sets (the dial).
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { offset: Duration },
    Dial(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// Returns the system's clock, with the local stack's offset if there is one.
    pub fn from_environment() -> Result<Self, Error> {
        let seconds = config::optional(OFFSET).map_or(Ok(0), |seconds| seconds.parse());
        let seconds =
            seconds.map_err(|_| Error::Internal(format!("{OFFSET} is not a number of seconds")))?;
        Ok(Self(Source::System { offset: Duration::from_secs(seconds) }))
    }

    /// Returns the system's clock.
    pub(super) const fn system() -> Self {
        Self(Source::System { offset: Duration::ZERO })
    }

    /// Returns a clock that shows what `dial` is set to, for tests.
    #[must_use]
    pub const fn showing(dial: Arc<Mutex<Timestamp>>) -> Self {
        Self(Source::Dial(dial))
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { offset } => {
                let micros = i64::try_from((system_time() + *offset).as_micros()).ok();
                micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
            }
            Source::Dial(dial) => *dial.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Returns the time left until `epoch_ms`, a Unix time in milliseconds, by the system's clock without the
/// offset.
pub(crate) fn time_until(epoch_ms: u64) -> Duration {
    Duration::from_millis(epoch_ms).saturating_sub(system_time())
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the time")]
fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time after which an invocation starts no more work, well before Lambda ends the invocation.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// Time before Lambda's deadline in which no work is started: 20 s, or a third of the remaining time if less.
    const MARGIN: Duration = Duration::from_secs(20);

    /// Returns the deadline of an invocation that Lambda ends at `epoch_ms`, a Unix time in milliseconds.
    #[must_use]
    pub fn at(epoch_ms: u64) -> Self {
        Self::within(time_until(epoch_ms))
    }

    /// Returns the deadline of an invocation that ends when the time `left` has passed.
    #[must_use]
    pub fn within(left: Duration) -> Self {
        let margin = Self::MARGIN.min(left / 3);
        Self { at: Instant::now() + left.saturating_sub(margin) }
    }

    /// Whether the deadline has come, so that no more work is to be started.
    #[must_use]
    pub fn is_near(&self) -> bool {
        Instant::now() >= self.at
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_near_twenty_seconds_before_the_end_or_a_third_of_the_time() {
        assert!(Deadline::within(Duration::ZERO).is_near());
        for (left, near) in [(30, 20), (60, 40), (90, 70), (900, 880)] {
            let deadline = Deadline::within(Duration::from_secs(left));
            advance(Duration::from_millis(near * 1_000 - 1)).await;
            assert!(!deadline.is_near(), "{left} s: a millisecond before {near} s");
            advance(Duration::from_millis(1)).await;
            assert!(deadline.is_near(), "{left} s: after {near} s");
        }
    }
}

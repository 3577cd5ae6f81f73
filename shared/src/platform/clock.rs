//! Time: the only place that reads it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::config;
use crate::domain::{Error, Timestamp};

/// The local stack moves its functions' time by this variable, in seconds. No deployment sets it; a
/// test sees to that.
const OFFSET: &str = "TENURE_CLOCK_OFFSET_SECONDS";

/// Tells the time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { offset: Duration },
    Dial(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The system's clock, moved by the local stack's offset if there is one.
    pub fn from_environment() -> Result<Self, Error> {
        let seconds = config::optional(OFFSET).map_or(Ok(0), |seconds| seconds.parse());
        let seconds =
            seconds.map_err(|_| Error::Internal(format!("{OFFSET} is not a number of seconds")))?;
        Ok(Self(Source::System { offset: Duration::from_secs(seconds) }))
    }

    /// The system's clock.
    pub(super) const fn system() -> Self {
        Self(Source::System { offset: Duration::ZERO })
    }

    /// A clock that shows what `dial` is set to, for tests: nothing in the environment makes one.
    #[must_use]
    pub const fn showing(dial: Arc<Mutex<Timestamp>>) -> Self {
        Self(Source::Dial(dial))
    }

    /// Now.
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

/// How long it is, by the system's own clock, until `epoch_ms` milliseconds after 1970.
pub(crate) fn time_until(epoch_ms: u64) -> Duration {
    Duration::from_millis(epoch_ms).saturating_sub(system_time())
}

#[expect(clippy::disallowed_methods, reason = "this is where time is read")]
fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The moment at which Lambda ends an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// Work that takes longer than this is not begun before the deadline: 20 s, or a third of the time
    /// there is if that is less.
    const MARGIN: Duration = Duration::from_secs(20);

    /// The deadline `epoch_ms` milliseconds after 1970, by the system's own clock.
    #[must_use]
    pub fn at(epoch_ms: u64) -> Self {
        let left = time_until(epoch_ms);
        let margin = Self::MARGIN.min(left / 3);
        Self { at: Instant::now() + left.saturating_sub(margin) }
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_near(&self) -> bool {
        Instant::now() >= self.at
    }
}

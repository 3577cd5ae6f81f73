//! A log-in that lasts.

use std::time::Duration;

use super::{Agent, Id, Timestamp};

/// How long a session lasts: 7 days.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// How long a session still lasts from when its token was first seen in a URL, where histories, logs and
/// proxies keep it: 24 hours.
pub const EXPOSED_LIFETIME: Duration = Duration::from_hours(24);

/// Proof that an agent has logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who logged in.
    pub agent: Id<Agent>,
    /// The agent's epoch at that time; when the agent's moves on, the session is over.
    pub epoch: u64,
    /// When it ends.
    pub tm_expire: Timestamp,
    /// Whether its token was in a URL.
    pub url_exposed: bool,
}

impl Session {
    /// The session after its token was in a URL at `now`.
    #[must_use]
    pub fn exposed(&self, now: Timestamp) -> Self {
        let tm_expire = self.tm_expire.min(now.plus(EXPOSED_LIFETIME));
        Self { tm_expire, url_exposed: true, ..self.clone() }
    }
}

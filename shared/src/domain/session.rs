//! Sessions: credentials of agents who have logged in.

use std::time::Duration;

use super::{Agent, Id, Timestamp};

/// Lifetime of a session: 7 days.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Remaining lifetime of a session once its token was sent in a URL, which histories, logs and proxies keep: 24
/// hours.
pub const EXPOSED_LIFETIME: Duration = Duration::from_hours(24);

/// A session of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    /// The agent.
    pub agent: Id<Agent>,
    /// The agent's epoch at login; the session ends when the agent's epoch increments.
    pub epoch: u64,
    /// When the agent logged in.
    pub tm_create: Timestamp,
    /// When it expires.
    pub tm_expire: Timestamp,
    /// Whether its token was sent in a URL.
    pub url_exposed: bool,
}

impl Session {
    /// Returns the session after its token was sent in a URL at `now`: it expires within 24 hours.
    #[must_use]
    pub fn exposed(&self, now: Timestamp) -> Self {
        let tm_expire = self.tm_expire.min(now.plus(EXPOSED_LIFETIME));
        Self { tm_expire, url_exposed: true, ..self.clone() }
    }
}

//! A log-in that lasts.

use std::time::Duration;

use super::{Agent, Id, Timestamp};

/// How long a session lasts: 7 days.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Proof that an agent has logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who logged in.
    pub agent: Id<Agent>,
    /// The agent's epoch at that time; when the agent's moves on, the session is over.
    pub epoch: u64,
    /// When it ends.
    pub tm_expire: Timestamp,
}

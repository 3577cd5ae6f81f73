//! A person who works with an account.

use super::{Id, Permission, Timestamp};

/// A person who works with an account.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The agent's id.
    pub id: Id<Agent>,
    /// What the agent may do, read afresh at every request.
    pub permission: Permission,
    /// Moves on when all of the agent's sessions must end.
    pub epoch: u64,
    /// When the agent was created.
    pub tm_create: Timestamp,
}

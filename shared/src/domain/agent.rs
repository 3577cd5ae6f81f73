//! A person who works with an account.

use super::username::LoginKey;
use super::value::{Detail, Name};
use super::{Id, Permission, Timestamp, Username};

/// A person who works with an account.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The agent's id.
    pub id: Id<Agent>,
    /// The name to log in with.
    pub username: Username,
    /// Names the user name's lock.
    pub login: LoginKey,
    /// What the agent is called.
    pub name: Name,
    /// What is said about the agent.
    pub detail: Detail,
    /// What the agent may do, read afresh at every request.
    pub permission: Permission,
    /// Moves on when all of the agent's sessions must end.
    pub epoch: u64,
    /// When the agent was created.
    pub tm_create: Timestamp,
    /// When the agent's permission or password last changed.
    pub tm_update: Timestamp,
}

impl Agent {
    /// An agent about whom nothing is said yet.
    #[must_use]
    pub fn new(id: Id<Self>, username: Username, permission: Permission, now: Timestamp) -> Self {
        Self {
            id,
            login: username.login_key(),
            username,
            name: Name::default(),
            detail: Detail::default(),
            permission,
            epoch: 0,
            tm_create: now,
            tm_update: now,
        }
    }
}

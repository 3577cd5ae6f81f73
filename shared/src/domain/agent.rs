//! An agent: a person who works with an account.

use super::username::LoginKey;
use super::value::{Detail, Labels, Name};
use super::{Id, Permission, Timestamp, Username};

/// An agent: a person who works with an account.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The agent's id.
    pub id: Id<Agent>,
    /// The user name to log in with.
    pub username: Username,
    /// Key of the user name's lock.
    pub login: LoginKey,
    /// The agent's name.
    pub name: Name,
    /// The agent's description.
    pub detail: Detail,
    /// The agent's permission, read at every request.
    pub permission: Permission,
    /// Incremented to end all of the agent's sessions.
    pub epoch: u64,
    /// When the agent was created.
    pub tm_create: Timestamp,
    /// When the agent, or its password, last changed.
    pub tm_update: Timestamp,
}

impl Agent {
    /// Returns the agent with the given fields replaced.
    #[must_use]
    pub fn updated(&self, labels: Labels, now: Timestamp) -> Self {
        let agent = self.clone();
        Self {
            name: labels.name.unwrap_or(agent.name),
            detail: labels.detail.unwrap_or(agent.detail),
            tm_update: now,
            ..agent
        }
    }

    /// Returns a new agent with an empty name and description.
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

//! Agents.

use serde::{Deserialize, Serialize};

use super::Stored;
use crate::domain::{Agent, Id, Permission, Timestamp, Username};

/// As it is stored.
#[derive(Serialize, Deserialize)]
pub struct AgentAttributes {
    id: Id<Agent>,
    username: String,
    /// Names the user name's lock, so that the lock goes when the agent goes.
    login: String,
    permission: Permission,
    epoch: u64,
    tm_create: Timestamp,
}

impl AgentAttributes {
    pub(super) fn new(agent: &Agent, username: &Username) -> Self {
        Self {
            id: agent.id,
            username: username.expose().to_owned(),
            login: username.login_key().to_string(),
            permission: agent.permission,
            epoch: agent.epoch,
            tm_create: agent.tm_create,
        }
    }
}

impl From<AgentAttributes> for Agent {
    fn from(stored: AgentAttributes) -> Self {
        Self {
            id: stored.id,
            permission: stored.permission,
            epoch: stored.epoch,
            tm_create: stored.tm_create,
        }
    }
}

impl Stored for Agent {
    type Attributes = AgentAttributes;
}

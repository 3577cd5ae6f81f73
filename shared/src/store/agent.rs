//! Agents.

use serde::{Deserialize, Serialize};

use super::assignment::Assignment;
use super::transaction::{Condition, Outcome};
use super::{Store, Stored, key};
use crate::domain::username::LoginKey;
use crate::domain::{Agent, Customer, Error, Id, Permission, Timestamp, Username};

/// An agent's epoch is in two items: with the agent, where every request looks, and with the user name,
/// where a log-in takes it from. They change together or not at all.
pub(super) const EPOCH: &str = "epoch";

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

impl Store {
    /// Ends every session of an agent: each has the epoch in which it began. One that is just beginning
    /// ends too, as it has the old epoch.
    pub async fn end_sessions(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
        login: LoginKey,
    ) -> Result<(), Error> {
        let next = Assignment::default().count(EPOCH)?;
        let transaction = self
            .transaction()
            .change(&key::agent(customer, agent), &next, &Condition::present())?
            .change(&key::login(login), &next, &Condition::of_agent(agent))?;
        match transaction.run().await? {
            Outcome::Written => Ok(()),
            // The agent has gone, and its sessions with it.
            Outcome::Refused(_) => Err(Error::InvalidCredentials),
        }
    }
}

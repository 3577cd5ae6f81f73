//! Logins: the agent that a user name belongs to, and the hash that verifies its password.

use super::known_networks::KnownNetworks;
use super::value::PasswordHash;
use super::{Agent, Customer, Id};

/// The agent that a user name belongs to, and the data that a login is checked against.
#[derive(Clone)]
pub struct Login {
    /// The agent's account.
    pub customer: Id<Customer>,
    /// The agent who has the user name.
    pub agent: Id<Agent>,
    /// The user name's [digest](super::Username::digest), which distinguishes it from names that look alike.
    pub username_digest: String,
    /// Hash of the agent's password.
    pub password_hash: PasswordHash,
    /// The agent's [epoch](Agent::epoch), which is incremented to end all of the agent's sessions.
    pub epoch: u64,
    /// Networks that the user name is known to log in from.
    pub networks: KnownNetworks,
}

impl Login {
    /// Returns the login of a new agent of an account.
    #[must_use]
    pub fn new(customer: Id<Customer>, agent: &Agent, password_hash: PasswordHash) -> Self {
        Self {
            customer,
            agent: agent.id,
            username_digest: agent.username.digest(),
            password_hash,
            epoch: agent.epoch,
            networks: KnownNetworks::default(),
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.agent)
    }
}

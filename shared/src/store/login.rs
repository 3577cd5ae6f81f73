//! User names. A user name's lock, the item that keeps the name for one agent, holds all that a log-in needs,
//! such as the hash of the password.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, UpdateExpression, string};
use super::fields::stored;
use super::key;
use super::stored::Stored;
use crate::domain::known_networks::{KnownNetworks, NetworkHash};
use crate::domain::username::LoginKey;
use crate::domain::value::PasswordHash;
use crate::domain::{Agent, Customer, Error, Id, Login, Timestamp};

/// Attribute of a user name's lock that holds the known networks: those that somebody has logged in from with
/// this name.
pub(super) const NETWORKS: &str = "networks";

stored! {
    /// Attributes of a user name's lock: the item that keeps the name for one agent, and with which logins
    /// are checked.
    #[derive(Serialize, Deserialize)]
    pub struct LoginAttributes {
        customer_id: Id<Customer> => Deleted,
        agent_id: Id<Agent> => Deleted,
        username_digest: String => Deleted personal,
        password_hash: String => Deleted personal,
        epoch: u64 => Deleted,
        /// Known networks, by their hashes. Absent until somebody has logged in with the name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        networks: BTreeMap<String, NetworkAttributes> => Deleted personal,
    }
}

/// A known network of a user name, as an element of the map `networks`. The element also holds the count of
/// password attempts from the network, which only [`throttle`](super::throttle) reads.
#[derive(Serialize, Deserialize)]
struct NetworkAttributes {
    /// The second since 1970 at which the network is forgotten.
    known_until: i64,
}

impl From<&Login> for LoginAttributes {
    fn from(login: &Login) -> Self {
        Self {
            customer_id: login.customer,
            agent_id: login.agent,
            username_digest: login.username_digest.clone(),
            password_hash: login.password_hash.expose().to_owned(),
            epoch: login.epoch,
            // Only new locks are put; log-ins add networks.
            networks: BTreeMap::new(),
        }
    }
}

impl From<LoginAttributes> for Login {
    fn from(stored: LoginAttributes) -> Self {
        Self {
            customer: stored.customer_id,
            agent: stored.agent_id,
            username_digest: stored.username_digest,
            password_hash: PasswordHash::stored(stored.password_hash),
            epoch: stored.epoch,
            networks: stored
                .networks
                .into_iter()
                .map(|(hash, network)| (NetworkHash::stored(hash), network.known_until))
                .collect(),
        }
    }
}

impl Stored for Login {
    type Attributes = LoginAttributes;
}

/// The condition that a user name's lock belongs to this agent.
pub(super) fn of_agent(agent: Id<Agent>) -> Condition {
    Condition::new("agent_id = :agent", [(":agent", string(agent.to_string()))])
}

/// Returns the update of a user name's lock after a log-in from `network` at `now`: makes the network known,
/// resets the count of attempts from it, and removes known networks that are outdated or too many. `known`
/// are the networks in the lock as it was read.
pub(super) fn logged_in_from(
    network: &NetworkHash,
    known: &KnownNetworks,
    now: Timestamp,
) -> Result<UpdateExpression, Error> {
    let entry = NetworkAttributes { known_until: KnownNetworks::until(now) };
    if known.is_empty() {
        // There is no map to set an element of.
        let first = BTreeMap::from([(network.as_str(), entry)]);
        return UpdateExpression::default().set(NETWORKS, first);
    }
    let update = UpdateExpression::default().set_in(NETWORKS, network.as_str(), entry)?;
    let forgotten = known.forgotten_by(network, now).into_iter();
    Ok(forgotten.fold(update, |update, other| update.remove_in(NETWORKS, other.as_str())))
}

/// The condition that a lock, on a user name or an e-mail address, is held by this account or does not exist.
pub(super) fn held_by(customer: Id<Customer>) -> Condition {
    Condition::new(
        "attribute_not_exists(pk) OR customer_id = :customer",
        [(":customer", string(customer.to_string()))],
    )
}

/// An agent with its account and its login.
#[derive(Debug)]
pub struct AgentWithLogin {
    /// The agent's account.
    pub customer: Customer,
    /// The agent.
    pub agent: Agent,
    /// The login: what the lock of the agent's user name holds.
    pub login: Login,
}

impl Store {
    /// Reads the agent that has a user name, with its login and account; `None` if no agent has the name. The
    /// name is given by its login key, under which the login is stored, and by its digest: names that look
    /// alike have the same login key, but different digests.
    pub async fn get_agent_of_login(
        &self,
        login: LoginKey,
        digest: &str,
    ) -> Result<Option<AgentWithLogin>, Error> {
        let key = key::login(login);
        let found: Option<Login> = self.get_items(&[key.untyped()]).await?.get(&key)?;
        let Some(login) = found.filter(|found| found.username_digest == digest) else {
            return Ok(None);
        };
        let (customer, agent) =
            (key::customer(login.customer), key::agent(login.customer, login.agent));
        let items = self.get_items(&[customer.untyped(), agent.untyped()]).await?;
        let found = items.get(&customer)?.zip(items.get(&agent)?);
        Ok(found.map(|(customer, agent)| AgentWithLogin { customer, agent, login }))
    }

    /// Reads an agent with its login and account; `None` if there is no such agent.
    pub async fn get_agent_with_login(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
    ) -> Result<Option<AgentWithLogin>, Error> {
        let (customer, agent) = (key::customer(customer), key::agent(customer, agent));
        let items = self.get_items(&[customer.untyped(), agent.untyped()]).await?;
        let Some((customer, agent)) = items.get(&customer)?.zip(items.get(&agent)?) else {
            return Ok(None);
        };
        let key = key::login(agent.login);
        let found: Option<Login> = self.get_items(&[key.untyped()]).await?.get(&key)?;
        let own = found.filter(|found| found.agent == agent.id);
        Ok(own.map(|login| AgentWithLogin { customer, agent, login }))
    }
}

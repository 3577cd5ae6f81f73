//! User names: the lock that keeps a name for one agent holds all that a log-in needs.

use serde::{Deserialize, Serialize};

use super::fields::stored;
use super::{Store, Stored, answer, key};
use crate::domain::value::PasswordHash;
use crate::domain::{Agent, Customer, Error, Id, Username};

/// Who has a user name, and how to tell.
#[derive(Clone)]
pub struct Login {
    /// The account.
    pub customer: Id<Customer>,
    /// Its agent.
    pub agent: Id<Agent>,
    /// Which of the names that look alike it is: the user name's [digest](crate::domain::Username::digest).
    pub username_digest: String,
    /// What the agent's password must hash to.
    pub password_hash: PasswordHash,
    /// The agent's epoch.
    pub epoch: u64,
}

impl Login {
    /// What a new agent of an account logs in with.
    #[must_use]
    pub fn new(customer: Id<Customer>, agent: &Agent, password_hash: PasswordHash) -> Self {
        Self {
            customer,
            agent: agent.id,
            username_digest: agent.username.digest(),
            password_hash,
            epoch: agent.epoch,
        }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.agent)
    }
}

stored! {
    /// As it is stored.
    #[derive(Serialize, Deserialize)]
    pub struct LoginAttributes {
        customer_id: Id<Customer> => Deleted,
        agent_id: Id<Agent> => Deleted,
        username_digest: String => Deleted personal,
        password_hash: String => Deleted personal,
        epoch: u64 => Deleted,
    }
}

impl From<&Login> for LoginAttributes {
    fn from(login: &Login) -> Self {
        Self {
            customer_id: login.customer,
            agent_id: login.agent,
            username_digest: login.username_digest.clone(),
            password_hash: login.password_hash.expose().to_owned(),
            epoch: login.epoch,
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
        }
    }
}

impl Stored for Login {
    type Attributes = LoginAttributes;
}

impl Store {
    /// Who has the user name, read consistently; nobody, if the name that is taken only looks like it.
    pub async fn get_login(&self, username: &Username) -> Result<Option<Login>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(&self.accounts)
            .set_key(Some(key::login(username.login_key()).attributes()));
        let found: Option<LoginAttributes> = answer::get(get.consistent_read(true)).await?;
        Ok(found.map(Login::from).filter(|found| found.username_digest == username.digest()))
    }
}

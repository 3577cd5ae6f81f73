//! Agents. Each has two items: its own, where every request looks, and its user name's lock, where a
//! log-in looks.

use serde::{Deserialize, Serialize};

use super::assignment::Assignment;
use super::fields::stored;
use super::login::{Login, LoginAttributes};
use super::transaction::{CommitResult, Condition, Leg};
use super::{Store, Stored, Update, item, key, read};
use crate::domain::error::Entity;
use crate::domain::owned::Kind;
use crate::domain::username::LoginKey;
use crate::domain::value::{Detail, Name, PasswordHash};
use crate::domain::{Agent, Customer, Error, Event, Id, Page, Permission, Timestamp, Username};

/// Moves an agent's epoch on, which is in two items: with the agent, where every request looks, and
/// with the user name, where a log-in takes it from. They change together or not at all.
fn next_epoch() -> Result<Assignment, Error> {
    Assignment::default().count("epoch")
}

stored! {
    /// As it is stored.
    #[derive(Serialize, Deserialize)]
    pub struct AgentAttributes {
        id: Id<Agent> => Deleted,
        username: String => Deleted personal,
        /// Names the user name's lock, so that the lock goes when the agent goes.
        login: LoginKey => Deleted,
        name: String => Deleted personal,
        detail: String => Deleted personal,
        permission: Permission => Deleted,
        epoch: u64 => Deleted,
        tm_create: Timestamp => Deleted,
        tm_update: Timestamp => Deleted,
    }
}

impl From<&Agent> for AgentAttributes {
    fn from(agent: &Agent) -> Self {
        Self {
            id: agent.id,
            username: agent.username.expose().to_owned(),
            login: agent.login,
            name: agent.name.expose().to_owned(),
            detail: agent.detail.expose().to_owned(),
            permission: agent.permission,
            epoch: agent.epoch,
            tm_create: agent.tm_create,
            tm_update: agent.tm_update,
        }
    }
}

impl From<AgentAttributes> for Agent {
    fn from(stored: AgentAttributes) -> Self {
        Self {
            id: stored.id,
            username: Username::trusted(stored.username),
            login: stored.login,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            permission: stored.permission,
            epoch: stored.epoch,
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
        }
    }
}

impl Stored for Agent {
    type Attributes = AgentAttributes;
}

impl Store {
    /// Creates an agent with the lock on its user name, if the account is live.
    pub async fn insert_agent(
        &self,
        customer: &Customer,
        agent: &Agent,
        login: &Login,
        event: &Event,
    ) -> Result<(), Error> {
        let new = item(&key::agent(customer.id, agent.id), AgentAttributes::from(agent))?;
        let lock = item(&key::login(agent.login), LoginAttributes::from(login))?;
        let insert = |customer: &Customer| {
            self.transaction()
                .tell_of_agent(customer, event, None, Some(agent.permission))?
                .put(new.clone(), &Condition::absent())?
                .put(lock.clone(), &Condition::absent())
        };
        match self.change_owned(customer, insert).await? {
            CommitResult::Written => Ok(()),
            CommitResult::Refused(legs) => match legs.as_slice() {
                [root, ..] if root.failed() => Err(Error::StateInvalid(None)),
                // The id is new: if it is there already, an answer was lost and this is a second try.
                [_, _, new, ..] if new.failed() => Ok(()),
                _ => Err(Error::UsernameTaken),
            },
        }
    }

    /// Makes the agent's permission that of `after`, if the agent still is `before` and the account is live
    /// and keeps an admin.
    pub async fn update_agent_permission(
        &self,
        customer: &Customer,
        before: &Agent,
        after: &Agent,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let changed = Assignment::default()
            .set("permission", after.permission)?
            .set("tm_update", after.tm_update)?;
        let (at, unchanged) = (key::agent(customer.id, before.id), Condition::same_agent(before));
        let (from, to) = (Some(before.permission), Some(after.permission));
        let update = |customer: &Customer| {
            self.transaction()
                .tell_of_agent(customer, event, from, to)?
                .change(&at, &changed, &unchanged)
        };
        updated(customer, self.change_owned(customer, update).await?)
    }

    /// Replaces an agent's password, if the agent still is what it was and the account is live. The agent's
    /// sessions end, but for the one whose token has the hash `kept_session`; attempts at the old password
    /// are forgotten.
    pub async fn update_agent_password(
        &self,
        customer: &Customer,
        agent: &Agent,
        hash: &PasswordHash,
        kept_session: Option<&str>,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let (present, of_agent) = (Condition::present(), Condition::of_agent(agent.id));
        let unchanged = Condition::same_agent(agent);
        let told = next_epoch()?.set("tm_update", event.time)?;
        let changed = next_epoch()?.set("password_hash", hash.expose())?;
        let replace = |customer: &Customer| {
            let mut transaction = self
                .transaction()
                .tell(customer, event)?
                .change(&key::agent(customer.id, agent.id), &told, &unchanged)?
                .change(&key::login(agent.login), &changed, &of_agent)?;
            if let Some(token_hash) = kept_session {
                let session = key::session(customer.id, token_hash);
                transaction = transaction.change(&session, &next_epoch()?, &present)?;
            }
            transaction.delete(&key::throttle(&agent.login.to_string()), None)
        };
        let CommitResult::Refused(legs) = self.change_owned(customer, replace).await? else {
            return Ok(Update::Written);
        };
        let mut legs = legs.into_iter();
        match (legs.next(), legs.nth(1)) {
            (Some(Leg::Failed(_)), _) => Err(Error::StateInvalid(None)),
            (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
            (_, Some(Leg::Failed(None))) => Err(missing()),
            // The session has ended meanwhile.
            _ => Err(Error::InvalidCredentials),
        }
    }

    /// Deletes an agent and frees its user name, if the agent still is what it was and the account is live
    /// and keeps an admin. Its sessions and its keys stop working at once.
    pub async fn delete_agent(
        &self,
        customer: &Customer,
        agent: &Agent,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let unchanged = Condition::same_agent(agent);
        let delete = |customer: &Customer| {
            self.transaction()
                .tell_of_agent(customer, event, Some(agent.permission), None)?
                .delete(&key::agent(customer.id, agent.id), Some(&unchanged))?
                .delete(&key::login(agent.login), Some(&Condition::of_agent(agent.id)))?
                .delete(&key::throttle(&agent.login.to_string()), None)
        };
        updated(customer, self.change_owned(customer, delete).await?)
    }

    /// Ends every session of an agent: each has the epoch in which it began. One that is just beginning
    /// ends too, as it has the old epoch.
    pub async fn end_sessions(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
        login: LoginKey,
    ) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .change(&key::agent(customer, agent), &next_epoch()?, &Condition::present())?
            .change(&key::login(login), &next_epoch()?, &Condition::of_agent(agent))?;
        match transaction.run().await? {
            CommitResult::Written => Ok(()),
            // The agent has gone, and its sessions with it.
            CommitResult::Refused(_) => Err(Error::InvalidCredentials),
        }
    }

    /// A page of an account's agents, newest first, below the agent `after`.
    pub async fn list_agents(
        &self,
        customer: Id<Customer>,
        size: usize,
        after: Option<Id<Agent>>,
    ) -> Result<Page<Agent>, Error> {
        self.list_kind(customer, Kind::Agent, size, after, |agent: &Agent| agent.id).await
    }
}

/// How a transaction ended that counts the account's admins first, tells of it, and changes the agent.
fn updated(customer: &Customer, outcome: CommitResult) -> Result<Update<Agent>, Error> {
    let CommitResult::Refused(legs) = outcome else {
        return Ok(Update::Written);
    };
    let mut legs = legs.into_iter();
    match (legs.next(), legs.nth(1)) {
        (Some(Leg::Failed(Some(root))), _) if !read::<Customer>(root.clone())?.status.is_live() => {
            Err(Error::StateInvalid(None))
        }
        (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
        (_, Some(Leg::Failed(None))) => Err(missing()),
        (Some(root), _) if root.failed() && customer.internals.system => {
            Err(Error::LastProjectAdmin)
        }
        (Some(root), _) if root.failed() => Err(Error::LastAdmin),
        _ => Err(Error::Internal("an agent's user name is another's".to_owned())),
    }
}

const fn missing() -> Error {
    Error::NotFound(Entity::Owned(Kind::Agent))
}

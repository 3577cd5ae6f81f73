//! Sessions.

use futures_util::future::try_join;
use serde::{Deserialize, Serialize};

use super::dynamodb::{
    CommitResult, Condition, Leg, Store, Table, UpdateExpression, number, string,
};
use super::fields::stored;
use super::key::{self, Key};
use super::login::of_agent;
use super::stored::{Stored, item};
use crate::domain::gate::Access;
use crate::domain::username::LoginKey;
use crate::domain::value::PasswordHash;
use crate::domain::{Agent, Customer, Error, Id, Session, Timestamp};

stored! {
    /// A session as an item.
    #[derive(Serialize, Deserialize)]
    pub struct SessionAttributes {
        agent_id: Id<Agent> => Deleted,
        epoch: u64 => Deleted,
        tm_create: Timestamp => Deleted,
        tm_expire: Timestamp => Deleted,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        url_exposed: bool => Deleted,
        /// When the item expires, in seconds since 1970. DynamoDB deletes it later: readers look at `tm_expire`.
        expires_at: i64 => Deleted,
    }
}

impl From<&Session> for SessionAttributes {
    fn from(session: &Session) -> Self {
        Self {
            agent_id: session.agent,
            epoch: session.epoch,
            tm_create: session.tm_create,
            tm_expire: session.tm_expire,
            url_exposed: session.url_exposed,
            expires_at: session.tm_expire.seconds(),
        }
    }
}

impl From<SessionAttributes> for Session {
    fn from(stored: SessionAttributes) -> Self {
        Self {
            agent: stored.agent_id,
            epoch: stored.epoch,
            tm_create: stored.tm_create,
            tm_expire: stored.tm_expire,
            url_exposed: stored.url_exposed,
        }
    }
}

impl Stored for Session {
    type Attributes = SessionAttributes;
}

/// A new hash of a password that was just verified, to replace the old one.
#[derive(Clone, Copy)]
pub struct Rehash<'a> {
    /// The hash that verified the password.
    pub old: &'a PasswordHash,
    /// The stronger one.
    pub new: &'a PasswordHash,
}

impl std::fmt::Debug for Rehash<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rehash(…)")
    }
}

/// The item is a session of this agent that has not expired.
pub(super) fn session_of(agent: Id<Agent>, now: Timestamp) -> Condition {
    let values = [(":agent", string(agent.to_string())), (":now", number(now.seconds()))];
    Condition::new("agent_id = :agent AND expires_at > :now", values)
}

impl Store {
    /// Writes a session, if its account is not deleted. With `rehash`, only if the password is unchanged since it was
    /// verified.
    ///
    /// The account's root is read beside the transaction and not part of it: it is what the account's many writers
    /// hold. So a session may be written while its account is being deleted. It does not work, by the account's status,
    /// and is not left behind: the transaction asks for the user name's lock, which the purge frees before its last pass.
    pub async fn insert_session(
        &self,
        customer: Id<Customer>,
        token_hash: &str,
        session: &Session,
        login: LoginKey,
        rehash: Option<Rehash<'_>>,
    ) -> Result<(), Error> {
        let new = item(&key::session(customer, token_hash), SessionAttributes::from(session))?;
        let (lock, of_agent) = (key::login(login).address(), of_agent(session.agent));
        let transaction =
            self.transaction().put(Table::Accounts, new, Some(&Condition::absent()))?;
        let transaction = match rehash {
            None => transaction.check(lock, &of_agent)?,
            Some(Rehash { old, new }) => {
                let old = [(":old", string(old.expose()))];
                let unchanged = of_agent.and(Condition::new("password_hash = :old", old));
                let renewed = UpdateExpression::default().set("password_hash", new.expose())?;
                transaction.update(lock, &renewed, Some(&unchanged))?
            }
        };
        let root = key::customer(customer);
        let (result, account) = try_join(transaction.run(), self.get_stored(&root)).await?;
        let account: Option<Customer> = account;
        let admitted = account.map(|account| account.admit(Access::LogIn));
        if let Err(refused) = admitted.unwrap_or(Err(Error::InvalidCredentials)) {
            // It works for nobody, and need not wait for the purge.
            self.delete_session(customer, token_hash).await?;
            return Err(refused);
        }
        match result {
            CommitResult::Written => Ok(()),
            // The token is random: if it exists already, an answer was lost and this is a second try.
            CommitResult::Refused(legs) if legs.first().is_some_and(Leg::failed) => Ok(()),
            CommitResult::Refused(_) => Err(Error::InvalidCredentials),
        }
    }

    /// Changes a session to `exposed`, which it becomes when its token was in a URL, unless it is that already.
    pub async fn expose_session(&self, key: &Key<Session>, exposed: &Session) -> Result<(), Error> {
        let change = UpdateExpression::default()
            .set("url_exposed", true)?
            .set("tm_expire", exposed.tm_expire)?
            .set("expires_at", exposed.tm_expire.seconds())?;
        // If it does not hold, the session has just ended, or another request came first.
        let unexposed =
            Condition::new("attribute_exists(pk) AND attribute_not_exists(url_exposed)", []);
        self.update(key.address(), &change, &unexposed).await.map(drop)
    }

    /// Deletes a session, which ends it.
    pub async fn delete_session(
        &self,
        customer: Id<Customer>,
        token_hash: &str,
    ) -> Result<(), Error> {
        self.delete(key::session(customer, token_hash).address()).await
    }
}

//! Storage of sessions.

use futures_util::future::try_join;
use serde::{Deserialize, Serialize};

use super::dynamodb::{
    CommitResult, Condition, Leg, Store, Table, UpdateExpression, first, number, string,
};
use super::fields::stored;
use super::key::{self, Key};
use super::login::{logged_in_from, of_agent};
use super::stored::{Stored, item};
use crate::domain::gate::Access;
use crate::domain::known_networks::NetworkHash;
use crate::domain::owned::Kind;
use crate::domain::username::LoginKey;
use crate::domain::value::PasswordHash;
use crate::domain::{Agent, Customer, Error, Id, Login, Session, Timestamp};

/// Maximum number of an agent's sessions that are read: more than an agent can have, to leave room for those that are
/// just being ended.
const AT_ONCE: usize = 200;

stored! {
    /// Attributes of the item that stores a session.
    #[derive(Serialize, Deserialize)]
    pub struct SessionAttributes {
        id: Id<Session> => Deleted,
        agent_id: Id<Agent> => Deleted,
        epoch: u64 => Deleted,
        tm_create: Timestamp => Deleted,
        tm_last_use: Timestamp => Deleted,
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
            id: session.id,
            agent_id: session.agent,
            epoch: session.epoch,
            tm_create: session.tm_create,
            tm_last_use: session.tm_last_use,
            tm_expire: session.tm_expire,
            url_exposed: session.url_exposed,
            expires_at: session.tm_expire.seconds(),
        }
    }
}

impl From<SessionAttributes> for Session {
    fn from(stored: SessionAttributes) -> Self {
        Self {
            id: stored.id,
            agent: stored.agent_id,
            epoch: stored.epoch,
            tm_create: stored.tm_create,
            tm_last_use: stored.tm_last_use,
            tm_expire: stored.tm_expire,
            url_exposed: stored.url_exposed,
        }
    }
}

impl Stored for Session {
    type Attributes = SessionAttributes;
}

/// A log-in whose password was right.
pub struct VerifiedLogin<'a> {
    /// Login key of the user name: a hash, under which the name's lock is stored.
    pub key: LoginKey,
    /// The login (what the user name's lock holds), as it was read.
    pub login: &'a Login,
    /// Network that the agent logs in from.
    pub network: &'a NetworkHash,
    /// A stronger hash of the password, which replaces the one in the login; `None` if that one is strong
    /// enough.
    pub rehash: Option<&'a PasswordHash>,
}

impl std::fmt::Debug for VerifiedLogin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifiedLogin(…)")
    }
}

/// The condition that the session exists and has not expired at `now`.
pub(super) fn unexpired(now: Timestamp) -> Condition {
    Condition::new("expires_at > :now", [(":now", number(now.seconds()))])
}

impl Store {
    /// Writes a session, if its account is not deleted, and makes the network one of the user name's known
    /// networks. If there is a stronger hash of the password, also replaces the hash in the login, on the
    /// condition that the password is unchanged since it was verified.
    ///
    /// The account's root is read in parallel with the transaction and is not part of it, because many other writers
    /// contend for it. So a session may be written while its account is being deleted. Such a session is never valid,
    /// because the account's status is checked at each use. The purge deletes it, too: the transaction requires the
    /// user name's lock, which the purge deletes before its last pass over the account's items.
    pub async fn insert_session(
        &self,
        session: &Session,
        verified: &VerifiedLogin<'_>,
    ) -> Result<(), Error> {
        let VerifiedLogin { login, network, .. } = *verified;
        let key = key::session(login.customer, session.agent, session.id);
        let of_agent = of_agent(session.agent);
        let entered = logged_in_from(network, &login.networks, session.tm_create)?;
        let (entered, condition) = match verified.rehash {
            None => (entered, of_agent),
            Some(new) => {
                let old = [(":old", string(login.password_hash.expose()))];
                let unchanged = Condition::new("password_hash = :old", old);
                (entered.set("password_hash", new.expose())?, of_agent.and(unchanged))
            }
        };
        let transaction = self
            .transaction()
            .put(
                Table::Accounts,
                item(&key, SessionAttributes::from(session))?,
                Some(&Condition::absent()),
            )?
            .update(key::login(verified.key).address(), &entered, Some(&condition))?;
        let root = key::customer(login.customer);
        let (result, account) = try_join(transaction.run(), self.get_stored(&root)).await?;
        let account: Option<Customer> = account;
        let admitted = account.map(|account| account.admit(Access::LogIn));
        if let Err(refused) = admitted.unwrap_or(Err(Error::InvalidCredentials)) {
            // The session works for nobody, so it is deleted now and not left to the purge.
            self.delete_session(login.customer, session.agent, session.id).await?;
            return Err(refused);
        }
        match result {
            CommitResult::Written => Ok(()),
            // The token is random: if it exists already, an answer was lost and this is a second try.
            CommitResult::Refused(legs) if legs.first().is_some_and(Leg::failed) => Ok(()),
            CommitResult::Refused(_) => Err(Error::InvalidCredentials),
        }
    }

    /// Returns the sessions of an agent, in no order, including those that have ended and are not deleted yet.
    pub async fn list_sessions(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
    ) -> Result<Vec<Session>, Error> {
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :agent)")
            .expression_attribute_values(":pk", string(key::partition(customer)))
            .expression_attribute_values(":agent", string(key::sessions_of(agent)));
        let rows: Vec<SessionAttributes> = first(query, AT_ONCE).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Records that a session's token was sent in a URL, and shortens the session's lifetime to that of
    /// `exposed`. Changes nothing if this was recorded before.
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

    /// Records that a session was used at `now`, unless another request has recorded a use since `session` was read.
    pub async fn record_session_use(
        &self,
        key: &Key<Session>,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), Error> {
        let change = UpdateExpression::default().set("tm_last_use", now)?;
        let unchanged = [(":read", string(session.tm_last_use.to_string()))];
        let unchanged = Condition::new("tm_last_use = :read", unchanged);
        self.update(key.address(), &change, &unchanged).await.map(drop)
    }

    /// Deletes a session, which ends it.
    pub async fn delete_session(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
        id: Id<Session>,
    ) -> Result<(), Error> {
        self.delete(key::session(customer, agent, id).address()).await
    }

    /// Ends a session at the request of its agent or of an admin, if the requester still has the permission (and
    /// session) with which the request was authorized.
    pub async fn revoke_session(
        &self,
        customer: Id<Customer>,
        session: &Session,
    ) -> Result<(), Error> {
        let key = key::session(customer, session.agent, session.id);
        let transaction = self.transaction().delete(key.address(), Some(&Condition::present()))?;
        match transaction.authorized().run().await? {
            CommitResult::Written => Ok(()),
            CommitResult::Refused(_) => Err(Error::not_found(Kind::Session)),
        }
    }
}

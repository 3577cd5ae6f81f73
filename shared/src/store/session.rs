//! Sessions.

use serde::{Deserialize, Serialize};

use super::assignment::Assignment;
use super::fields::stored;
use super::key::{self, Key};
use super::transaction::{CommitResult, Condition, Leg};
use super::{Store, Stored, failure, item, string};
use crate::domain::username::LoginKey;
use crate::domain::value::PasswordHash;
use crate::domain::{Agent, Customer, Error, Id, Session, Status, Timestamp};
use crate::platform::aws::Call as _;

stored! {
    /// As it is stored.
    #[derive(Serialize, Deserialize)]
    pub struct SessionAttributes {
        agent_id: Id<Agent> => Deleted,
        epoch: u64 => Deleted,
        tm_expire: Timestamp => Deleted,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        url_exposed: bool => Deleted,
        /// When the item may go, in seconds since 1970. It goes late: readers look at `tm_expire`.
        expires_at: i64 => Deleted,
    }
}

impl From<&Session> for SessionAttributes {
    fn from(session: &Session) -> Self {
        Self {
            agent_id: session.agent,
            epoch: session.epoch,
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
            tm_expire: stored.tm_expire,
            url_exposed: stored.url_exposed,
        }
    }
}

impl Stored for Session {
    type Attributes = SessionAttributes;
}

/// A new hash of the password that has just proved right, in the place of the old one.
#[derive(Clone, Copy)]
pub struct Rehash<'a> {
    /// The hash that the password was verified with.
    pub old: &'a PasswordHash,
    /// The stronger one.
    pub new: &'a PasswordHash,
}

impl std::fmt::Debug for Rehash<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rehash(…)")
    }
}

impl Store {
    /// Writes a session and forgets the attempts that led to it, if the account is not deleted. With
    /// `rehash`, only if the password has not changed meanwhile.
    pub async fn insert_session(
        &self,
        customer: Id<Customer>,
        token_hash: &str,
        session: &Session,
        login: LoginKey,
        rehash: Option<Rehash<'_>>,
    ) -> Result<(), Error> {
        let not_deleted = Condition::status_in(&[Status::Initial, Status::Active, Status::Frozen]);
        let session = item(&key::session(customer, token_hash), SessionAttributes::from(session))?;
        let mut transaction = self
            .transaction()
            .put(session, &Condition::absent())?
            .check(&key::customer(customer), &not_deleted)?
            .delete(&key::throttle(&login.to_string()), None)?;
        if let Some(Rehash { old, new }) = rehash {
            let unchanged =
                Condition::new("password_hash = :old", [(":old", string(old.expose()))]);
            let renewed = Assignment::default().set("password_hash", new.expose())?;
            transaction = transaction.change(&key::login(login), &renewed, &unchanged)?;
        }
        match transaction.run().await? {
            CommitResult::Written => Ok(()),
            // The token is random: if it is there already, an answer was lost and this is a second try.
            CommitResult::Refused(legs) if legs.first().is_some_and(Leg::failed) => Ok(()),
            CommitResult::Refused(_) => Err(Error::InvalidCredentials),
        }
    }

    /// Makes a session what it becomes when its token was in a URL, if it is not that yet.
    pub async fn expose_session(&self, key: &Key<Session>, exposed: &Session) -> Result<(), Error> {
        let change = Assignment::default()
            .set("url_exposed", true)?
            .set("tm_expire", exposed.tm_expire)?
            .set("expires_at", exposed.tm_expire.seconds())?;
        // If not, it has just ended, or another request came first.
        let unexposed =
            Condition::new("attribute_exists(pk) AND attribute_not_exists(url_exposed)", []);
        self.update_if(&self.accounts, key.attributes(), &change, &unexposed).await.map(drop)
    }

    /// Ends a session.
    pub async fn delete_session(
        &self,
        customer: Id<Customer>,
        token_hash: &str,
    ) -> Result<(), Error> {
        let key = key::session(customer, token_hash).attributes();
        let delete = self.client.delete_item().table_name(&self.accounts).set_key(Some(key));
        delete.call().await.map(drop).map_err(failure)
    }
}

//! Sessions.

use serde::{Deserialize, Serialize};

use super::transaction::{Condition, Outcome};
use super::{Store, Stored, item, key};
use crate::domain::username::LoginKey;
use crate::domain::{Agent, Customer, Error, Id, Session, Status, Timestamp};

/// As it is stored.
#[derive(Serialize, Deserialize)]
pub struct SessionAttributes {
    agent_id: Id<Agent>,
    epoch: u64,
    tm_expire: Timestamp,
    /// When the item may go, in seconds since 1970. It goes late: readers look at `tm_expire`.
    expires_at: i64,
}

impl From<&Session> for SessionAttributes {
    fn from(session: &Session) -> Self {
        Self {
            agent_id: session.agent,
            epoch: session.epoch,
            tm_expire: session.tm_expire,
            expires_at: session.tm_expire.seconds(),
        }
    }
}

impl From<SessionAttributes> for Session {
    fn from(stored: SessionAttributes) -> Self {
        Self { agent: stored.agent_id, epoch: stored.epoch, tm_expire: stored.tm_expire }
    }
}

impl Stored for Session {
    type Attributes = SessionAttributes;
}

impl Store {
    /// Writes a session and forgets the attempts that led to it, if the account is not deleted.
    pub async fn insert_session(
        &self,
        customer: Id<Customer>,
        token_hash: &str,
        session: &Session,
        login: LoginKey,
    ) -> Result<(), Error> {
        let not_deleted = Condition::status_in(&[Status::Initial, Status::Active, Status::Frozen]);
        let session = item(&key::session(customer, token_hash), SessionAttributes::from(session))?;
        let transaction = self
            .transaction()
            .check(&key::customer(customer), &not_deleted)?
            .put(session, &Condition::absent())?
            .delete(&key::throttle(&login.to_string()), None)?;
        match transaction.run().await? {
            Outcome::Refused(legs) if legs.first().is_some_and(super::transaction::Leg::failed) => {
                Err(Error::InvalidCredentials)
            }
            // The token is random: if it is there already, an answer was lost and this is a second try.
            Outcome::Written | Outcome::Refused(_) => Ok(()),
        }
    }
}

//! Adds and takes away something that an account owns and nothing else depends on.

use serde::Serialize;

use super::key::Key;
use super::transaction::{Condition, Leg, Outcome};
use super::{Store, item, outbox};
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Event, Id};

impl Store {
    /// Creates something at `key` that an account owns, if the account is live.
    pub(super) async fn insert_child<T>(
        &self,
        customer: Id<Customer>,
        key: &Key<T>,
        attributes: impl Serialize,
        event: &Event,
    ) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .change_inventory(customer)?
            .put(item(key, attributes)?, &Condition::absent())?
            .put_event(outbox::item(event)?)?;
        match transaction.run().await? {
            Outcome::Refused(legs) if legs.first().is_some_and(Leg::failed) => {
                Err(Error::StateInvalid)
            }
            // The id is new: if it is there already, an answer was lost and this is a second try.
            Outcome::Written | Outcome::Refused(_) => Ok(()),
        }
    }

    /// Deletes something of `kind` at `key` that an account owns, if it is there and the account is live.
    pub(super) async fn delete_child<T>(
        &self,
        customer: Id<Customer>,
        kind: Kind,
        key: &Key<T>,
        event: &Event,
    ) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .change_inventory(customer)?
            .delete(key, Some(&Condition::present()))?
            .put_event(outbox::item(event)?)?;
        match transaction.run().await? {
            Outcome::Written => Ok(()),
            Outcome::Refused(legs) if legs.first().is_some_and(Leg::failed) => {
                Err(Error::StateInvalid)
            }
            Outcome::Refused(_) => Err(Error::missing(kind)),
        }
    }
}

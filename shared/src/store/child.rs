//! Adds and takes away something that an account owns and nothing else depends on.

use serde::Serialize;

use super::key::Key;
use super::transaction::{CommitResult, Condition, Leg};
use super::{Store, Stored, Update, item, read};
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Event};

impl Store {
    /// Creates something at `key` that an account owns, if the account is live.
    pub(super) async fn insert_child<T>(
        &self,
        customer: &Customer,
        key: &Key<T>,
        attributes: impl Serialize,
        event: &Event,
    ) -> Result<(), Error> {
        let new = item(key, attributes)?;
        let insert = |customer: &Customer| {
            self.transaction().tell(customer, event)?.put(new.clone(), &Condition::absent())
        };
        match self.change_owned(customer, insert).await? {
            CommitResult::Refused(legs) if legs.first().is_some_and(Leg::failed) => {
                Err(Error::StateInvalid(None))
            }
            // The id is new: if it is there already, an answer was lost and this is a second try.
            CommitResult::Written | CommitResult::Refused(_) => Ok(()),
        }
    }

    /// Deletes something of `kind` at `key` that an account owns, if it fulfils `thing` and the account
    /// fulfils `owner`: it is live, at least.
    pub(super) async fn delete_child<T: Stored>(
        &self,
        customer: &Customer,
        kind: Kind,
        key: &Key<T>,
        (owner, thing): (&Condition, &Condition),
        event: &Event,
    ) -> Result<Update<T>, Error> {
        let delete = |customer: &Customer| {
            self.transaction().tell_if(customer, event, owner.clone())?.delete(key, Some(thing))
        };
        let CommitResult::Refused(legs) = self.change_owned(customer, delete).await? else {
            return Ok(Update::Written);
        };
        let mut legs = legs.into_iter();
        match (legs.next(), legs.nth(1)) {
            (Some(Leg::Failed(Some(owner))), _)
                if read::<Customer>(owner.clone())?.status.is_live() =>
            {
                Err(Error::BillingAccountInUse)
            }
            (Some(Leg::Failed(_)), _) => Err(Error::StateInvalid(None)),
            (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
            _ => Err(Error::not_found(kind)),
        }
    }
}

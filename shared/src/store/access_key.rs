//! Access keys.

use serde::{Deserialize, Serialize};

use super::transaction::{Condition, Leg, Outcome};
use super::{Store, Stored, Update, failure, item, key, outbox, read, string};
use crate::domain::error::Missing;
use crate::domain::owned::Kind;
use crate::domain::page::Page;
use crate::domain::value::{Detail, Name};
use crate::domain::{AccessKey, Customer, Error, Event, Id, Permission, Timestamp};

/// As it is stored.
#[derive(Serialize, Deserialize)]
pub struct AccessKeyAttributes {
    id: Id<AccessKey>,
    name: String,
    detail: String,
    token_prefix: String,
    token_hash: String,
    permission: Permission,
    tm_expire: Timestamp,
    tm_create: Timestamp,
    tm_update: Timestamp,
    version: u64,
}

impl From<&AccessKey> for AccessKeyAttributes {
    fn from(key: &AccessKey) -> Self {
        Self {
            id: key.id,
            name: key.name.expose().to_owned(),
            detail: key.detail.expose().to_owned(),
            token_prefix: key.token_prefix.clone(),
            token_hash: key.token_hash.clone(),
            permission: key.permission,
            tm_expire: key.tm_expire,
            tm_create: key.tm_create,
            tm_update: key.tm_update,
            version: key.version,
        }
    }
}

impl From<AccessKeyAttributes> for AccessKey {
    fn from(stored: AccessKeyAttributes) -> Self {
        Self {
            id: stored.id,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            token_prefix: stored.token_prefix,
            token_hash: stored.token_hash,
            permission: stored.permission,
            tm_expire: stored.tm_expire,
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
            version: stored.version,
        }
    }
}

impl Stored for AccessKey {
    type Attributes = AccessKeyAttributes;
}

impl Store {
    /// Creates a key, if the account is live.
    pub async fn insert_access_key(
        &self,
        customer: Id<Customer>,
        new: &AccessKey,
        event: &Event,
    ) -> Result<(), Error> {
        let item = item(&key::access_key(customer, new.id), AccessKeyAttributes::from(new))?;
        let transaction = self
            .transaction()
            .change_inventory(customer)?
            .put(item, &Condition::absent())?
            .put_event(outbox::item(event)?)?;
        match transaction.run().await? {
            Outcome::Refused(legs) if legs.first().is_some_and(Leg::failed) => {
                Err(Error::StateInvalid)
            }
            // The id is new: if it is there already, an answer was lost and this is a second try.
            Outcome::Written | Outcome::Refused(_) => Ok(()),
        }
    }

    /// Makes the key `after`, if it still is `before` and the account is live.
    pub async fn update_access_key(
        &self,
        customer: Id<Customer>,
        before: &AccessKey,
        after: &AccessKey,
    ) -> Result<Update<AccessKey>, Error> {
        let item = item(&key::access_key(customer, after.id), AccessKeyAttributes::from(after))?;
        let transaction = self
            .transaction()
            .change_inventory(customer)?
            .put(item, &Condition::version(before.version))?;
        match transaction.run().await? {
            Outcome::Written => Ok(Update::Written),
            Outcome::Refused(legs) => match <[Leg; 2]>::try_from(legs) {
                Ok([root, _]) if root.failed() => Err(Error::StateInvalid),
                Ok([_, Leg::Failed(Some(current))]) => {
                    Ok(Update::Outdated(Box::new(read(current)?)))
                }
                _ => Err(Error::NotFound(Missing::Owned(Kind::AccessKey))),
            },
        }
    }

    /// Deletes a key, if the account is live. It stops working at once.
    pub async fn delete_access_key(
        &self,
        customer: Id<Customer>,
        key: &AccessKey,
        event: &Event,
    ) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .change_inventory(customer)?
            .delete(&key::access_key(customer, key.id), None)?
            .put_event(outbox::item(event)?)?;
        match transaction.run().await? {
            Outcome::Written => Ok(()),
            Outcome::Refused(_) => Err(Error::StateInvalid),
        }
    }

    /// A page of an account's keys, newest first, below the key `after`.
    pub async fn list_access_keys(
        &self,
        customer: Id<Customer>,
        size: usize,
        after: Option<Id<AccessKey>>,
    ) -> Result<Page<AccessKey>, Error> {
        let mut start = after.map(|id| key::access_key(customer, id).attributes());
        let mut rows: Vec<AccessKey> = Vec::with_capacity(size + 1);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.accounts)
                .consistent_read(true)
                .scan_index_forward(false)
                .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
                .expression_attribute_values(":pk", string(key::partition(customer)))
                .expression_attribute_values(":kind", string(Kind::AccessKey.prefix()))
                .limit(i32::try_from(size + 1 - rows.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failure)?;
            for item in answer.items.unwrap_or_default() {
                rows.push(read(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() || rows.len() > size {
                break;
            }
        }
        let follows = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| follows).map(|last| last.id.to_string());
        Ok(Page { rows, next })
    }
}

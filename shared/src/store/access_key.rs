//! Storage of access keys.

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, UpdateExpression, string};
use super::fields::stored;
use super::key;
use super::participant::registered;
use super::revise::Update;
use super::stored::Stored;
use crate::domain::access_key::{EarlierToken, StoredToken};
use crate::domain::gate::{Target, Write};
use crate::domain::notice::Occasion;
use crate::domain::owned::Kind;
use crate::domain::page::Page;
use crate::domain::participant::ParticipantName;
use crate::domain::value::{Detail, Name};
use crate::domain::{AccessKey, Agent, Customer, Error, Event, Id, Permission, Timestamp};

stored! {
    /// Attributes of the item that stores an access key.
    #[derive(Serialize, Deserialize)]
    pub struct AccessKeyAttributes {
        id: Id<AccessKey> => Deleted,
        agent_id: Id<Agent> => Deleted,
        name: String => Deleted personal,
        detail: String => Deleted personal,
        token_prefix: String => Deleted,
        token_hash: String => Deleted,
        earlier: Vec<EarlierTokenAttributes> => Deleted,
        permission: Permission => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        participant: Option<String> => Deleted,
        tm_expire: Timestamp => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_last_use: Option<Timestamp> => Deleted,
        tm_create: Timestamp => Deleted,
        tm_update: Timestamp => Deleted,
        version: u64 => Deleted,
    }
}

#[derive(Serialize, Deserialize)]
struct EarlierTokenAttributes {
    hash: String,
    tm_expire: Timestamp,
}

impl From<&AccessKey> for AccessKeyAttributes {
    fn from(key: &AccessKey) -> Self {
        let earlier = key.earlier.iter().cloned();
        Self {
            id: key.id,
            agent_id: key.agent,
            name: key.name.expose().to_owned(),
            detail: key.detail.expose().to_owned(),
            token_prefix: key.token.prefix.clone(),
            token_hash: key.token.hash.clone(),
            earlier: earlier
                .map(|EarlierToken { hash, tm_expire }| EarlierTokenAttributes { hash, tm_expire })
                .collect(),
            permission: key.permission,
            participant: key.participant.as_ref().map(ToString::to_string),
            tm_expire: key.tm_expire,
            tm_last_use: key.tm_last_use,
            tm_create: key.tm_create,
            tm_update: key.tm_update,
            version: key.version,
        }
    }
}

impl From<AccessKeyAttributes> for AccessKey {
    fn from(stored: AccessKeyAttributes) -> Self {
        let earlier = stored.earlier.into_iter();
        Self {
            id: stored.id,
            agent: stored.agent_id,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            token: StoredToken { prefix: stored.token_prefix, hash: stored.token_hash },
            earlier: earlier
                .map(|EarlierTokenAttributes { hash, tm_expire }| EarlierToken { hash, tm_expire })
                .collect(),
            permission: stored.permission,
            participant: stored.participant.map(ParticipantName::trusted),
            tm_expire: stored.tm_expire,
            tm_last_use: stored.tm_last_use,
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
    /// Creates an access key, if the account's state allows it. If the key is bound to a participant, also requires
    /// that the participant is registered.
    pub async fn insert_access_key(
        &self,
        target: Target<'_>,
        new: &AccessKey,
        event: &Event,
    ) -> Result<(), Error> {
        let key = key::access_key(target.id, new.id);
        let administers = target.administers(new.permission);
        let occasion = administers.then_some(Occasion::AdminKeyCreated);
        let required = new.participant.as_ref().map(registered);
        let attributes = AccessKeyAttributes::from(new);
        self.insert_owned(target, &key, attributes, event, occasion, required.as_ref()).await
    }

    /// Changes an access key to `after`, if the key is unchanged since `before` was read and the account's state allows
    /// it. The day of its last use, which is recorded separately, stays.
    pub async fn update_access_key(
        &self,
        target: Target<'_>,
        before: &AccessKey,
        after: &AccessKey,
        event: &Event,
    ) -> Result<Update<AccessKey>, Error> {
        let (target, key) = (target.to(Write::Change), key::access_key(target.id, after.id));
        let after = AccessKeyAttributes::from(after);
        let changed = UpdateExpression::default()
            .set("agent_id", after.agent_id)?
            .set("name", after.name)?
            .set("detail", after.detail)?
            .set("token_prefix", after.token_prefix)?
            .set("token_hash", after.token_hash)?
            .set("earlier", after.earlier)?
            .set("tm_expire", after.tm_expire)?
            .set("tm_update", after.tm_update)?
            .set("version", after.version)?;
        let unchanged = Condition::version(before.version);
        self.update_owned_if(target, Kind::AccessKey, &key, &changed, &unchanged, event).await
    }

    /// Records that an access key was used on `day`, unless that is recorded already. This is at most one write a day
    /// and emits no event.
    pub async fn record_access_key_use(
        &self,
        customer: Id<Customer>,
        id: Id<AccessKey>,
        day: Timestamp,
    ) -> Result<(), Error> {
        let used = UpdateExpression::default().set("tm_last_use", day)?;
        let is_new = Condition::new(
            "attribute_exists(pk) AND (attribute_not_exists(tm_last_use) OR tm_last_use < :day)",
            [(":day", string(day.to_string()))],
        );
        let key = key::access_key(customer, id).address();
        self.update(key, &used, &is_new).await.map(drop)
    }

    /// Deletes an access key, if it is unchanged since it was read and the account's state allows it. The key stops
    /// working at once.
    pub async fn delete_access_key(
        &self,
        target: Target<'_>,
        key: &AccessKey,
        event: &Event,
    ) -> Result<Update<AccessKey>, Error> {
        let unchanged = Condition::version(key.version);
        let (target, key) = (target.to(Write::Credentials), key::access_key(target.id, key.id));
        self.delete_owned_if(target, Kind::AccessKey, &key, (None, &unchanged), event).await
    }

    /// A page of an account's access keys, newest first, that come after the key `after`.
    pub async fn list_access_keys(
        &self,
        customer: Id<Customer>,
        size: usize,
        after: Option<Id<AccessKey>>,
    ) -> Result<Page<AccessKey>, Error> {
        self.list_kind(customer, Kind::AccessKey, size, after, |key: &AccessKey| key.id).await
    }
}

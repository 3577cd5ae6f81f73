//! The registry of participants, the systems that take part in erasures: one item of the ledger's table.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dynamodb::{
    CommitResult, Condition, Item, Leg, Requirement, Store, Transaction, UpdateExpression, string,
    to_item,
};
use super::fields::{self, stored};
use super::key;
use super::revise::Update;
use super::stored::{Stored, read};
use crate::domain::error::Entity;
use crate::domain::participant::{Participant, ParticipantName, Registry};
use crate::domain::value::Detail;
use crate::domain::{Error, Timestamp};

stored! {
    /// Attributes of the item that stores the registry. Nothing in it is about an account.
    #[derive(Serialize, Deserialize)]
    pub struct RegistryAttributes {
        participants: BTreeMap<String, ParticipantAttributes> => Kept,
        /// Names of the participants that are not deleted. A list, so that a condition can test whether it
        /// contains a name.
        active: Vec<String> => Kept,
        version: u64 => Kept,
    }
}

#[derive(Serialize, Deserialize)]
struct ParticipantAttributes {
    required: bool,
    /// Time that the participant has to answer, in seconds.
    timeout: u64,
    detail: String,
    tm_create: Timestamp,
    tm_update: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    tm_delete: Option<Timestamp>,
}

impl From<&Participant> for ParticipantAttributes {
    fn from(participant: &Participant) -> Self {
        Self {
            required: participant.required,
            timeout: participant.timeout.as_secs(),
            detail: participant.detail.expose().to_owned(),
            tm_create: participant.tm_create,
            tm_update: participant.tm_update,
            tm_delete: participant.tm_delete,
        }
    }
}

impl From<ParticipantAttributes> for Participant {
    fn from(stored: ParticipantAttributes) -> Self {
        Self {
            required: stored.required,
            timeout: Duration::from_secs(stored.timeout),
            detail: Detail::trusted(stored.detail),
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
            tm_delete: stored.tm_delete,
        }
    }
}

impl From<&Registry> for RegistryAttributes {
    fn from(registry: &Registry) -> Self {
        let participants = registry.participants.iter();
        Self {
            participants: participants.map(|(name, one)| (name.to_string(), one.into())).collect(),
            active: registry.active().map(|(name, _)| name.to_string()).collect(),
            version: registry.version,
        }
    }
}

impl From<RegistryAttributes> for Registry {
    fn from(stored: RegistryAttributes) -> Self {
        let participants = stored.participants.into_iter();
        Self {
            participants: participants
                .map(|(name, one)| (ParticipantName::trusted(name), one.into()))
                .collect(),
            version: stored.version,
        }
    }
}

impl Stored for Registry {
    type Attributes = RegistryAttributes;
}

impl Store {
    /// Reads the registry, which is empty until the first participant registers.
    pub async fn get_registry(&self) -> Result<Registry, Error> {
        Ok(self.get_stored(&key::registry()).await?.unwrap_or_default())
    }

    /// Replaces the registry by `after`, if it is unchanged since `before` was read, and if the caller still has the
    /// permission (and session) with which the request was authorized. `name` is the participant that the request
    /// registers or changes; `None` if it deletes one.
    pub async fn update_registry(
        &self,
        before: &Registry,
        after: &Registry,
        name: Option<&ParticipantName>,
    ) -> Result<Update<Registry>, Error> {
        let names = fields::names::<RegistryAttributes>();
        let attributes = to_item(RegistryAttributes::from(after))?;
        let changed = UpdateExpression::between(&names, &Item::new(), &attributes);
        let unchanged = match before.version {
            0 => Condition::absent(),
            version => Condition::version(version),
        };
        let address = key::registry().address();
        let transaction =
            self.transaction().authorized().update(address, &changed, Some(&unchanged))?;
        let transaction =
            name.into_iter().try_fold(transaction, Transaction::record_participant)?;
        let CommitResult::Refused(legs) = transaction.run().await? else {
            return Ok(Update::Written);
        };
        let found = legs.into_iter().find_map(|leg| match leg {
            Leg::Failed(found) => found,
            Leg::Held => None,
        });
        Ok(Update::Outdated(Box::new(found.map(read).transpose()?.unwrap_or_default())))
    }
}

/// The requirement that a participant of this name is registered.
pub(super) fn registered(name: &ParticipantName) -> Requirement {
    let named = [(":participant", string(name.as_str()))];
    Requirement {
        address: key::registry().address(),
        condition: Condition::new("contains(active, :participant)", named),
        error: || Error::NotFound(Entity::Participant),
    }
}

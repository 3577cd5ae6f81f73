//! The registry of participants: one item of the ledger's table.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, UpdateExpression, Write};
use super::fields::stored;
use super::key;
use super::revise::Update;
use super::stored::{Stored, read};
use crate::domain::participant::{Participant, ParticipantName, Registry};
use crate::domain::value::Detail;
use crate::domain::{Error, Timestamp};

stored! {
    /// The registry as an item. It says nothing about an account.
    #[derive(Deserialize)]
    pub struct RegistryAttributes {
        participants: BTreeMap<String, ParticipantAttributes> => Kept,
        version: u64 => Kept,
    }
}

#[derive(Serialize, Deserialize)]
struct ParticipantAttributes {
    required: bool,
    /// Seconds.
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

    /// Replaces the registry by `after`, if it is unchanged since `before` was read.
    pub async fn update_registry(
        &self,
        before: &Registry,
        after: &Registry,
    ) -> Result<Update<Registry>, Error> {
        let participants = after.participants.iter();
        let participants: BTreeMap<_, _> = participants
            .map(|(name, one)| (name.as_str(), ParticipantAttributes::from(one)))
            .collect();
        let changed = UpdateExpression::default()
            .set("participants", participants)?
            .set("version", after.version)?;
        let unchanged = match before.version {
            0 => Condition::absent(),
            version => Condition::version(version),
        };
        Ok(match self.update(key::registry().address(), &changed, &unchanged).await? {
            Write::Written(_) => Update::Written,
            Write::Refused(now) => {
                Update::Outdated(Box::new(now.map(read).transpose()?.unwrap_or_default()))
            }
        })
    }
}

//! Participants: systems that keep something for accounts, and take part in their erasure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::value::{Detail, Integer};
use super::{Error, Timestamp};

/// Maximum number of participants.
pub const MAX_PARTICIPANTS: usize = 20;

/// Default time in which a participant is to answer: 7 days.
pub const TIMEOUT: Duration = Duration::from_hours(7 * 24);

/// Minimum timeout: one hour.
pub const MIN_TIMEOUT: Duration = Duration::from_hours(1);

/// Maximum timeout: 30 days.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(30 * 24);

/// Name of a participant: 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParticipantName(String);

impl ParticipantName {
    const MAX_LENGTH: usize = 40;

    /// What a name is made of, for a message.
    pub const RULE: &str =
        "must be 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either end";

    /// Returns the name; `None` if it breaks the [rule](Self::RULE).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_made_of =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(is_made_of)
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_name.then(|| Self(text.to_owned()))
    }

    /// Returns a name that was checked when it was stored.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParticipantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A registered participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Whether an erasure waits for its answer.
    pub required: bool,
    /// Time in which it is to answer, from the claim of the account.
    pub timeout: Duration,
    /// Its description, for operators.
    pub detail: Detail,
    /// When it was registered.
    pub tm_create: Timestamp,
    /// When it last changed.
    pub tm_update: Timestamp,
    /// When it was deleted: new erasures do not ask it, those that were begun still do. `None` if it is not deleted.
    pub tm_delete: Option<Timestamp>,
}

/// Changes to a participant that a client asks for; `None` keeps what there is.
#[derive(Clone, Debug, Default)]
pub struct ParticipantChange {
    /// Whether erasures wait for it. Needed to register.
    pub required: Option<bool>,
    /// Timeout.
    pub timeout: Option<Duration>,
    /// Description.
    pub detail: Option<Detail>,
}

/// All participants, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Participants, deleted ones among them as long as an erasure asks them.
    pub participants: BTreeMap<ParticipantName, Participant>,
    /// Number of changes: every write is conditioned on the version it was decided on.
    pub version: u64,
}

impl Registry {
    /// Returns the participants that new erasures ask.
    pub fn active(&self) -> impl Iterator<Item = (&ParticipantName, &Participant)> {
        self.participants.iter().filter(|(_, participant)| participant.tm_delete.is_none())
    }

    /// Returns the participant of this name, unless it is deleted.
    #[must_use]
    pub fn get(&self, name: &ParticipantName) -> Option<&Participant> {
        self.participants.get(name).filter(|participant| participant.tm_delete.is_none())
    }

    /// Returns the registry with the participant registered or changed. Refused if there are too many.
    pub fn with(
        &self,
        name: &ParticipantName,
        change: ParticipantChange,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let participant = match (self.get(name), change.required) {
            (Some(before), _) => Participant {
                required: change.required.unwrap_or(before.required),
                timeout: change.timeout.unwrap_or(before.timeout),
                detail: change.detail.unwrap_or_else(|| before.detail.clone()),
                tm_update: now,
                ..before.clone()
            },
            (None, _) if self.active().count() >= MAX_PARTICIPANTS => {
                return Err(Error::TooManyParticipants);
            }
            (None, Some(required)) => Participant {
                required,
                timeout: change.timeout.unwrap_or(TIMEOUT),
                detail: change.detail.unwrap_or_default(),
                tm_create: now,
                tm_update: now,
                tm_delete: None,
            },
            (None, None) => {
                let rule = "is missing; true if erasures are to wait for this participant";
                return Err(Error::invalid_field("required", rule));
            }
        };
        Ok(self.changed(name, participant))
    }

    /// Returns the registry with the participant deleted; `None` if there is none.
    #[must_use]
    pub fn without(&self, name: &ParticipantName, now: Timestamp) -> Option<Self> {
        let deleted = Participant { tm_delete: Some(now), ..self.get(name)?.clone() };
        Some(self.changed(name, deleted))
    }

    /// Returns the registry without the deleted participants of these names, which no erasure asks any more.
    #[must_use]
    pub fn forgetting(&self, names: &[ParticipantName]) -> Self {
        let mut participants = self.participants.clone();
        participants.retain(|name, one| one.tm_delete.is_none() || !names.contains(name));
        Self { participants, version: self.version + 1 }
    }

    fn changed(&self, name: &ParticipantName, participant: Participant) -> Self {
        let mut participants = self.participants.clone();
        participants.insert(name.clone(), participant);
        Self { participants, version: self.version + 1 }
    }
}

/// Returns the timeout that a client asks to be `seconds` long.
pub fn timeout(seconds: Integer) -> Result<Duration, Error> {
    let timeout = Duration::from_secs(seconds.0);
    if (MIN_TIMEOUT..=MAX_TIMEOUT).contains(&timeout) {
        return Ok(timeout);
    }
    let (min, max) = (MIN_TIMEOUT.as_secs(), MAX_TIMEOUT.as_secs());
    Err(Error::invalid_field("timeout", format!("must be between {min} and {max} seconds")))
}

//! Participants: other systems that keep something for accounts, and must erase it when an account is erased.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::error::Entity;
use super::value::{
    Detail, FromText, Integer, SLUG_RULE, deserialize_from_text, deserialize_text, is_slug,
};
use super::{Error, Timestamp};

/// Maximum number of participants that are registered at once. Deleted participants do not count.
pub const MAX_PARTICIPANTS: usize = 20;

/// Default time that a participant has to answer, its [timeout](Participant::timeout): 7 days.
pub const TIMEOUT: Duration = Duration::from_hours(7 * 24);

/// Minimum [timeout](Participant::timeout): one hour.
pub const MIN_TIMEOUT: Duration = Duration::from_hours(1);

/// Maximum [timeout](Participant::timeout): 30 days.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(30 * 24);

/// Minimum time for which a deleted participant stays in the registry: 30 days. An erasure that began just
/// before the deletion has copied the participant, and may ask it only when an interrupted purge run is
/// resumed.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// Name of a participant: 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParticipantName(String);

impl ParticipantName {
    /// The rule that a name must follow, worded for an error message.
    pub const RULE: &str = SLUG_RULE;

    /// Returns the name; `None` if it breaks the [rule](Self::RULE).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_slug(text).then(|| Self(text.to_owned()))
    }

    /// Wraps a name that was checked when it was stored.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for ParticipantName {
    type Violation = &'static str;
    fn from_text(text: &str) -> Result<Self, &'static str> {
        Self::parse(text).ok_or(Self::RULE)
    }
    fn rule() -> String {
        "the name of a participant".to_owned()
    }
}

deserialize_from_text!(ParticipantName);

impl fmt::Display for ParticipantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A registered participant: a system that keeps something for accounts, and is asked to erase it when an
/// account is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Whether an erasure is complete only when this participant has completed or its answer was waived.
    pub required: bool,
    /// Time that the participant has to answer, counted from when the purge claims the account (begins to
    /// erase it).
    pub timeout: Duration,
    /// The participant's description, for operators.
    pub detail: Detail,
    /// When the participant was registered.
    pub tm_create: Timestamp,
    /// When the participant last changed.
    pub tm_update: Timestamp,
    /// When the participant was deleted; `None` if it was not. Only erasures that had begun by then still ask
    /// it.
    pub tm_delete: Option<Timestamp>,
}

/// A client's changes to a participant; `None` keeps the present value.
#[derive(Clone, Debug, Default)]
pub struct ParticipantChange {
    /// Whether erasures wait for the participant's answer. `None` is refused for a new participant.
    pub required: Option<bool>,
    /// Time that the participant has to answer, counted from when the purge claims an account (begins to
    /// erase it).
    pub timeout: Option<Duration>,
    /// The participant's description, for operators.
    pub detail: Option<Detail>,
}

/// The registry of participants: one item that lists all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Participants by name, including deleted ones that an erasure may still ask.
    pub participants: BTreeMap<ParticipantName, Participant>,
    /// Version, incremented by every change: a write succeeds only if the stored registry still has the version that
    /// was read.
    pub version: u64,
}

impl Registry {
    /// Returns the participants that are not deleted, which new erasures ask.
    pub fn active(&self) -> impl Iterator<Item = (&ParticipantName, &Participant)> {
        self.participants.iter().filter(|(_, participant)| participant.tm_delete.is_none())
    }

    /// Returns the names of the participants that were deleted at least 30 days ago. Each may be removed from
    /// the registry once no erasure asks it any more.
    pub fn forgettable(&self, now: Timestamp) -> impl Iterator<Item = &ParticipantName> {
        let is_old = move |one: &Participant| {
            one.tm_delete.is_some_and(|deleted| deleted.plus(REMEMBERED) <= now)
        };
        self.participants.iter().filter(move |(_, one)| is_old(one)).map(|(name, _)| name)
    }

    /// Returns the participant of this name, unless it is deleted.
    #[must_use]
    pub fn get(&self, name: &ParticipantName) -> Option<&Participant> {
        self.participants.get(name).filter(|participant| participant.tm_delete.is_none())
    }

    /// Returns the participant of this name. Fails if there is none, or if it is deleted.
    pub fn find(&self, name: &ParticipantName) -> Result<&Participant, Error> {
        self.get(name).ok_or(Error::NotFound(Entity::Participant))
    }

    /// Whether the registry has a participant of this name, active or deleted.
    #[must_use]
    pub fn knows(&self, name: &ParticipantName) -> bool {
        self.participants.contains_key(name)
    }

    /// Registers or changes a participant, and returns the new registry and the participant. A new
    /// participant is refused if `change` does not say whether it is required, or if [`MAX_PARTICIPANTS`] are
    /// registered.
    pub fn with(
        &self,
        name: &ParticipantName,
        change: ParticipantChange,
        now: Timestamp,
    ) -> Result<(Self, Participant), Error> {
        let participant = match (self.get(name), change.required) {
            (Some(before), _) => Participant {
                required: change.required.unwrap_or(before.required),
                timeout: change.timeout.unwrap_or(before.timeout),
                detail: change.detail.unwrap_or_else(|| before.detail.clone()),
                tm_update: now,
                ..before.clone()
            },
            (None, None) => {
                let rule = "is missing; true if erasures are to wait for this participant";
                return Err(Error::invalid_field("required", rule));
            }
            (None, Some(_)) if self.active().count() >= MAX_PARTICIPANTS => {
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
        };
        Ok((self.changed(name, participant.clone()), participant))
    }

    /// Marks a participant as deleted, and returns the new registry and the participant. Fails if there is no
    /// such participant.
    pub fn without(
        &self,
        name: &ParticipantName,
        now: Timestamp,
    ) -> Result<(Self, Participant), Error> {
        let deleted = Participant { tm_delete: Some(now), ..self.find(name)?.clone() };
        Ok((self.changed(name, deleted.clone()), deleted))
    }

    /// Returns the registry without the deleted participants among `names`. Call this only for participants
    /// that no erasure asks any more.
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

/// Converts a timeout that a client sent, in seconds. Fails unless it is between one hour and 30 days.
pub fn timeout(seconds: Integer) -> Result<Duration, Error> {
    let timeout = Duration::from_secs(seconds.0);
    if (MIN_TIMEOUT..=MAX_TIMEOUT).contains(&timeout) {
        return Ok(timeout);
    }
    let (min, max) = (MIN_TIMEOUT.as_secs(), MAX_TIMEOUT.as_secs());
    Err(Error::invalid_field("timeout", format!("must be between {min} and {max} seconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ParticipantName {
        ParticipantName::parse(&format!("system-{number}")).unwrap()
    }

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_hours(hours))
    }

    fn required() -> ParticipantChange {
        ParticipantChange { required: Some(true), ..ParticipantChange::default() }
    }

    fn full() -> Registry {
        (0..MAX_PARTICIPANTS).fold(Registry::default(), |registry, number| {
            registry.with(&name(number), required(), at(0)).unwrap().0
        })
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let (registry, new) = Registry::default().with(&name(1), required(), at(0)).unwrap();
        let expected = Participant {
            required: true,
            timeout: Duration::from_hours(168),
            detail: Detail::default(),
            tm_create: at(0),
            tm_update: at(0),
            tm_delete: None,
        };
        assert_eq!(new, expected);
        let change =
            ParticipantChange { timeout: Some(MIN_TIMEOUT), ..ParticipantChange::default() };
        let (registry, changed) = registry.with(&name(1), change, at(1)).unwrap();
        let expected = Participant { timeout: MIN_TIMEOUT, tm_update: at(1), ..expected };
        assert_eq!((registry.get(&name(1)), registry.version), (Some(&expected), 2));
        assert_eq!(changed, expected);
        let detail = Detail::from_text("Carrier").unwrap();
        let change = ParticipantChange {
            required: Some(false),
            detail: Some(detail.clone()),
            ..ParticipantChange::default()
        };
        let (_, changed) = registry.with(&name(1), change, at(2)).unwrap();
        assert_eq!(changed, Participant { required: false, detail, tm_update: at(2), ..expected });
    }

    #[test]
    fn a_deleted_participant_may_be_forgotten_after_thirty_days() {
        let (registry, _) = full().without(&name(1), at(1)).unwrap();
        let forgettable = |hours| registry.forgettable(at(hours)).collect::<Vec<_>>();
        assert_eq!((forgettable(720), forgettable(721)), (vec![], vec![&name(1)]));
        let forgotten = registry.forgetting(&[name(1), name(2)]);
        assert!(!forgotten.knows(&name(1)) && forgotten.knows(&name(2)));
        assert_eq!(forgotten.version, registry.version + 1);
        assert!(registry.forgetting(&[name(2)]).knows(&name(1)), "an erasure asks it");
    }

    #[test]
    fn the_limit_counts_active_participants_and_lets_them_change() {
        let full = full();
        let refused = full.with(&name(20), required(), at(1));
        assert!(matches!(refused, Err(Error::TooManyParticipants)));
        assert!(full.with(&name(0), required(), at(1)).is_ok());
        let (room, deleted) = full.without(&name(0), at(1)).unwrap();
        assert_eq!((deleted.tm_delete, room.get(&name(0))), (Some(at(1)), None));
        assert!(room.knows(&name(0)) && room.without(&name(0), at(2)).is_err());
        let (full, _) = room.with(&name(20), required(), at(2)).unwrap();
        assert!(full.with(&name(0), required(), at(3)).is_err());
    }

    #[test]
    fn a_participant_that_registers_again_is_a_new_one() {
        let (registry, _) = Registry::default().with(&name(1), required(), at(0)).unwrap();
        let (registry, _) = registry.without(&name(1), at(1)).unwrap();
        let none = registry.with(&name(1), ParticipantChange::default(), at(2));
        assert!(matches!(none, Err(Error::InvalidField(field, _)) if field == "required"));
        let (registry, again) = registry.with(&name(1), required(), at(2)).unwrap();
        assert_eq!((again.tm_create, again.tm_delete), (at(2), None));
        assert_eq!(registry.forgetting(&[name(1)]).get(&name(1)), Some(&again));
    }

    #[test]
    fn timeouts_are_from_an_hour_to_thirty_days() {
        for (seconds, is_valid) in
            [(3_599, false), (3_600, true), (2_592_000, true), (2_592_001, false)]
        {
            assert_eq!(timeout(Integer(seconds)).is_ok(), is_valid, "{seconds}");
        }
    }

    #[test]
    fn names_are_lower_case_letters_digits_and_inner_hyphens() {
        for text in ["a", "7", "carrier-2", "a--b", &"x".repeat(40)] {
            let name = ParticipantName::parse(text).unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
            assert_eq!(ParticipantName::from_text(text), Ok(name));
        }
        for text in ["", "-", "-a", "a-", "A", "a b", "a/b", "ä", &"x".repeat(41)] {
            assert_eq!(ParticipantName::from_text(text), Err(ParticipantName::RULE), "{text}");
        }
    }
}

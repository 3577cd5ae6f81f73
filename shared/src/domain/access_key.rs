//! Access keys: credentials of programs.

use std::time::Duration;

use super::participant::ParticipantName;
use super::value::{Detail, Integer, Labels, Name};
use super::{Agent, Error, Id, Permission, Timestamp};

/// Minimum lifetime of an access key: one day.
pub const MIN_LIFETIME: Duration = Duration::from_hours(24);

/// Maximum lifetime of an access key: ten years.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24 * 3650);

/// Default overlap of a rotation, the time for which the old token stays valid beside the new one: one day.
pub const OVERLAP: Duration = Duration::from_hours(24);

/// Maximum overlap of a rotation: 30 days.
pub const MAX_OVERLAP: Duration = Duration::from_hours(24 * 30);

/// Maximum number of old tokens that are valid beside the current one.
const MAX_EARLIER: usize = 4;

/// An access key: lets a program act for an account. Its tokens are shown once and never stored.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The key's id.
    pub id: Id<AccessKey>,
    /// The agent the key acts for: who created it or last rotated it. The key can do no more than the agent and
    /// is deleted with the agent.
    pub agent: Id<Agent>,
    /// The key's name, chosen by the owner.
    pub name: Name,
    /// The key's description, written by the owner.
    pub detail: Detail,
    /// The current token.
    pub token: StoredToken,
    /// Earlier tokens that are still valid.
    pub earlier: Vec<EarlierToken>,
    /// The permission that was granted to the key. The key may do only what its agent's permission also implies.
    pub permission: Permission,
    /// The participant (a system that takes part in erasures) that the key is bound to: the key may then only
    /// list and acknowledge the erasure requests to this participant. `None` if the key is not bound.
    pub participant: Option<ParticipantName>,
    /// When the key expires.
    pub tm_expire: Timestamp,
    /// The last day on which the key was used; `None` if it never was.
    pub tm_last_use: Option<Timestamp>,
    /// When it was created.
    pub tm_create: Timestamp,
    /// When its name, detail or token last changed.
    pub tm_update: Timestamp,
    /// Version, incremented by every change: a write succeeds only if the stored key still has the version that was
    /// read.
    pub version: u64,
}

/// The stored form of an access key's token: its hash verifies the token, and its prefix lets the owner recognise it.
/// The token itself cannot be derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// The token's first characters, by which its owner recognises it.
    pub prefix: String,
    /// The token's SHA-256, in hexadecimal.
    pub hash: String,
}

/// A token that a rotation has replaced and that stays valid until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierToken {
    /// The token's SHA-256, in hexadecimal.
    pub hash: String,
    /// When the token expires.
    pub tm_expire: Timestamp,
}

/// A rotation: replaces the token of an access key.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new token.
    pub token: StoredToken,
    /// The agent who rotates the key. The key acts for this agent from now on.
    pub agent: Id<Agent>,
    /// New lifetime of the key, from now; `None` keeps its expiry.
    pub lifetime: Option<Duration>,
    /// How long the tokens that were valid before the rotation stay valid, at most until the key expires.
    pub overlap: Duration,
}

impl AccessKey {
    /// Returns a new access key with an empty name and description.
    #[must_use]
    pub fn new(
        id: Id<Self>,
        agent: Id<Agent>,
        token: StoredToken,
        permission: Permission,
        lifetime: Duration,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            agent,
            name: Name::default(),
            detail: Detail::default(),
            token,
            earlier: Vec::new(),
            permission,
            participant: None,
            tm_expire: now.plus(lifetime),
            tm_last_use: None,
            tm_create: now,
            tm_update: now,
            version: 1,
        }
    }

    /// Returns the key with the given fields replaced.
    #[must_use]
    pub fn updated(&self, labels: Labels, now: Timestamp) -> Self {
        let key = self.clone();
        Self {
            name: labels.name.unwrap_or(key.name),
            detail: labels.detail.unwrap_or(key.detail),
            tm_update: now,
            version: key.version + 1,
            ..key
        }
    }

    /// Returns the key with a new token. Refused if the key has expired and no lifetime is given, or if too many
    /// earlier tokens are still valid.
    pub fn rotated(&self, rotation: Rotation, now: Timestamp) -> Result<Self, Error> {
        let tm_expire = rotation.lifetime.map_or(self.tm_expire, |lifetime| now.plus(lifetime));
        if tm_expire <= now {
            return Err(Error::invalid_field("expire", "is missing, and the key has expired"));
        }
        let end = now.plus(rotation.overlap);
        let current = EarlierToken { hash: self.token.hash.clone(), tm_expire: self.tm_expire };
        let earlier: Vec<_> = std::iter::once(&current)
            .chain(&self.earlier)
            .map(|token| EarlierToken { tm_expire: token.tm_expire.min(end), ..token.clone() })
            .filter(|token| now < token.tm_expire)
            .collect();
        if earlier.len() > MAX_EARLIER {
            return Err(Error::AlreadyRotated);
        }
        Ok(Self {
            agent: rotation.agent,
            token: rotation.token,
            earlier,
            tm_expire,
            tm_update: now,
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// Returns the permission that a caller must have to change the key: the key's own or, if it is bound to a
    /// participant, that of a project admin, because only project admins act for participants.
    #[must_use]
    pub const fn authority(&self) -> Permission {
        if self.participant.is_some() { Permission::PROJECT_ADMIN } else { self.permission }
    }

    /// Whether a token with this hash is valid at `now`.
    #[must_use]
    pub fn accepts(&self, hash: &str, now: Timestamp) -> bool {
        let is_earlier = |token: &EarlierToken| token.hash == hash && now < token.tm_expire;
        now < self.tm_expire && (self.token.hash == hash || self.earlier.iter().any(is_earlier))
    }
}

/// Returns the lifetime that a client requests for a key, in seconds. Refused unless it is between one day and ten
/// years.
pub fn lifetime(seconds: Integer) -> Result<Duration, Error> {
    within("expire", seconds.0, MIN_LIFETIME, MAX_LIFETIME)
}

/// Returns the overlap that a client requests for a rotation, in seconds, or the default if none is requested. Refused
/// if it is longer than 30 days.
pub fn overlap(seconds: Option<Integer>) -> Result<Duration, Error> {
    let seconds = seconds.map_or(OVERLAP.as_secs(), |seconds| seconds.0);
    within("overlap", seconds, Duration::ZERO, MAX_OVERLAP)
}

fn within(field: &str, seconds: u64, min: Duration, max: Duration) -> Result<Duration, Error> {
    let duration = Duration::from_secs(seconds);
    if (min..=max).contains(&duration) {
        return Ok(duration);
    }
    let rule = format!("must be between {} and {} seconds", min.as_secs(), max.as_secs());
    Err(Error::invalid_field(field, rule))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_hours(hours))
    }

    fn token(number: usize) -> StoredToken {
        StoredToken { prefix: String::new(), hash: number.to_string() }
    }

    fn key(hours: u64) -> AccessKey {
        AccessKey {
            id: Id::new(at(0), [1; 10]),
            agent: Id::new(at(0), [2; 10]),
            name: Name::default(),
            detail: Detail::default(),
            token: token(0),
            earlier: Vec::new(),
            permission: Permission::ADMIN,
            participant: None,
            tm_expire: at(hours),
            tm_last_use: None,
            tm_create: at(0),
            tm_update: at(0),
            version: 1,
        }
    }

    fn rotation(number: usize, overlap: Duration) -> Rotation {
        Rotation { token: token(number), agent: Id::new(at(0), [3; 10]), lifetime: None, overlap }
    }

    #[test]
    fn an_expired_key_needs_a_new_end() {
        let key = key(24);
        assert!(key.rotated(rotation(1, OVERLAP), at(24)).is_err());
        let lifetime = Some(MIN_LIFETIME);
        let renewed = Rotation { lifetime, ..rotation(1, OVERLAP) };
        let renewed = key.rotated(renewed, at(24)).unwrap();
        assert!(renewed.accepts("1", at(47)) && !renewed.accepts("1", at(48)));
        // A token that had expired does not become valid again.
        assert!(!renewed.accepts("0", at(24)));
    }

    #[test]
    fn tokens_that_end_with_their_rotation_take_no_room() {
        let mut key = key(24);
        for number in 1..=MAX_EARLIER + 2 {
            key = key.rotated(rotation(number, Duration::ZERO), at(1)).unwrap();
        }
        assert_eq!(key.earlier, []);
    }

    #[test]
    fn a_rotation_is_refused_while_four_earlier_tokens_are_valid() {
        let mut key = key(24);
        for number in 1..=MAX_EARLIER {
            key = key.rotated(rotation(number, Duration::from_hours(2)), at(1)).unwrap();
        }
        assert_eq!(key.earlier.len(), 4);
        let next = || rotation(5, Duration::from_hours(2));
        assert!(matches!(key.rotated(next(), at(2)), Err(Error::AlreadyRotated)));
        assert!(key.rotated(next(), at(3)).unwrap().accepts("5", at(3)));
    }

    proptest! {
        /// Whatever the order of rotations, the current token is valid until the key expires, and each earlier token
        /// until the earliest expiry that a rotation gave it.
        #[test]
        fn tokens_are_valid_until_their_stated_end(steps in prop::collection::vec((0..40_u64, 0..60_u64), 1..8)) {
            const END: u64 = 200;
            let (mut key, mut now) = (key(END), 0);
            let mut ends = vec![END];
            for (wait, overlap) in steps {
                now += wait;
                let number = ends.len();
                let Ok(next) = key.rotated(rotation(number, Duration::from_hours(overlap)), at(now)) else {
                    let alive = ends.iter().filter(|end| **end > now).count();
                    prop_assert!(now >= END || alive > MAX_EARLIER);
                    break;
                };
                for end in &mut ends {
                    *end = (*end).min(now + overlap);
                }
                ends.push(END);
                key = next;
                for hour in now..=END {
                    for (number, end) in ends.iter().enumerate() {
                        prop_assert_eq!(key.accepts(&number.to_string(), at(hour)), hour < *end);
                    }
                }
            }
        }
    }

    #[test]
    fn a_new_key_is_blank_and_an_update_replaces_what_it_names() {
        let (id, agent) = (Id::new(at(0), [1; 10]), Id::new(at(0), [2; 10]));
        let new = AccessKey::new(id, agent, token(0), Permission::AGENT, MIN_LIFETIME, at(1));
        assert_eq!((new.tm_create, new.tm_update, new.tm_last_use), (at(1), at(1), None));
        assert_eq!((new.tm_expire, new.version), (at(1).plus(MIN_LIFETIME), 1));
        assert_eq!((new.name.expose(), new.detail.expose()), ("", ""));
        let (name, detail) = (Name::trusted("a".to_owned()), Detail::trusted("b".to_owned()));
        let both = Labels { name: Some(name), detail: Some(detail) };
        let updated = new.updated(both, at(2));
        assert_eq!((updated.name.expose(), updated.detail.expose()), ("a", "b"));
        assert_eq!((updated.tm_create, updated.tm_update, updated.version), (at(1), at(2), 2));
        let kept = updated.updated(Labels::default(), at(3));
        assert_eq!((kept.name.expose(), kept.detail.expose()), ("a", "b"));
    }

    #[test]
    fn a_rotation_changes_the_version_and_the_agent() {
        let rotated = key(24).rotated(rotation(1, OVERLAP), at(1)).unwrap();
        assert_eq!((rotated.version, rotated.tm_update), (2, at(1)));
        assert_eq!((rotated.agent, rotated.tm_expire), (Id::new(at(0), [3; 10]), at(24)));
    }

    #[test]
    fn who_changes_a_participants_key_is_a_project_admin() {
        let own = key(24);
        assert_eq!(own.authority(), Permission::ADMIN);
        let bound = AccessKey {
            permission: Permission::NONE,
            participant: crate::domain::participant::ParticipantName::parse("carrier"),
            ..own
        };
        assert_eq!(bound.authority(), Permission::PROJECT_ADMIN);
    }

    #[test]
    fn lifetimes_and_overlaps_have_bounds() {
        for (seconds, is_one) in
            [(86_399, false), (86_400, true), (315_360_000, true), (315_360_001, false)]
        {
            assert_eq!(lifetime(Integer(seconds)).is_ok(), is_one, "{seconds}");
        }
        assert_eq!(overlap(None).unwrap(), OVERLAP);
        for (seconds, is_one) in [(0, true), (2_592_000, true), (2_592_001, false)] {
            assert_eq!(overlap(Some(Integer(seconds))).is_ok(), is_one, "{seconds}");
        }
        assert_eq!(overlap(Some(Integer(7))).unwrap(), Duration::from_secs(7));
        let refused = lifetime(Integer(0));
        assert!(matches!(refused, Err(Error::InvalidField(name, _)) if name == "expire"));
    }
}

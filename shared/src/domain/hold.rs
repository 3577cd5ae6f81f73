//! Holds (legal holds): orders of operators that an account must not be erased and that nothing in it may be
//! deleted or overwritten. An account can have several holds, each with a name.

use std::collections::BTreeMap;
use std::fmt;

use super::value::{SLUG_RULE, is_slug};
use super::{Actor, Timestamp};

/// Maximum number of holds of an account.
pub const MAX_HOLDS: usize = 20;

/// Name of a hold, unique within its account: 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either
/// end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldName(String);

impl HoldName {
    /// The rule that a name must follow, worded for an error message.
    pub const RULE: &str = SLUG_RULE;

    /// Returns the name `default`, which is used for a request that names no hold.
    #[must_use]
    pub fn default_name() -> Self {
        Self("default".to_owned())
    }

    /// Returns the name; `None` if it breaks the [rule](Self::RULE).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_slug(text).then(|| Self(text.to_owned()))
    }

    /// Wraps a name that was checked when it was stored, without checking it again.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for HoldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An operator's order (a legal hold) that an account must not be deleted, and that what it owns must be
/// preserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Reason for the hold: 1 to 500 characters, without personal data.
    pub reason: String,
    /// Who placed the hold.
    pub by: Actor,
    /// When the hold was placed.
    pub tm_hold: Timestamp,
}

/// Holds of an account, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds(BTreeMap<HoldName, Hold>);

impl Holds {
    /// Whether the account has no hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a hold of this name.
    #[must_use]
    pub fn has(&self, name: &HoldName) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a hold of this name can be placed: it replaces one of the same name, or there are fewer than
    /// [`MAX_HOLDS`].
    #[must_use]
    pub fn has_room_for(&self, name: &HoldName) -> bool {
        self.has(name) || self.0.len() < MAX_HOLDS
    }

    /// Returns the holds with this one added; it replaces one of the same name.
    #[must_use]
    pub fn with(mut self, name: HoldName, hold: Hold) -> Self {
        self.0.insert(name, hold);
        self
    }

    /// Returns the holds without the one of this name.
    #[must_use]
    pub fn without(mut self, name: &HoldName) -> Self {
        self.0.remove(name);
        self
    }

    /// Iterates over the holds in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&HoldName, &Hold)> {
        self.0.iter()
    }
}

impl FromIterator<(HoldName, Hold)> for Holds {
    fn from_iter<I: IntoIterator<Item = (HoldName, Hold)>>(holds: I) -> Self {
        Self(holds.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_letters_digits_and_inner_hyphens() {
        for name in ["a", "7", "default", "case-7", "a--b", &"x".repeat(40)] {
            assert_eq!(HoldName::parse(name).map(|name| name.to_string()), Some(name.to_owned()));
        }
        for name in ["", "-", "-a", "a-", "A", "a b", "a/b", "a.b", "ä", "a#b", &"x".repeat(41)] {
            assert_eq!(HoldName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn holds_stand_side_by_side_by_name() {
        let name = |number: usize| HoldName::parse(&format!("case-{number}")).unwrap();
        let hold = |reason: &str| Hold {
            reason: reason.to_owned(),
            by: Actor::PURGE,
            tm_hold: Timestamp::MAX,
        };
        assert_eq!(HoldName::default_name().to_string(), "default");
        assert!(Holds::default().is_empty());
        let one = Holds::default().with(name(1), hold("a"));
        assert!(!one.is_empty() && one.has(&name(1)) && !one.has(&name(2)));
        let replaced = one.with(name(1), hold("b")).with(name(2), hold("c"));
        let reasons: Vec<_> = replaced.iter().map(|(_, hold)| hold.reason.as_str()).collect();
        assert_eq!(reasons, ["b", "c"]);
        assert_eq!(replaced.clone().without(&name(3)), replaced);
        assert!(replaced.without(&name(1)).without(&name(2)).is_empty());
    }

    #[test]
    fn there_is_room_for_twenty_holds_and_for_replacing_one() {
        let name = |number: usize| HoldName::parse(&format!("case-{number}")).unwrap();
        let hold = || Hold { reason: "a".to_owned(), by: Actor::PURGE, tm_hold: Timestamp::MAX };
        let holds = |count| (0..count).map(|number| (name(number), hold())).collect::<Holds>();
        assert!(holds(MAX_HOLDS - 1).has_room_for(&name(99)));
        assert!(!holds(MAX_HOLDS).has_room_for(&name(99)));
        assert!(holds(MAX_HOLDS).has_room_for(&name(0)));
    }
}

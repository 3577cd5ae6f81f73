//! Typed ids.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Timestamp;

/// The id of a `T`: a `UUIDv7` (RFC 9562), so that ids sort by the time at which they were made. Sessions have a
/// `UUIDv8` instead.
pub struct Id<T>(Uuid, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// Returns an id made at `now`; `random` makes it unique within the millisecond.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Parses an id in the hyphenated form of RFC 9562, in upper or lower case. `None` for any other form,
    /// and for the nil UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uuid = Uuid::try_parse(text).ok().filter(|uuid| !uuid.is_nil())?;
        let is_hyphenated = uuid.to_string().eq_ignore_ascii_case(text);
        is_hyphenated.then(|| Self::from_uuid(uuid))
    }

    /// Returns the id with this value.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// Returns the id's value.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

// Implemented by hand, because derived implementations would require that `T` implements the same traits.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be a UUID"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sorts_by_time() {
        let at =
            |micros| Id::<()>::new(Timestamp::from_micros(micros).unwrap(), [7; 10]).to_string();
        assert!(at(1_000_000) < at(2_000_000));
    }

    #[test]
    fn a_uuid_in_capitals_is_the_same_and_shown_in_lower_case() {
        for text in [
            "5e4a0680-804e-11ec-8477-2fea5968d85b",
            "5E4A0680-804E-11EC-8477-2FEA5968D85B",
            "5e4A0680-804e-11EC-8477-2fea5968D85b",
        ] {
            let id = Id::<()>::parse(text).unwrap();
            assert_eq!(id.to_string(), "5e4a0680-804e-11ec-8477-2fea5968d85b");
        }
    }

    proptest! {
        #[test]
        fn any_case_of_one_id_is_one_and_two_ids_stay_two(one in 1..=u128::MAX, other in 1..=u128::MAX, capitals: u64) {
            let text = |number| Uuid::from_u128(number).to_string();
            let respelt: String = text(one)
                .chars()
                .enumerate()
                .map(|(at, c)| if capitals >> at & 1 == 1 { c.to_ascii_uppercase() } else { c })
                .collect();
            prop_assert_eq!(Id::<()>::parse(&respelt), Id::parse(&text(one)));
            prop_assert_eq!(Id::<()>::parse(&respelt).unwrap().to_string(), text(one));
            prop_assert_eq!(Id::<()>::parse(&text(one)) == Id::parse(&text(other)), one == other);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "x",
            "00000000-0000-0000-0000-000000000000",
            "5E4A0680804E11EC84772FEA5968D85B",
            "urn:uuid:5e4a0680-804e-11ec-8477-2fea5968d85b",
            "5e4a0680804e11ec84772fea5968d85b",
            "{5e4a0680-804e-11ec-8477-2fea5968d85b}",
        ] {
            assert_eq!(Id::<()>::parse(text), None, "{text}");
        }
        assert!(Id::<()>::parse("5e4a0680-804e-11ec-8477-2fea5968d85b").is_some());
    }
}

//! Data of resources: JSON objects that are opaque to the service.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Maximum length of data as sent, in bytes: 16 KiB.
pub const MAX_DATA: usize = 16 * 1024;

/// Maximum depth of nested objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// A JSON object, kept as the text that was sent, with every digit and the order of keys.
///
/// It may hold personal data: `Debug` does not show it.
#[derive(Clone)]
pub struct Data(String);

impl Data {
    /// Wraps stored text without checking it again: rules that were added after it was stored do not apply to
    /// it.
    pub(crate) const fn trusted(json: String) -> Self {
        Self(json)
    }

    /// Returns the object as JSON.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Default for Data {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(from)?;
        let text = json.get();
        if !text.starts_with('{') || text.len() > MAX_DATA {
            let rule =
                format!("must be a JSON object of at most {MAX_DATA} bytes, spaces included");
            return Err(D::Error::custom(rule));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        Value { depth: 0 }.deserialize(&mut reader).map_err(explain)?;
        Ok(Self(text.to_owned()))
    }
}

/// Converts an error that [`Value`] returned: the message of a broken rule of this module is kept as it is;
/// any other JSON error, which `RawValue` did not detect, is prefixed with "cannot be read".
fn explain<E: Error>(error: serde_json::Error) -> E {
    if error.is_data() { E::custom(error) } else { E::custom(format!("cannot be read: {error}")) }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data(…)")
    }
}

/// A visitor that traverses a JSON value and refuses what parsers read differently: repeated keys, and
/// nesting deeper than [`MAX_DEPTH`].
struct Value {
    /// Number of objects and arrays that enclose this value.
    depth: usize,
}

impl Value {
    fn enter<E: Error>(&self) -> Result<usize, E> {
        if self.depth < MAX_DEPTH {
            return Ok(self.depth + 1);
        }
        Err(E::custom(format!(
            "may have at most {MAX_DEPTH} objects and arrays within one another"
        )))
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    /// Accepts every number that reaches this visitor: the parser has already refused numbers beyond the
    /// range of a double.
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let depth = self.enter()?;
        while array.next_element_seed(Self { depth })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let depth = self.enter()?;
        let mut seen = HashSet::new();
        while let Some(key) = object.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("has an object with the same key more than once"));
            }
            object.next_value_seed(Self { depth })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Data, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_text_is_kept() {
        let text = r#"{ "b": 18446744073709551617, "a": [-0, 1.10, 3.14159265358979323846264338, 1E+2, null], "\u0063": "\ud83d\ude00" }"#;
        assert_eq!(read(text).unwrap().expose(), text);
        assert_eq!(Data::default().expose(), "{}");
    }

    #[test]
    fn errors_do_not_repeat_the_input() {
        for (text, rule) in [
            ("null", "must be a JSON object"),
            ("5", "must be a JSON object"),
            (r#""{}""#, "must be a JSON object"),
            ("[{}]", "must be a JSON object"),
            (r#"{"secret":1,"secret":2}"#, "same key"),
            (r#"{"secret":1,"s\u0065cret":2}"#, "same key"),
            (r#"{"a":[{"b":{"secret":1,"secret":1}}]}"#, "same key"),
            (r#"{"a":"secret \ud800"}"#, "hex escape"),
            (r#"{"\udc00secret":1}"#, "surrogate"),
            (r#"{"secret":1e999}"#, "number out of range"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(rule) && !problem.contains("secret"), "{text}: {problem}");
        }
        assert!(read(r#"{"a":{"same":1},"b":{"same":1}}"#).is_ok());
    }

    #[test]
    fn size_and_depth_have_limits() {
        let sized = |size: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(size - 8));
        assert!(read(&sized(16_384)).is_ok());
        assert!(read(&sized(16_385)).unwrap_err().contains("at most 16384 bytes"));
        let deep =
            |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        assert!(read(&deep(MAX_DEPTH + 1)).unwrap_err().contains("at most 32 objects"));
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", read(r#"{"name":"Ann"}"#).unwrap()), "Data(…)");
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_object_is_kept_and_other_json_refused(value in json()) {
            let text = value.to_string();
            match read(&text) {
                Ok(data) => prop_assert!(value.is_object() && data.expose() == text),
                Err(_) => prop_assert!(!value.is_object()),
            }
        }

        #[test]
        fn any_text_is_kept_or_refused(text in ".{0,64}") {
            let _ = read(&format!("{{{text}}}"));
        }
    }
}

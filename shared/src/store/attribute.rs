//! Items as DynamoDB writes them, `{"name": {"S": "Acme"}, "version": {"N": "3"}}`, read straight into what they
//! become. The SDK would make a map of each, and `serde_dynamo` another: half of what a page of a list took.
//!
//! Source: [AttributeValue](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html).
//! Nothing is stored as a set: one is read as a list of text.

use std::fmt;

use data_encoding::BASE64;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

/// An item that is read as a `T`.
pub(super) struct Row<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        T::deserialize(Item(json)).map(Self)
    }
}

/// A value of which nobody knows the type: only text is kept.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum MaybeText {
    Text(String),
    Other(IgnoredAny),
}

impl MaybeText {
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }
}

/// Attributes by their names.
struct Item<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Item<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Attributes(visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// A type and a value: `{"S": "Acme"}`.
struct Attribute<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Attribute<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Typed { visitor, wanted: Wanted::Any })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Typed { visitor, wanted: Wanted::Option })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Typed { visitor, wanted: Wanted::Variant })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// The type of a value.
#[derive(Deserialize)]
enum Type {
    S,
    N,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "NULL")]
    Null,
    B,
    M,
    L,
    #[serde(rename = "SS", alias = "NS", alias = "BS")]
    Set,
}

/// What an attribute is to become, as far as that is not for its type to say.
enum Wanted {
    Any,
    Option,
    Variant,
}

/// Reads an attribute.
struct Typed<V> {
    visitor: V,
    wanted: Wanted,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Typed<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        let kind = map.next_key()?.ok_or_else(|| A::Error::custom("a value without a type"))?;
        let value = Value { kind, map };
        match (self.wanted, &value.kind) {
            (Wanted::Any, _) | (Wanted::Option, Type::Null) => value.deserialize_any(self.visitor),
            (Wanted::Option, _) => self.visitor.visit_some(value),
            (Wanted::Variant, _) => value.deserialize_enum("", &[], self.visitor),
        }
    }
}

/// The value of an attribute, whose type has been read.
struct Value<A> {
    kind: Type,
    map: A,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Value<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, A::Error> {
        match self.kind {
            Type::S | Type::Bool | Type::Set => self.map.next_value_seed(Json(visitor)),
            Type::M | Type::L => self.map.next_value_seed(Json(Attributes(visitor))),
            Type::N => number(self.map.next_value()?, visitor),
            Type::B => {
                let bytes = BASE64.decode(self.map.next_value::<&str>()?.as_bytes());
                visitor.visit_byte_buf(bytes.map_err(A::Error::custom)?)
            }
            Type::Null => {
                self.map.next_value::<IgnoredAny>()?;
                visitor.visit_unit()
            }
        }
    }

    /// Enumerations are stored by the names of their variants.
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let name: &str = self.map.next_value()?;
        visitor.visit_enum(serde::de::value::BorrowedStrDeserializer::new(name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Numbers are text to DynamoDB.
fn number<'de, V: Visitor<'de>, E: serde::de::Error>(
    text: &str,
    visitor: V,
) -> Result<V::Value, E> {
    if let Ok(number) = text.parse::<u64>() {
        visitor.visit_u64(number)
    } else if let Ok(number) = text.parse::<i64>() {
        visitor.visit_i64(number)
    } else {
        visitor.visit_f64(text.parse().map_err(E::custom)?)
    }
}

/// What JSON says without types.
struct Json<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Json<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        json.deserialize_any(self.0)
    }
}

/// Shows a visitor the values of a map's or a list's attributes.
struct Attributes<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Attributes<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Values(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Values(list))
    }
}

/// The values of attributes, one after the other.
struct Values<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Values<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(OfAttribute(seed))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Values<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(OfAttribute(seed))
    }
}

/// What grows from an attribute.
struct OfAttribute<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for OfAttribute<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Attribute(json))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;
    use serde::Serialize;
    use serde_dynamo::AttributeValue;
    use serde_json::{Value as JsonValue, json};

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        DarkRed,
        Green,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(String);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        colours: Vec<Colour>,
        names: BTreeMap<String, Option<Wrapped>>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        text: String,
        unsigned: u64,
        signed: i64,
        fraction: f64,
        yes: bool,
        nothing: Option<u8>,
        something: Option<i32>,
        colour: Option<Colour>,
        wrapped: Wrapped,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        inner: Vec<Inner>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<String>,
        unit: (),
    }

    fn outer() -> impl Strategy<Value = Outer> {
        let colour = || prop_oneof![Just(Colour::DarkRed), Just(Colour::Green)];
        let wrapped = || any::<String>().prop_map(Wrapped);
        let names = prop::collection::btree_map(any::<String>(), prop::option::of(wrapped()), 0..3);
        let inner = (prop::collection::vec(colour(), 0..3), names)
            .prop_map(|(colours, names)| Inner { colours, names });
        let numbers = (any::<u64>(), any::<i64>(), -1e30..1e30, any::<Option<i32>>());
        let rest = (prop::option::of(colour()), wrapped(), any::<Vec<u8>>(), any::<bool>());
        (any::<String>(), numbers, rest, prop::collection::vec(inner, 0..3)).prop_map(
            |(
                text,
                (unsigned, signed, fraction, something),
                (colour, wrapped, bytes, yes),
                inner,
            )| {
                Outer {
                    text,
                    unsigned,
                    signed,
                    fraction,
                    yes,
                    nothing: None,
                    something,
                    colour,
                    wrapped,
                    bytes,
                    inner,
                    absent: None,
                    unit: (),
                }
            },
        )
    }

    /// As DynamoDB would send it.
    fn json(value: &AttributeValue) -> JsonValue {
        match value {
            AttributeValue::S(text) => json!({"S": text}),
            AttributeValue::N(number) => json!({"N": number}),
            AttributeValue::Bool(bool) => json!({"BOOL": bool}),
            AttributeValue::Null(_) => json!({"NULL": true}),
            AttributeValue::B(bytes) => json!({"B": BASE64.encode(bytes)}),
            AttributeValue::L(list) => json!({"L": list.iter().map(json).collect::<Vec<_>>()}),
            AttributeValue::M(map) => json!({"M": attributes(map)}),
            set => panic!("nothing is stored as {set:?}"),
        }
    }

    fn attributes(item: &HashMap<String, AttributeValue>) -> JsonValue {
        item.iter().map(|(name, value)| (name.clone(), json(value))).collect()
    }

    fn read<T: DeserializeOwned>(item: &JsonValue) -> serde_json::Result<T> {
        serde_json::from_str::<Row<T>>(&item.to_string()).map(|row| row.0)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(outer in outer()) {
            let item: serde_dynamo::Item = serde_dynamo::to_item(&outer).unwrap();
            prop_assert_eq!(read::<Outer>(&attributes(&item)).unwrap(), outer);
        }
    }

    /// Among them items of kinds that nobody here knows: the purge must come past them.
    #[test]
    fn what_is_not_asked_for_may_be_anything() {
        #[derive(Deserialize)]
        struct Wanted {
            sk: String,
            login: MaybeText,
        }

        let any = [
            json!({"SS": ["a", "b"]}),
            json!({"NS": ["1", "2e400"]}),
            json!({"BS": ["AA=="]}),
            json!({"B": "/w=="}),
            json!({"N": "12345678901234567890123456789012345678"}),
            json!({"N": "-1.5E-130"}),
            json!({"M": {"a": {"L": [{"NULL": true}, {"SS": ["x"]}]}}}),
            json!({"BOOL": false}),
            json!({"NULL": true}),
        ];
        for any in any {
            let item = json!({"login": any, "sk": {"S": "X#1"}, "more": any});
            let wanted: Wanted = read(&item).unwrap();
            assert_eq!(wanted.sk, "X#1");
            assert_eq!(wanted.login.as_str(), None, "{item}");
        }
    }

    #[test]
    fn what_is_of_another_type_is_not_read() {
        for value in [
            json!({"S": "7"}),
            json!({"N": "-1"}),
            json!({"N": "256"}),
            json!({"N": "1.5"}),
            json!({"N": "seven"}),
            json!({"NULL": true}),
            json!({"L": [{"N": "7"}]}),
            json!({"T": "7"}),
            json!({}),
            json!({"N": "7", "S": "7"}),
            json!(7),
        ] {
            let item = json!({"a": value});
            assert!(read::<HashMap<String, u8>>(&item).is_err(), "{item}");
        }
    }
}

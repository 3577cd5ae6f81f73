//! Strict parsing of JSON bodies. A body's size is checked before it is parsed. It must be an object of known
//! fields, each sent once.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor, value};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::accepts::echo;
use crate::domain::{Error, Violation};

/// Maximum size of a body, in bytes: 64 KiB.
const MAX_BODY: usize = 64 * 1024;

/// Message about a body that is not an object. The check comes first, because serde would also read a struct from an
/// array.
const OBJECT: &str = "it must be an object";

/// Parses `body` as a `T`.
pub(super) fn parse<T: DeserializeOwned>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
) -> Result<T, Error> {
    if body.len() > MAX_BODY {
        return Err(Error::BodyTooLarge(MAX_BODY));
    }
    if body.trim_ascii().is_empty() {
        return Err(Error::BodyMissing);
    }
    // Compressed bodies are refused: a small one may expand to a large one.
    let plain = content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if !plain || !content_type.is_some_and(is_json) {
        return Err(Error::NotJson);
    }
    if let Some(problem) = foreign_encoding(body) {
        return Err(Error::InvalidJson(problem));
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::InvalidJson(OBJECT.to_owned()));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// Returns what is wrong with the encoding of `body`; `None` if it is UTF-8 without a byte order mark.
fn foreign_encoding(body: &[u8]) -> Option<String> {
    if body.starts_with("\u{feff}".as_bytes()) {
        return Some(
            "it begins with a byte order mark (U+FEFF); send UTF-8 without one".to_owned(),
        );
    }
    // JSON begins with two ASCII characters; each has a zero byte beside it in UTF-16 and UTF-32.
    if body.starts_with(b"\xff\xfe")
        || body.starts_with(b"\xfe\xff")
        || body.iter().take(2).any(|byte| *byte == 0)
    {
        return Some("it is UTF-16 or UTF-32; send UTF-8".to_owned());
    }
    let error = std::str::from_utf8(body).err()?;
    Some(format!("it is not UTF-8, beginning with byte {}; send UTF-8", error.valid_up_to() + 1))
}

/// Parses `body` as a `T`. Fields that `T` lacks are accepted if `shown`, the resource as `GET` shows it, has
/// them with the same values.
pub(super) fn parse_over<T: DeserializeOwned>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
    shown: &impl Serialize,
) -> Result<T, Error> {
    over(parse(content_type, content_encoding, body)?, shown)
}

/// Parses `body` into two structs: an `A` from the fields that `A` has, and a `B` from the rest. For the
/// rest, `shown` means the same as in [`parse_over`].
pub(super) fn parse_both_over<A: DeserializeOwned, B: DeserializeOwned>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
    shown: &impl Serialize,
) -> Result<(A, B), Error> {
    let sent: Fields = parse(content_type, content_encoding, body)?;
    let (first, rest) = sent.split(|name| field_names::<A>().contains(&name));
    Ok((first.parse()?, over(rest, shown)?))
}

fn over<T: DeserializeOwned>(sent: Fields, shown: &impl Serialize) -> Result<T, Error> {
    let mut read_only: Map<String, Value> = serde_json::to_value(shown)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::Internal(error.to_string()))?;
    read_only.retain(|name, _| !field_names::<T>().contains(&name.as_str()));
    for (name, value) in sent.0.iter().filter(|(name, _)| read_only.contains_key(name)) {
        let value: Option<Value> = serde_json::from_str(value.get()).ok();
        if value.as_ref() != read_only.get(name) {
            return Err(Error::invalid_field(
                name,
                "is read-only, and has another value now: leave it out, or send it as GET shows it",
            ));
        }
    }
    let (_, rest) = sent.split(|name| read_only.contains_key(name));
    rest.parse()
}

/// Parses `body` into two structs: an `A` from the fields that `A` has, and a `B` from the rest.
pub(super) fn parse_both<A: DeserializeOwned, B: DeserializeOwned>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
) -> Result<(A, B), Error> {
    let sent: Fields = parse(content_type, content_encoding, body)?;
    let (first, rest) = sent.split(|name| field_names::<A>().contains(&name));
    Ok((first.parse()?, rest.parse()?))
}

/// Fields of an object in the order in which they were sent, duplicates included.
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Splits the fields into those whose names are `chosen` and the rest.
    fn split(self, chosen: impl Fn(&str) -> bool) -> (Self, Self) {
        let (chosen, rest) = self.0.into_iter().partition(|(name, _)| chosen(name));
        (Self(chosen), Self(rest))
    }

    /// Parses the fields as a `T`.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        parse(Some("application/json"), None, &json)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Entries)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Returns the names of the fields of the struct `T`; none if `T` is not a struct.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    /// A deserializer that only records the names of a struct's fields, and fails before it reads a value.
    struct Names<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(value::Error::custom("only the names are wanted"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(value::Error::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    // This always fails, after the names have been recorded.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Parses the event of a Lambda function that is not called through the API. An error does not repeat any
/// value, which may be a secret.
pub fn event<T: DeserializeOwned>(event: Value) -> Result<T, Error> {
    if !event.is_object() {
        return Err(Error::InvalidJson(OBJECT.to_owned()));
    }
    serde_path_to_error::deserialize(event)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))
}

/// Whether a `Content-Type` is JSON (RFC 9110 §8.3, RFC 6839 §3.1). Its parameters are ignored, except that a
/// charset must be UTF-8 or US-ASCII.
fn is_json(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let suffixed =
        media_type.strip_prefix("application/").and_then(|rest| rest.strip_suffix("+json"));
    let is_json = media_type == "application/json" || suffixed.is_some_and(|name| !name.is_empty());
    let charset =
        |parameter: &str| Some(parameter.strip_prefix("charset=")?.trim_matches('"').to_owned());
    // ASCII is a subset of UTF-8.
    let is_utf8 = |charset: String| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii");
    is_json && parts.filter_map(charset).all(is_utf8)
}

/// Returns the error for a body that cannot be parsed. It says what is wrong without repeating a value, which
/// may be a secret.
fn explain(path: &str, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    if error.classify() != Category::Data {
        return Error::InvalidJson(message);
    }
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    if let Some(name) = named(message, "missing field `") {
        return Error::invalid_field(name, Violation::Missing);
    }
    if let Some(name) = named(message, "duplicate field `") {
        return Error::invalid_field(name, Violation::Duplicate);
    }
    if let Some((name, known)) =
        message.strip_prefix("unknown field `").and_then(|rest| rest.rsplit_once("`, expected "))
    {
        return Error::invalid_field(&echo(name), Violation::Unknown(known.to_owned()));
    }
    // serde's message ends with the expected form, which this code words itself. The part before it may repeat the
    // client's value.
    match message.rsplit_once(", expected ") {
        Some((_, rule)) => Error::invalid_field(path, format!("must be {rule}")),
        None => Error::invalid_field(path, message),
    }
}

fn named<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.strip_suffix('`')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::{Name, NewPassword};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only parsed")]
        name: Name,
        #[serde(default)]
        #[expect(dead_code, reason = "only parsed")]
        immediate: bool,
        #[serde(default)]
        #[expect(dead_code, reason = "only parsed")]
        password: Option<NewPassword>,
    }

    fn wrong(body: &str) -> String {
        match parse::<Body>(Some("application/json"), None, body.as_bytes()).unwrap_err() {
            Error::InvalidField(name, rule) => format!("{name}: {rule}"),
            Error::InvalidJson(problem) => format!("JSON: {problem}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(wrong("{}"), "name: is missing");
        assert_eq!(wrong(r#"{"name":"a","name":"b"}"#), "name: is there more than once");
        assert_eq!(
            wrong(r#"{"name":"a","immedi\u0061te":true,"immediate":false}"#),
            "immediate: is there more than once"
        );
        assert_eq!(
            wrong(r#"{"name":"a","x":1}"#),
            "x: is not a field here; known: one of `name`, `immediate`, `password`"
        );
        assert_eq!(
            wrong(r#"{"name":"a","":1}"#),
            "\"\": is not a field here; known: one of `name`, `immediate`, `password`"
        );
        assert_eq!(
            wrong(r#"{"name":5}"#),
            "name: must be text of at most 255 characters, without control characters"
        );
        assert_eq!(
            wrong(r#"{"name":null}"#),
            "name: must be text of at most 255 characters, without control characters, not null; \"\" clears it"
        );
        assert_eq!(wrong(r#"{"name":"a","immediate":1}"#), "immediate: must be a boolean");
    }

    #[test]
    fn errors_never_repeat_a_value() {
        for secret in [
            r#"{"name":"a","password":"hunter2"}"#,
            r#"{"name":"a","password":["hunter2, expected hunter2"]}"#,
            r#"{"name":"a","immediate":"hunter2"}"#,
        ] {
            assert!(!wrong(secret).contains("hunter2"), "{}", wrong(secret));
        }
    }

    #[test]
    fn events_are_parsed_as_strictly_as_bodies() {
        let wrong = |text: &str| match event::<Body>(serde_json::from_str(text).unwrap()) {
            Err(Error::InvalidField(name, rule)) => format!("{name}: {rule}"),
            other => format!("{other:?}"),
        };
        assert!(wrong(r#"{"name":"a"}"#).starts_with("Ok("));
        assert_eq!(
            wrong(r#"{"name":"a","password":"hunter2"}"#),
            "password: must have at least 8 characters"
        );
        for text in [r#""hunter2""#, r#"["hunter2"]"#, "5", "null"] {
            assert_eq!(wrong(text), r#"Err(InvalidJson("it must be an object"))"#);
        }
    }

    #[test]
    fn broken_json_is_refused() {
        let deep = format!(r#"{{"name":{}"#, "[".repeat(60_000));
        for body in [
            "[]",
            r#"["a"]"#,
            "null",
            "{",
            r#"{"name":"a"}x"#,
            r#"{"name":"a",}"#,
            "\u{feff}{}",
            r#"{"name":"\ud800"}"#,
            r#"{'name':"a"}"#,
            &deep,
        ] {
            assert!(
                wrong(body).starts_with("JSON: ") || wrong(body).starts_with("name: must"),
                "{}",
                wrong(body)
            );
        }
        assert!(matches!(
            parse::<Body>(Some("application/json"), None, b"{\"name\":\"\xff\"}"),
            Err(Error::InvalidJson(_))
        ));
    }

    #[test]
    fn content_type_must_be_json() {
        for good in [
            "application/json",
            "application/json;",
            "application/json ; charset=utf8",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"; profile=x",
            "application/json; indent=4",
            "application/merge-patch+json",
            "application/vnd.api+json; charset=utf-8",
            "application/json; charset=US-ASCII",
        ] {
            assert!(parse::<Body>(Some(good), None, br#"{"name":"a"}"#).is_ok(), "{good}");
        }
        for bad in [
            None,
            Some("text/plain"),
            Some("application/json; charset=utf-16"),
            Some("application/json; charset=iso-8859-1"),
            Some("application/json; charset=latin-1"),
            Some("application/+json"),
            Some("application/jsonx"),
            Some("text/json+json"),
            Some("application/x-www-form-urlencoded"),
        ] {
            assert!(
                matches!(parse::<Body>(bad, None, br#"{"name":"a"}"#), Err(Error::NotJson)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn read_only_fields_are_accepted_as_they_are_and_refused_by_name_otherwise() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Update {
            #[serde(default)]
            name: String,
        }

        let shown = serde_json::json!({"id": 1, "name": "a", "metadata": {"b": 1, "c": null}});
        let read = |body: &str| {
            let read = parse_over(Some("application/json"), None, body.as_bytes(), &shown);
            read.map(|Update { name }| name).map_err(|error| match error {
                Error::InvalidField(name, _) => name,
                other => format!("{other:?}"),
            })
        };
        for (body, name) in [
            (r#"{"name":"b"}"#, "b"),
            (r#"{"id":1,"name":"b"}"#, "b"),
            (r#"{"metadata":{"c":null,"b":1},"id":1}"#, ""),
            ("{}", ""),
        ] {
            assert_eq!(read(body).as_deref(), Ok(name), "{body}");
        }
        for (body, field) in [
            (r#"{"id":2,"name":"b"}"#, "id"),
            (r#"{"id":1,"id":2}"#, "id"),
            (r#"{"metadata":{}}"#, "metadata"),
            (r#"{"x":1,"id":1}"#, "x"),
            (r#"{"name":"a","name":"b","id":1}"#, "name"),
        ] {
            assert_eq!(read(body).unwrap_err(), field, "{body}");
        }
    }

    #[test]
    fn a_missing_body_and_a_byte_order_mark_have_words_of_their_own() {
        assert_eq!(wrong(""), "BodyMissing");
        assert!(matches!(parse::<Body>(None, None, b""), Err(Error::BodyMissing)));
        for blank in [" ", "\r\n"] {
            assert_eq!(wrong(blank), "BodyMissing", "{blank:?}");
        }
        let marked = wrong("\u{feff}{}");
        assert!(marked.contains("byte order mark"), "{marked}");
    }

    #[test]
    fn a_body_in_another_encoding_is_told_which() {
        let text = r#"{"name":"José"}"#;
        let units =
            |mark: &[u16]| mark.iter().copied().chain(text.encode_utf16()).collect::<Vec<_>>();
        let little = |mark: &[u16]| units(mark).into_iter().flat_map(u16::to_le_bytes).collect();
        let big = |mark: &[u16]| units(mark).into_iter().flat_map(u16::to_be_bytes).collect();
        let wide: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        for (body, problem) in [
            (little(&[]), "it is UTF-16 or UTF-32; send UTF-8"),
            (little(&[0xfeff]), "it is UTF-16 or UTF-32; send UTF-8"),
            (big(&[]), "it is UTF-16 or UTF-32; send UTF-8"),
            (big(&[0xfeff]), "it is UTF-16 or UTF-32; send UTF-8"),
            (wide, "it is UTF-16 or UTF-32; send UTF-8"),
            (latin, "it is not UTF-8, beginning with byte 13; send UTF-8"),
        ] {
            let refused = parse::<Body>(Some("application/json"), None, &body).unwrap_err();
            let Error::InvalidJson(found) = refused else { panic!("{refused:?}") };
            assert_eq!(found, problem);
        }
    }

    #[test]
    fn size_is_checked_before_parsing() {
        let body = |size: usize| format!(r#"{{"name":"a"{}}}"#, " ".repeat(size - 12)).into_bytes();
        assert!(parse::<Body>(Some("application/json"), None, &body(65_536)).is_ok());
        let refused = parse::<Body>(None, None, &body(65_537));
        assert!(matches!(refused, Err(Error::BodyTooLarge(65_536))));
    }
}

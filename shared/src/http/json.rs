//! JSON bodies, strictly: size before parsing, an object, known fields, each once.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::domain::{Error, Violation};

/// The largest body, in bytes: 64 KiB.
const MAX_BODY: usize = 64 * 1024;

/// What the whole of it must be: a struct would also be read from an array.
const OBJECT: &str = "it must be an object";

/// Longest part of a client's own words that is repeated to it.
const MAX_ECHO: usize = 64;

/// Reads `body` as a `T`.
pub(super) fn parse<T: DeserializeOwned>(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: &[u8],
) -> Result<T, Error> {
    if body.len() > MAX_BODY {
        return Err(Error::BodyTooLarge(MAX_BODY));
    }
    // Nothing is unpacked: what is small may become large.
    let plain = content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if !plain || !content_type.is_some_and(is_json) {
        return Err(Error::NotJson);
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

/// Reads an event that did not come through the API. An error repeats no value, which may be a secret.
pub fn event<T: DeserializeOwned>(event: Value) -> Result<T, Error> {
    if !event.is_object() {
        return Err(Error::InvalidJson(OBJECT.to_owned()));
    }
    serde_path_to_error::deserialize(event)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))
}

/// `application/json`, in UTF-8 if it says.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().as_deref() == Some("application/json")
        && parts.all(|part| part == "charset=utf-8" || part == "charset=\"utf-8\"")
}

/// Says what is wrong without repeating a value, which may be a secret.
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
        let name: String = name.chars().take(MAX_ECHO).collect();
        return Error::invalid_field(&name, Violation::Unknown(known.to_owned()));
    }
    // What is expected is ours to word and comes last; what came instead is the client's.
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
    use serde::Deserialize;

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
    fn names_the_field() {
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
    fn never_repeats_a_value() {
        for secret in [
            r#"{"name":"a","password":"hunter2"}"#,
            r#"{"name":"a","password":["hunter2, expected hunter2"]}"#,
            r#"{"name":"a","immediate":"hunter2"}"#,
        ] {
            assert!(!wrong(secret).contains("hunter2"), "{}", wrong(secret));
        }
    }

    #[test]
    fn an_event_is_read_as_carefully() {
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
            "",
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
        for good in ["application/json", "Application/JSON; charset=UTF-8"] {
            assert!(parse::<Body>(Some(good), None, br#"{"name":"a"}"#).is_ok(), "{good}");
        }
        for bad in [
            None,
            Some("text/plain"),
            Some("application/json; charset=utf-16"),
            Some("application/x-www-form-urlencoded"),
        ] {
            assert!(
                matches!(parse::<Body>(bad, None, br#"{"name":"a"}"#), Err(Error::NotJson)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn size_comes_before_parsing() {
        let body = vec![b'x'; MAX_BODY + 1];
        assert!(matches!(parse::<Body>(None, None, &body), Err(Error::BodyTooLarge(MAX_BODY))));
    }
}

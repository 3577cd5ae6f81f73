//! The header `Idempotency-Key`.

use crate::domain::Error;
use crate::domain::idempotency::IdempotencyKey;

/// Parses the header. The key is a quoted string of visible characters (RFC 8941), or a token without quotes.
/// Unlike a token of RFC 8941, it may begin with any token character.
pub(super) fn parse(header: &str) -> Result<IdempotencyKey, Error> {
    let header = header.trim_matches([' ', '\t']);
    let key = match header.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').and_then(unescape),
        None => header.bytes().all(is_token).then(|| header.to_owned()),
    };
    key.and_then(IdempotencyKey::new).ok_or_else(|| {
        let rule =
            "must be one key of 1 to 255 visible characters in double quotes, such as a UUID";
        Error::InvalidParameter("Idempotency-Key", rule.to_owned())
    })
}

/// Removes the escapes from a quoted string; `None` if it is malformed. `quoted` is the text between the
/// quotes.
fn unescape(quoted: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), quoted.chars());
    while let Some(character) = rest.next() {
        text.push(match character {
            '\\' => rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            plain => plain,
        });
    }
    Some(text)
}

/// Whether the byte is a token character: one of RFC 9110, or `:` or `/`, which RFC 8941 adds.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'/' | b':' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Option<String> {
        parse(header).ok().map(|key| key.expose().to_owned())
    }

    #[test]
    fn strings_and_tokens_are_keys() {
        for (header, key) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (" \"a\" ", "a"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("\"a,b;c\"", "a,b;c"),
        ] {
            assert_eq!(read(header).as_deref(), Some(key), "{header}");
        }
    }

    #[test]
    fn headers_that_are_neither_are_refused() {
        let long = "x".repeat(256);
        let quoted = format!("\"{long}\"");
        for header in [
            "",
            "\"",
            "\"\"",
            "\"a",
            "a\"",
            "a b",
            "\"a b\"",
            "a,b",
            "\"a\", \"b\"",
            r#""a\b""#,
            r#""a\""#,
            "\"é\"",
            "é",
            "a;b=1",
            "\"a\";b=1",
            "(a)",
            &long,
            &quoted,
        ] {
            assert_eq!(read(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_visible_text_can_be_quoted(key in "[!-~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(read(&quoted), Some(key));
        }

        #[test]
        fn any_header_is_parsed_or_refused(header in ".{0,300}") {
            if let Some(key) = read(&header) {
                prop_assert!((1..=255).contains(&key.len()));
            }
        }
    }
}

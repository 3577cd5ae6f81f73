//! Entity tags and conditional requests (RFC 9110, §8.8.3 and §13).

use super::view::Tagged;
use crate::domain::Error;
use crate::domain::digest::sha256;

/// A strong entity tag: a digest of the representation. A change of fields that no response shows does not
/// change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ETag(String);

impl ETag {
    /// Number of hexadecimal digits of the digest: 128 bits, too many for anybody to find two states with the
    /// same tag.
    const DIGITS: usize = 32;

    pub(super) fn of(shown: &impl Tagged) -> Result<Self, Error> {
        let json = serde_json::to_string(&shown.whole())
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self(sha256(&json)[..Self::DIGITS].to_owned()))
    }

    /// Returns the tag in quotes, as in the `ETag` header.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// The `If-Match` and `If-None-Match` preconditions of a request. A header that is absent is always met.
#[derive(Debug, Default)]
pub struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// Entity tags that a precondition header lists.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: any tag.
    Any,
    /// A list of tags.
    Listed(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    opaque: String,
}

impl Preconditions {
    pub(super) fn parse(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
    ) -> Result<Self, Error> {
        let tags = |name, header: Option<&str>| {
            let invalid = || {
                let rule = "must be * or a list of entity tags, as the header ETag gives them";
                Error::InvalidParameter(name, rule.to_owned())
            };
            header.map(|text| Tags::parse(text).ok_or_else(invalid)).transpose()
        };
        Ok(Self {
            if_match: tags("If-Match", if_match)?,
            if_none_match: tags("If-None-Match", if_none_match)?,
        })
    }

    /// Refuses a change unless the current state, represented by `shown`, meets the preconditions.
    ///
    /// If the change is decided again because the state has changed meanwhile, call this again for the new
    /// state. The change is only written if the checked state is still current, so no state escapes the
    /// check.
    pub fn require(&self, shown: &impl Tagged) -> Result<(), Error> {
        if self.if_match.is_none() && self.if_none_match.is_none() {
            return Ok(());
        }
        let tag = ETag::of(shown)?;
        if self.takes(&tag) && !self.knows(&tag) { Ok(()) } else { Err(Error::EtagMismatch) }
    }

    /// Refuses a creation if there is an `If-Match`, which no state can match as nothing exists yet.
    /// `If-None-Match` is always met.
    pub fn require_absent(&self) -> Result<(), Error> {
        if self.if_match.is_none() { Ok(()) } else { Err(Error::EtagMismatch) }
    }

    /// Whether `If-Match` is absent, is `*`, or lists the tag. Weak tags do not match.
    pub(super) fn takes(&self, tag: &ETag) -> bool {
        self.if_match.as_ref().is_none_or(|tags| tags.has(tag, |tag| !tag.is_weak))
    }

    /// Whether `If-None-Match` is `*` or lists the tag, weak or strong.
    pub(super) fn knows(&self, tag: &ETag) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| tags.has(tag, |_| true))
    }
}

impl Tags {
    fn parse(text: &str) -> Option<Self> {
        const SPACE: [char; 2] = [' ', '\t'];
        if text.trim_matches(SPACE) == "*" {
            return Some(Self::Any);
        }
        let (mut tags, mut rest) = (Vec::new(), text);
        loop {
            // RFC 9110 §5.6.1: list elements may be empty.
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return (!tags.is_empty()).then_some(Self::Listed(tags));
            }
            let quoted = rest.strip_prefix("W/");
            let is_weak = quoted.is_some();
            let (opaque, behind) = quoted.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
            if !opaque.chars().all(|c| c.is_ascii_graphic() || !c.is_ascii()) {
                return None;
            }
            tags.push(Tag { is_weak, opaque: opaque.to_owned() });
            rest = behind.trim_start_matches(SPACE);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }

    fn has(&self, tag: &ETag, counts: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|one| one.opaque == tag.0 && counts(one)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Tagged for str {}
    impl Tagged for &str {}

    fn tag(is_weak: bool, opaque: &str) -> Tag {
        Tag { is_weak, opaque: opaque.to_owned() }
    }

    #[test]
    fn entity_tags_are_parsed_as_rfc_9110_writes_them() {
        for (text, tags) in [
            (r#""xyzzy""#, vec![tag(false, "xyzzy")]),
            (r#"W/"xyzzy""#, vec![tag(true, "xyzzy")]),
            (r#""""#, vec![tag(false, "")]),
            (
                r#""a", "r2d2,x" ,W/"c""#,
                vec![tag(false, "a"), tag(false, "r2d2,x"), tag(true, "c")],
            ),
            ("\t, ,\"a\",,", vec![tag(false, "a")]),
            ("\"ä\"", vec![tag(false, "ä")]),
        ] {
            assert_eq!(Tags::parse(text), Some(Tags::Listed(tags)), "{text}");
        }
        assert_eq!(Tags::parse(" * "), Some(Tags::Any));
        for bad in [
            "",
            " ",
            ",",
            "xyzzy",
            "\"",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W/ \"a\"",
            "W/",
            "\"a\" \"b\"",
            "\"a b\"",
            "\"a\x7f\"",
            "*, \"a\"",
            "\"a\", *",
            "\"a\"b",
            "'a'",
        ] {
            assert_eq!(Tags::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn weak_tags_match_if_none_match_only() {
        let now = ETag::of(&"now").unwrap();
        let weak = format!("W/{}", now.quoted());
        let strong = now.quoted();
        let parse = |one, other| Preconditions::parse(one, other).unwrap();
        assert!(parse(Some(&strong), None).takes(&now));
        assert!(!parse(Some(&weak), None).takes(&now));
        assert!(parse(None, Some(&weak)).knows(&now));
        assert!(parse(Some("*"), None).takes(&now) && parse(None, Some("*")).knows(&now));
        assert!(parse(None, None).takes(&now) && !parse(None, None).knows(&now));
        // `If-None-Match: *` refuses a change to anything that exists.
        assert!(parse(None, Some("*")).require(&"now").is_err());
        assert!(parse(None, Some("\"other\"")).require(&"now").is_ok());
        // `If-Match: *` fails for a resource that does not exist, because it has no entity tag.
        assert!(parse(Some("*"), None).require_absent().is_err());
        assert!(parse(None, Some("*")).require_absent().is_ok());
    }

    proptest! {
        #[test]
        fn every_list_of_tags_is_parsed_back(
            tags in prop::collection::vec((any::<bool>(), "[!#-~]{0,8}"), 1..6),
            gap in "[ \t]{0,2},[ ,\t]{0,2}",
        ) {
            let write = |(is_weak, opaque): &(bool, String)| {
                format!("{}\"{opaque}\"", if *is_weak { "W/" } else { "" })
            };
            let text = tags.iter().map(write).collect::<Vec<_>>().join(&gap);
            let tags = tags.iter().map(|(is_weak, opaque)| tag(*is_weak, opaque)).collect();
            prop_assert_eq!(Tags::parse(&text), Some(Tags::Listed(tags)));
        }

        #[test]
        fn any_header_is_parsed_or_refused(text in "[*W/\", a\t]{0,12}") {
            let _ = Tags::parse(&text);
        }
    }
}

//! User names.

use std::borrow::Cow;
use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use unicode_normalization::char::is_combining_mark;
use unicode_security::MixedScript;
use unicode_security::confusable_detection::skeleton;

use super::digest::sha256;
use super::value::{Email, FromText, deserialize_from_text, deserialize_text, mailbox};

/// Maximum number of combining marks in a row: UTS #39 section 5.4.
const MARKS_IN_A_ROW: usize = 4;

/// A name to log in with, in its canonical form: PRECIS `UsernameCaseMapped` (RFC 8265 section 3.3), so that
/// spellings that differ only in case or width are one name. A name has at most 255 bytes, and letters of one
/// script only (UTS #39 section 5.1), since a Cyrillic letter among Latin ones could pass for one of them. If
/// the name is an e-mail address, each part between dots and the `@` is checked by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Wraps a name that was checked when it was stored. Rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the name itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the name, which stands for it where the name itself is confidential. Names that
    /// merely look alike have different digests; all spellings of one e-mail address have the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&self.key())
    }

    /// Returns the key under which two items are stored: the lock that makes the name unique, and the count
    /// of password attempts. Names that look alike have the same key, so that only one of them can be taken.
    #[must_use]
    pub fn login_key(&self) -> LoginKey {
        let looks: String = skeleton(&self.key()).collect();
        let digest = Sha256::digest(looks.as_bytes());
        LoginKey(digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte)))
    }

    /// Returns the name as an e-mail address; `None` if it is not one.
    #[must_use]
    pub fn address(&self) -> Option<Email> {
        Email::from_text(&self.0).ok().filter(|email| email.canonical().is_some())
    }

    /// Returns one form for all spellings of the name: the canonical form of an e-mail address, or else the
    /// name itself.
    fn key(&self) -> Cow<'_, str> {
        mailbox(&self.0).map_or(Cow::Borrowed(&self.0), Cow::Owned)
    }
}

/// A key that stands for a user name and all names that look like it, in database keys, tokens and logs,
/// where the name itself must not be seen. It is the first 128 bits of the SHA-256 of the name's skeleton
/// (UTS #39 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginKey(pub u128);

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for LoginKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromText for LoginKey {
    type Violation = &'static str;
    fn from_text(text: &str) -> Result<Self, &'static str> {
        u128::from_str_radix(text, 16).map(Self).map_err(|_| "must be 32 hexadecimal digits")
    }
    fn rule() -> String {
        "32 hexadecimal digits".to_owned()
    }
}

/// The rule that a user name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameViolation {
    /// The user name is empty, or has more than 255 bytes.
    Length,
    /// The user name has a space.
    Space,
    /// The user name has a character that is not a letter, digit or ASCII symbol, or that is invisible.
    Characters,
    /// The user name has letters of more than one script.
    MixedScripts,
    /// The user name has more combining marks in a row than any language uses.
    Marks,
}

impl fmt::Display for UsernameViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "must have 1 to 255 bytes",
            Self::Space => "must have no spaces",
            Self::Characters => "must have letters, digits and ASCII symbols only",
            Self::MixedScripts => "must be written in one script: its letters look like others",
            Self::Marks => "must have at most 4 combining marks in a row",
        })
    }
}

impl FromText for Username {
    type Violation = UsernameViolation;
    fn from_text(text: &str) -> Result<Self, UsernameViolation> {
        let fits = |text: &str| (1..=255).contains(&text.len());
        if !fits(text) {
            return Err(UsernameViolation::Length);
        }
        if text.contains(char::is_whitespace) {
            return Err(UsernameViolation::Space);
        }
        let enforce = |text: &str| {
            let canonical = UsernameCaseMapped::new().enforce(text);
            canonical.map(Cow::into_owned).map_err(|_| UsernameViolation::Characters)
        };
        let canonical = enforce(text)?;
        // If the canonical form had yet another canonical form, one name could be taken twice.
        if enforce(&canonical)? != canonical {
            return Err(UsernameViolation::Characters);
        }
        if !fits(&canonical) {
            return Err(UsernameViolation::Length);
        }
        if marks_in_a_row(&canonical) > MARKS_IN_A_ROW {
            return Err(UsernameViolation::Marks);
        }
        let name = Self(canonical);
        let is_plain = if mailbox(&name.0).is_ok() {
            name.key().split(['@', '.']).all(MixedScript::is_single_script)
        } else {
            name.0.as_str().is_single_script()
        };
        if is_plain { Ok(name) } else { Err(UsernameViolation::MixedScripts) }
    }
    fn rule() -> String {
        "a name of 1 to 255 bytes, of letters, digits and ASCII symbols, without spaces".to_owned()
    }
}

fn marks_in_a_row(text: &str) -> usize {
    text.split(|c| !is_combining_mark(c)).map(|marks| marks.chars().count()).max().unwrap_or(0)
}

deserialize_from_text!(Username, LoginKey);

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(…)")
    }
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::decompose_canonical;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Username::from_text(text).map(|name| name.0).ok()
    }

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for spelling in ["test1", "Test1", "TEST1", "ｔｅｓｔ1"] {
            assert_eq!(canonical(spelling).unwrap(), "test1");
        }
        assert_eq!(canonical("Ann@Example.com").unwrap(), "ann@example.com");
        assert_eq!(canonical("Jose\u{301}"), canonical("josé"));
        assert_ne!(canonical("straße"), canonical("strasse"));
    }

    #[test]
    fn deceptive_and_invisible_characters_are_refused() {
        let names = [
            "",
            " ",
            "a b",
            "test1 ",
            " test1",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{2060}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{0}b",
            "a\u{7f}b",
            "a\u{ad}b",
            "a\u{e0041}b",
            "a\u{fe0f}b",
            "\u{feff}a",
            "a\nb",
            "a\u{3000}b",
            // Unassigned in the tables' version of Unicode, for private use, or a noncharacter.
            "a\u{378}b",
            "a\u{e000}b",
            "a\u{fdd0}b",
            "a\u{1f980}",
            // More than one script.
            "аdmin",
            "раypal",
            "admιn",
            // Compatibility characters.
            "ﬀ",
            "①",
            &format!("a{}", "\u{323}\u{301}".repeat(3)),
            &"x".repeat(256),
        ];
        for text in names {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        let marked = "q\u{323}\u{323}\u{301}\u{301}";
        for text in ["josé", "алексей", "山田たろう", "김철수", "σωκράτης", "เก่ง", "נועם", marked]
        {
            assert_eq!(canonical(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn names_that_look_alike_have_one_key_and_two_digests() {
        let name = |text| Username::from_text(text).unwrap();
        for (one, other) in [("paypal", "paypa1"), ("com", "corn"), ("scope", "ѕсоре")] {
            assert_eq!(name(one).login_key(), name(other).login_key(), "{one} {other}");
            assert_ne!(name(one).digest(), name(other).digest());
        }
        assert_ne!(name("ann").login_key(), name("bob").login_key());
        // The locks that make names unique are stored under this key.
        assert_eq!(name("paypa1").login_key().to_string(), sha256("paypal")[..32]);
    }

    #[test]
    fn spellings_of_one_address_are_one_name() {
        let keys = |text| {
            let name = Username::from_text(text).unwrap_or_else(|rule| panic!("{text}: {rule}"));
            (name.login_key(), name.digest())
        };
        for (one, other) in [
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("Ann@BÜCHER.example", "ann@bu\u{308}cher.example"),
            ("straße@example.com", "STRASSE@example.com"),
            ("संपर्क@डेटामेल.भारत", "संपर्क@xn--c2bd4bq2d9bd.xn--h2brj9c"),
            ("ann@डेटामेल.भारत", "ann@xn--c2bd4bq2d9bd.xn--h2brj9c"),
        ] {
            assert_eq!(keys(one), keys(other), "{one} {other}");
        }
        assert_ne!(keys("ann@bücher.example").1, keys("ann@bucher.example").1);
        // The name is kept as it was given, not as the canonical address, except for case and width.
        assert_eq!(canonical("Ann@XN--Bcher-kva.example").unwrap(), "ann@xn--bcher-kva.example");
        assert_eq!(
            Username::from_text("аnn@example.com").err(),
            Some(UsernameViolation::MixedScripts)
        );
    }

    #[test]
    fn a_name_that_is_an_address_can_be_written_to() {
        let address = |text| Username::from_text(text).unwrap().address();
        assert_eq!(address("Ann@Example.com"), Email::from_text("ann@example.com").ok());
        for name in ["ann", "ann.example.com", "ann@", "@example.com"] {
            assert_eq!(address(name), None, "{name}");
        }
    }

    #[test]
    fn the_rule_that_failed_is_named() {
        use UsernameViolation::{Characters, Length, Marks, MixedScripts, Space};
        for (text, rule) in [
            ("", Length),
            (&"x".repeat(256), Length),
            ("a b", Space),
            ("a\u{200b}b", Characters),
            ("раypal", MixedScripts),
            (&format!("a{}", "\u{323}\u{301}".repeat(3)), Marks),
        ] {
            assert_eq!(Username::from_text(text).err(), Some(rule), "{text:?}");
        }
    }

    /// If a canonical form had yet another canonical form, one name could be taken twice.
    #[test]
    fn the_canonical_form_is_its_own_canonical_form() {
        let mut accepted = 0;
        let mut check = |text: &str| {
            if let Some(once) = canonical(text) {
                accepted += 1;
                assert_eq!(canonical(&once).as_ref(), Some(&once), "{text:?}");
            }
        };
        for c in '\0'..=char::MAX {
            check(c.encode_utf8(&mut [0; 4]));
            // The canonical decomposition of `c`, if it has one.
            let mut parts = String::new();
            decompose_canonical(c, |part| parts.push(part));
            if parts.chars().nth(1).is_some() {
                check(&parts);
            }
        }
        // Most characters are refused in a name; the number of accepted ones shows that the test checks something.
        assert!((80_000..140_000).contains(&accepted), "{accepted}");
    }

    /// The locks that make user names unique are stored under keys that depend on these Unicode tables. With
    /// other tables, some names would have other keys: read the decision record before changing a version
    /// here.
    #[test]
    fn the_tables_are_the_ones_that_locks_were_made_with() {
        assert_eq!(precis_profiles::UNICODE_VERSION, (17, 0, 0));
        assert_eq!(unicode_normalization::UNICODE_VERSION, (18, 0, 0));
        assert_eq!(unicode_security::UNICODE_VERSION, (18, 0, 0));
    }
}

//! Names to log in with.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use unicode_normalization::char::is_combining_mark;
use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

use super::digest::sha256;
use super::value::{FromText, deserialize_from_text, deserialize_text};

/// More combining marks than this in a row write no language: UTS #39 section 5.4.
const MARKS_IN_A_ROW: usize = 4;

/// A name to log in with, in its canonical form: PRECIS `UsernameCaseMapped` (RFC 8265 section 3.3),
/// so that spellings which differ in case or width are one name. At most 255 bytes, in one script
/// (UTS #39 section 5.1): a Cyrillic letter among Latin ones is there to deceive.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// A name that was checked when it was stored; rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The name itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What tells this name from those that look like it, where the name itself must not be seen.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&self.0)
    }

    /// The number under which the name's lock and its throttle are kept. Names that look alike have the
    /// same: only one of them can be taken.
    #[must_use]
    pub fn login_key(&self) -> LoginKey {
        let looks: String = skeleton(&self.0).collect();
        let digest = Sha256::digest(looks.as_bytes());
        LoginKey(digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte)))
    }
}

/// Stands for a user name, and for all that look like it, where the name itself must not be seen: in
/// keys, tokens and logs. The first 128 bits of the SHA-256 of its skeleton (UTS #39 section 4).
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
    fn from_text(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
    fn rule() -> String {
        "32 hexadecimal digits".to_owned()
    }
}

impl FromText for Username {
    fn from_text(text: &str) -> Option<Self> {
        if text.len() > 255 {
            return None;
        }
        let canonical = UsernameCaseMapped::new().enforce(text).ok()?.into_owned();
        // A name whose canonical form has another canonical form would be two names.
        let stable = UsernameCaseMapped::new().enforce(canonical.as_str()).ok()? == canonical;
        let valid = stable
            && (1..=255).contains(&canonical.len())
            && canonical.as_str().is_single_script()
            && marks_in_a_row(&canonical) <= MARKS_IN_A_ROW;
        valid.then_some(Self(canonical))
    }
    fn rule() -> String {
        "a name of 1 to 255 bytes, of one script's letters and digits and ASCII symbols, without spaces"
            .to_owned()
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
        Username::from_text(text).map(|name| name.0)
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
    fn what_deceives_or_cannot_be_seen_is_refused() {
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
            // Not assigned in the tables' version of Unicode, or to nobody in particular.
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
        for text in ["josé", "алексей", "山田たろう", "김철수", "σωκράτης", "เก่ง", "נועם"]
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
    }

    /// A canonical form that has another canonical form would be two names with one lock each.
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
            // What c is composed of, if it is.
            let mut parts = String::new();
            decompose_canonical(c, |part| parts.push(part));
            if parts.chars().nth(1).is_some() {
                check(&parts);
            }
        }
        // Most characters are in no name; that some are shows that the test looks at something.
        assert!((80_000..140_000).contains(&accepted), "{accepted}");
    }

    /// Locks are kept under what these tables say of a name. With other tables some names would have
    /// other locks: see the decision record before changing a version here.
    #[test]
    fn the_tables_are_the_ones_that_locks_were_made_with() {
        assert_eq!(precis_profiles::UNICODE_VERSION, (17, 0, 0));
        assert_eq!(unicode_normalization::UNICODE_VERSION, (18, 0, 0));
        assert_eq!(unicode_security::UNICODE_VERSION, (18, 0, 0));
    }
}

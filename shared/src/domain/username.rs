//! Names to log in with.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::value::{FromText, deserialize_from_text, deserialize_text};

/// A name to log in with, in its canonical form: PRECIS `UsernameCaseMapped` (RFC 8265 section 3.3),
/// so that two spellings which look alike are one name. At most 255 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// The name itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The number under which the name's lock and its throttle are kept.
    #[must_use]
    pub fn login_key(&self) -> LoginKey {
        let digest = Sha256::digest(self.0.as_bytes());
        LoginKey(digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte)))
    }
}

/// Stands for a user name where the name itself must not be seen: in keys, tokens and logs. The first
/// 128 bits of its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginKey(pub u128);

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
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
        (stable && (1..=255).contains(&canonical.len())).then_some(Self(canonical))
    }
    fn rule() -> String {
        "a name of 1 to 255 bytes, of letters, digits and ASCII symbols, without spaces".to_owned()
    }
}

deserialize_from_text!(Username);

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        let canonical = |text| Username::from_text(text).unwrap().0;
        for spelling in ["test1", "Test1", "TEST1", "ｔｅｓｔ1"] {
            assert_eq!(canonical(spelling), "test1");
        }
        assert_eq!(canonical("Ann@Example.com"), "ann@example.com");
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for text in [
            "",
            " ",
            "a b",
            "test1 ",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{0}b",
            "a\u{ad}b",
            "\u{feff}a",
            "a\nb",
            &"x".repeat(256),
        ] {
            assert!(Username::from_text(text).is_none(), "{text:?}");
        }
    }
}

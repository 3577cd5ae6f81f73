//! Passwords, by the PRECIS profile `OpaqueString` (RFC 8265 section 4): text is composed (NFC), every Unicode space
//! becomes an ASCII space, and case is kept.
//!
//! The crate `precis-profiles` is not used here: its tables treat characters since Unicode 6.3, among them half of all
//! emoji, as unassigned.

use std::fmt;

use serde::{Deserialize, Deserializer};
use unicode_normalization::UnicodeNormalization as _;
use unicode_script::{Script, UnicodeScript as _};

use super::text::deceptive;
use super::{FromText, deserialize_from_text, deserialize_text, fold};
use crate::domain::{Error, Username};

/// Minimum length of a new password, in characters: ASVS 5.0, 6.2.1.
const MIN_CHARACTERS: usize = 8;

/// Maximum length of a new password, in bytes.
const MAX_BYTES: usize = 1024;

/// The product's name. A new password must not consist of it, since anybody would try it first.
const PRODUCT: &str = "tenure";

/// The 3,000 most common passwords among those that are long enough to be accepted: ASVS 5.0, 6.2.4.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password that a client sent to authenticate. Any text is accepted; the stored hash decides whether it is
/// right. The text is never shown and never stored.
pub struct Password(String);

impl Password {
    /// Returns the bytes to hash, which are the same for all Unicode spellings of the password.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn prepare(text: &str) -> Self {
        Self(text.chars().map(plain_space).nfc().collect())
    }
}

impl FromText for Password {
    type Violation = PasswordViolation;
    fn from_text(text: &str) -> Result<Self, PasswordViolation> {
        Ok(Self::prepare(text))
    }
    fn rule() -> String {
        "text".to_owned()
    }
    fn can_be_cleared() -> bool {
        false
    }
}

/// A password that somebody chooses: at least 8 characters, at most 1,024 bytes, and none of the most common
/// ones. It need not mix letters, digits and symbols.
pub struct NewPassword(Password);

impl NewPassword {
    /// Returns the password for the agent who logs in with `username`. Refuses one that consists of the user
    /// name, of the part of it before an `@`, or of the product's name, with only digits and punctuation
    /// added.
    pub fn for_agent(&self, username: &Username) -> Result<&Password, Error> {
        let name = username.expose();
        let local = name.split_once('@').map_or(name, |(local, _)| local);
        let violation = if is_made_of(&self.0.0, name) || is_made_of(&self.0.0, local) {
            PasswordViolation::Username
        } else if is_made_of(&self.0.0, PRODUCT) {
            PasswordViolation::Product
        } else {
            return Ok(&self.0);
        };
        Err(Error::invalid_field("password", violation.to_string()))
    }
}

/// Whether `password` consists of `word`, whatever the case, with only digits, punctuation and spaces added.
fn is_made_of(password: &str, word: &str) -> bool {
    let (password, word) = (fold(password), fold(word));
    if password == word {
        return true;
    }
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let (password, word) = (letters(&password), letters(&word));
    !word.is_empty() && !password.is_empty() && password.replace(&word, "").is_empty()
}

/// The rule that a new password breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordViolation {
    /// The password has fewer than 8 characters.
    TooShort,
    /// The password has more than 1,024 bytes.
    TooLong,
    /// The password consists of spaces only.
    Blank,
    /// The password has a control character or an unassigned one.
    Characters,
    /// The password has an invisible character, which cannot be seen and typed again; contains the character and its class.
    Invisible(char, &'static str),
    /// The password is one of the most common passwords.
    Common,
    /// The password consists of the user name or, if that is an e-mail address, of the part before the `@`, with only
    /// digits and punctuation added.
    Username,
    /// The password consists of the product's name, with only digits and punctuation added.
    Product,
}

impl fmt::Display for PasswordViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "must have at least {MIN_CHARACTERS} characters"),
            Self::TooLong => write!(f, "must have at most {MAX_BYTES} bytes"),
            Self::Blank => f.write_str("must not consist of spaces only"),
            Self::Characters => {
                f.write_str("must be text, without control characters and unassigned ones")
            }
            Self::Invisible(c, class) => {
                let code = u32::from(*c);
                write!(
                    f,
                    "must not have {class} (U+{code:04X}), which nobody can see and type again"
                )
            }
            Self::Common => f.write_str("is one of the most common passwords; choose another"),
            Self::Username => f.write_str("must not be the user name"),
            Self::Product => f.write_str("must not be the product's name"),
        }
    }
}

impl FromText for NewPassword {
    type Violation = PasswordViolation;
    fn from_text(text: &str) -> Result<Self, PasswordViolation> {
        if text.len() > MAX_BYTES {
            return Err(PasswordViolation::TooLong);
        }
        let password = Password::prepare(text);
        if password.0.chars().count() < MIN_CHARACTERS {
            Err(PasswordViolation::TooShort)
        } else if !password.0.chars().all(is_text) {
            Err(PasswordViolation::Characters)
        } else if let Some((c, class)) = deceptive(&password.0) {
            Err(PasswordViolation::Invisible(c, class))
        } else if password.0.trim().is_empty() {
            Err(PasswordViolation::Blank)
        } else if is_common(&password.0) {
            Err(PasswordViolation::Common)
        } else {
            Ok(Self(password))
        }
    }
    fn rule() -> String {
        format!("text of at least {MIN_CHARACTERS} characters and at most {MAX_BYTES} bytes")
    }
}

/// Returns the ASCII space if `c` is a Unicode space of any width, and `c` itself otherwise.
const fn plain_space(c: char) -> char {
    match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        other => other,
    }
}

/// Whether `c` is assigned, so that later versions of Unicode compose it the same way, and is not a control character.
fn is_text(c: char) -> bool {
    !c.is_control() && c.script() != Script::Unknown
}

fn is_common(password: &str) -> bool {
    // With a space at an end, a common password is nearly as easy to guess.
    let password = fold(password.trim());
    COMMON.lines().filter(|line| !line.starts_with('#')).any(|line| line == password)
}

deserialize_from_text!(Password, NewPassword);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// A password's hash, as a PHC string. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash that was stored.
    #[must_use]
    pub const fn stored(phc: String) -> Self {
        Self(phc)
    }

    /// Returns the PHC string to store or to verify with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(text: &str) -> Vec<u8> {
        Password::from_text(text).unwrap().expose().to_vec()
    }

    fn refused(text: &str) -> Option<PasswordViolation> {
        NewPassword::from_text(text).err()
    }

    #[test]
    fn a_password_set_on_a_mac_logs_in_from_windows() {
        assert_eq!(sent("Mot de passe\u{a0}e\u{301}te\u{301}"), sent("Mot de passe été"));
        assert_eq!(sent("パスワード\u{3000}１２"), sent("パスワード １２"));
        // Case, compatibility characters and spaces at the ends distinguish passwords.
        for (one, other) in [("Secret12", "secret12"), ("ﬁve five", "five five"), ("a b", "a b ")]
        {
            assert_ne!(sent(one), sent(other));
        }
    }

    #[test]
    fn any_text_can_be_sent_and_only_text_be_set() {
        for text in ["", "x", "a\u{0}b", "\u{378}", &"x".repeat(60_000)] {
            assert_eq!(sent(text), text.as_bytes());
        }
        for text in ["long\u{0}enough", "long\u{7}enough", "unassigned \u{378}"] {
            assert_eq!(refused(text), Some(PasswordViolation::Characters), "{text:?}");
        }
        // Such characters come from copying a text, not from typing it.
        for (text, class) in [
            ("\u{feff}long enough", "a zero-width space (U+FEFF)"),
            ("long\u{ad}enough", "a soft hyphen (U+00AD)"),
            ("long enough\u{200e}", "a bidirectional mark (U+200E)"),
        ] {
            let violation =
                refused(text).map(|violation| violation.to_string()).unwrap_or_default();
            assert!(violation.contains(class), "{text:?}: {violation}");
        }
        for text in ["\u{1f469}\u{200d}\u{1f4bb} works", "می\u{200c}خواهم بروم"] {
            assert_eq!(refused(text), None, "{text:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_limited_in_bytes() {
        assert_eq!(refused("1234567"), Some(PasswordViolation::TooShort));
        assert_eq!(refused("€€€€€€€"), Some(PasswordViolation::TooShort));
        // Seven characters, however they are composed.
        assert_eq!(refused(&"e\u{301}".repeat(7)), Some(PasswordViolation::TooShort));
        assert_eq!(refused("€€€€€€€€"), None);
        assert_eq!(refused(&"x".repeat(1024)), None);
        assert_eq!(refused(&"x".repeat(1025)), Some(PasswordViolation::TooLong));
    }

    #[test]
    fn the_most_common_passwords_and_spaces_are_refused() {
        for text in
            ["password", "PassWord", "12345678", "qwertyuiop", "trustno1", "iloveyou", "12345678 "]
        {
            assert_eq!(refused(text), Some(PasswordViolation::Common), "{text}");
        }
        for text in ["        ", "\u{3000}\u{a0}      "] {
            assert_eq!(refused(text), Some(PasswordViolation::Blank), "{text:?}");
        }
        assert_eq!(COMMON.lines().filter(|line| !line.starts_with('#')).count(), 3000);
    }

    #[test]
    fn composition_is_not_restricted() {
        for text in [
            "aaaaaaaa",
            "correct horse battery staple",
            "пароль мой",
            "🦀🦀🦀🦀🦀🦀🦀🦀",
            "        x",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn user_name_and_product_name_are_refused() {
        let set = |password: &str, username: &str| {
            let username = Username::from_text(username).unwrap();
            let password = NewPassword::from_text(password).unwrap();
            match password.for_agent(&username) {
                Ok(_) => String::new(),
                Err(Error::InvalidField(_, violation)) => violation.to_string(),
                Err(other) => format!("{other:?}"),
            }
        };
        for (password, username) in [
            ("annabelle", "annabelle"),
            ("AnnaBelle-2026", "annabelle"),
            ("annannann", "ann"),
            ("ann.lee@example.com", "ann.lee@example.com"),
            ("Ann.Lee.1970", "ann.lee@example.com"),
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ", "παπαδόπουλος"),
        ] {
            assert_eq!(set(password, username), "must not be the user name", "{password}");
        }
        for password in ["Tenure2026", "tenuretenure", "...tenure..."] {
            assert_eq!(set(password, "ann"), "must not be the product's name", "{password}");
        }
        for password in ["annabelle likes cheese", "tenure of office", "48151623"] {
            assert_eq!(set(password, "annabelle"), "", "{password}");
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let password = NewPassword::from_text("correct horse").unwrap();
        assert_eq!(format!("{password:?} {:?}", password.0), "NewPassword(…) Password(…)");
    }

    #[test]
    fn a_hash_is_kept_as_it_was_stored() {
        let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
        assert_eq!(PasswordHash::stored(phc.to_owned()).expose(), phc);
    }

    proptest! {
           /// Compares with the definition of the PRECIS profile: NFC and spaces, nothing else.
           #[test]
           fn spellings_are_one_password_and_two_passwords_stay_two(one in "\\PC{1,12}", other in "\\PC{1,12}") {
               let form = |text: &str| -> String {
                   {
    let plain = |c: char| if c.is_whitespace() && !matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.nfc().map(plain).nfc().collect() }
               };
               prop_assert_eq!(sent(&one) == sent(&other), form(&one) == form(&other));
               let decomposed: String = one.nfd().collect();
               prop_assert_eq!(sent(&decomposed), sent(&one));
           }
       }
}

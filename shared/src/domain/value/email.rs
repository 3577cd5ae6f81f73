//! E-mail addresses: RFC 5321 and, for scripts other than Latin, RFC 6531 and 6532.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_script::{Script, UnicodeScript as _};

use super::text::invisible;
use super::{FromText, deserialize_from_text, deserialize_text, fold};
use crate::domain::Error;
use crate::domain::digest::sha256;

/// Placeholder for an address that is withheld, as on the page that documents the original API (`VoIPbin`).
/// It is stored and shown like an address but is none: any number of accounts may have it.
const WITHHELD: &str = "[email protected]";

/// Maximum length of an address, in bytes: RFC 5321 section 4.5.3.1.3, without the angle brackets.
const MAX_BYTES: usize = 254;

/// Maximum length of the local part, in bytes: RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;

/// An e-mail address as it was given. It may be empty, or the placeholder `[email protected]` for an address
/// that is withheld.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Wraps an address that was checked when it was stored. Rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the address itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the canonical form of the address, which all of its spellings share; see [`mailbox`]. `None` if the
    /// address is empty or withheld.
    #[must_use]
    pub fn canonical(&self) -> Option<String> {
        mailbox(&self.0).ok()
    }

    /// Returns a hash that stands for the address where the address itself is confidential; `None` if it is
    /// empty or withheld.
    #[must_use]
    pub fn hash(&self) -> Option<AddressHash> {
        self.canonical().map(|mailbox| AddressHash(sha256(&mailbox)))
    }

    /// Returns the [hash](Self::hash) of the address. If the address is empty or withheld, fails with an
    /// error that names the request's field `email`.
    pub fn require_hash(&self) -> Result<AddressHash, Error> {
        let none = || Error::invalid_field("email", EmailViolation::NoAddress.to_string());
        self.hash().ok_or_else(none)
    }

    /// Whether both addresses belong to the same mailbox, in any spelling. Empty and withheld addresses are
    /// compared as text.
    #[must_use]
    pub fn is_same_mailbox(&self, other: &Self) -> bool {
        self == other || self.canonical().is_some_and(|own| other.canonical() == Some(own))
    }
}

/// A hash that stands for a mailbox where its address is confidential: the SHA-256 of the address's canonical
/// form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressHash(String);

impl AddressHash {
    /// Returns the hash, in hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule that an e-mail address breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailViolation {
    /// The address has more than 254 bytes, or more than 64 before the `@`.
    TooLong,
    /// The address begins with `[` and is not the placeholder `[email protected]`.
    Bracketed,
    /// The address has an invisible character; contains the character and its class.
    Invisible(char, &'static str),
    /// The part before the `@` is not letters, digits and symbols separated by single dots.
    LocalPart,
    /// The part after the `@` is not a domain name.
    Domain,
    /// The address has no `@`, or more than one.
    NoAddress,
}

impl fmt::Display for EmailViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(
                f,
                "must have at most {MAX_BYTES} bytes, and {MAX_LOCAL_BYTES} of them before the @"
            ),
            Self::Bracketed => {
                write!(f, "must be an e-mail address; of text in brackets, only {WITHHELD}")
            }
            Self::Invisible(c, class) => {
                write!(f, "must not have {class} (U+{:04X})", u32::from(*c))
            }
            Self::LocalPart => f.write_str(
                "must have letters, digits and symbols before the @, separated by single dots, \
                 without spaces and quotes",
            ),
            Self::Domain => f.write_str("must have a domain name behind the @"),
            Self::NoAddress => f.write_str("must be an e-mail address such as name@example.com"),
        }
    }
}

impl FromText for Email {
    type Violation = EmailViolation;
    fn from_text(text: &str) -> Result<Self, EmailViolation> {
        if text.is_empty() || text == WITHHELD {
            return Ok(Self(text.to_owned()));
        }
        if text.starts_with('[') {
            return Err(EmailViolation::Bracketed);
        }
        mailbox(text).map(|_| Self(text.to_owned()))
    }
    fn rule() -> String {
        "an e-mail address such as name@example.com".to_owned()
    }
}

deserialize_from_text!(Email);

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Returns the canonical form of an address, which all spellings of one mailbox share: the local part
/// composed (NFC) and with its case folded, and the domain in its Unicode form (UTS 46).
///
/// Quoted local parts and address literals such as `[192.0.2.1]` are refused, because they could be other
/// spellings of ordinary addresses.
pub fn mailbox(address: &str) -> Result<String, EmailViolation> {
    let address: String = address.nfc().collect();
    if let Some((c, class)) = address.chars().find_map(|c| Some((c, invisible(c)?))) {
        return Err(EmailViolation::Invisible(c, class));
    }
    let (local, domain) = address.split_once('@').ok_or(EmailViolation::NoAddress)?;
    if domain.contains('@') {
        return Err(EmailViolation::NoAddress);
    }
    if address.len() > MAX_BYTES || local.len() > MAX_LOCAL_BYTES {
        return Err(EmailViolation::TooLong);
    }
    if !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom)) {
        return Err(EmailViolation::LocalPart);
    }
    let local: String = fold(local).nfc().collect();
    Ok(format!("{local}@{}", canonical_domain(domain).ok_or(EmailViolation::Domain)?))
}

/// Returns the domain in the Unicode form of UTS 46, without transitional processing. `None` if `domain` is
/// not a domain name, or if its Unicode form does not convert back to the same domain, as for `xn--xn--…`.
fn canonical_domain(domain: &str) -> Option<String> {
    let (uts46, ldh) = (Uts46::new(), AsciiDenyList::STD3);
    let ascii = |domain: &str| {
        let ascii =
            uts46.to_ascii(domain.as_bytes(), ldh, Hyphens::CheckFirstLast, DnsLength::Verify);
        ascii.ok().map(Cow::into_owned)
    };
    let registered = ascii(domain)?;
    let (shown, valid) = uts46.to_unicode(registered.as_bytes(), ldh, Hyphens::CheckFirstLast);
    let is_same = valid.is_ok() && ascii(&shown).is_some_and(|again| again == registered);
    is_same.then(|| shown.into_owned())
}

/// Whether `c` is allowed between the dots of a local part: `atext` of RFC 5322, and every visible character that is
/// not ASCII.
fn is_atom(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    }
    // Unknown: unassigned, for private use, or a noncharacter.
    !c.is_whitespace() && !c.is_control() && c.script() != Script::Unknown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Email::from_text(text).unwrap_or_else(|rule| panic!("{text}: {rule}")).canonical()
    }

    #[test]
    fn addresses_as_people_have_them_are_accepted() {
        for good in [
            "a@example.com",
            "Ann.Lee+x@mail.example.org",
            "root@localhost",
            "संपर्क@डेटामेल.भारत",
            "যোগাযোগ@ডাটামেইল.ভারত",
            "用户@例子.广告",
            "अजय@डाटा.भारत",
            "квіточка@пошта.укр",
            "χρήστης@παράδειγμα.ελ",
            "Dörte@Sörensen.example.com",
            "josé@example.com",
            "jose\u{301}@example.com",
            "อีเมล@ทดสอบ.ไทย",
            "אני@דוגמה.קום",
            "ann@xn--bcher-kva.example",
            "o'neil@example.com",
            "a@r3---sn-xyz.example.com",
        ] {
            let email = Email::from_text(good).unwrap_or_else(|rule| panic!("{good}: {rule}"));
            assert_eq!(email.expose(), good);
            assert!(email.canonical().is_some(), "{good}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_by_the_rule_it_breaks() {
        use EmailViolation::{Bracketed, Domain, Invisible, LocalPart, NoAddress, TooLong};
        let long = format!("{}@example.com", "a".repeat(65));
        let hindi = format!("{}@example.com", "क".repeat(22));
        for (bad, rule) in [
            ("a", NoAddress),
            ("a@b@c", NoAddress),
            ("a@", Domain),
            ("a@example.com\n", Domain),
            ("a@example..com", Domain),
            ("a@example.com.", Domain),
            ("a@-example.com", Domain),
            ("a@exa_mple.com", Domain),
            ("a@xn--.example", Domain),
            ("a@[127.0.0.1]", Domain),
            ("@b.c", LocalPart),
            ("a..b@example.com", LocalPart),
            (".a@example.com", LocalPart),
            ("a.@example.com", LocalPart),
            ("a b@example.com", LocalPart),
            ("a\u{a0}b@example.com", LocalPart),
            ("Ann <a@example.com>", LocalPart),
            ("\"a\"@example.com", LocalPart),
            ("a\u{378}@example.com", LocalPart),
            ("a\u{e000}@example.com", LocalPart),
            (&long, TooLong),
            (&hindi, TooLong),
            ("[a]", Bracketed),
            ("[withheld]", Bracketed),
            ("[Email Protected]", Bracketed),
            ("[a] <b> [c]", Bracketed),
            ("a\u{200b}b@example.com", Invisible('\u{200b}', "a zero-width space")),
            ("a\u{200d}b@example.com", Invisible('\u{200d}', "a zero-width joiner")),
            ("a\u{202e}b@example.com", Invisible('\u{202e}', "a bidirectional override")),
            ("a\u{ad}b@example.com", Invisible('\u{ad}', "a soft hyphen")),
            ("a@exam\u{ad}ple.com", Invisible('\u{ad}', "a soft hyphen")),
            ("a@exam\u{200b}ple.com", Invisible('\u{200b}', "a zero-width space")),
        ] {
            assert_eq!(Email::from_text(bad).err(), Some(rule), "{bad}");
        }
    }

    #[test]
    fn spellings_of_one_mailbox_are_one() {
        for (one, other) in [
            ("Ann@Example.COM", "ann@example.com"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@BÜCHER.example", "ANN@XN--BCHER-KVA.EXAMPLE"),
            ("ann@bu\u{308}cher.example", "ann@bücher.example"),
            ("jose\u{301}@example.com", "JOSÉ@example.com"),
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ@example.gr", "παπαδόπουλος@example.gr"),
            ("STRASSE@example.com", "straße@example.com"),
            ("\u{212a}im@example.com", "kim@example.com"),
            ("संपर्क@डेटामेल.भारत", "संपर्क@xn--c2bd4bq2d9bd.xn--h2brj9c"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        for (one, other) in [
            ("ann@strasse.example", "ann@straße.example"),
            ("ann@example.com", "an.n@example.com"),
            ("ann@example.com", "ann+x@example.com"),
            ("ann@bücher.example", "ann@bucher.example"),
            ("ılk@example.com", "ilk@example.com"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn a_withheld_address_is_kept_and_is_no_mailbox() {
        assert_eq!(Email::from_text("[email protected]").unwrap().expose(), "[email protected]");
        assert_eq!(canonical("[email protected]"), None);
        assert_eq!(canonical(""), None);
    }

    #[test]
    fn where_an_address_is_required_an_empty_or_withheld_one_is_refused() {
        for none in ["", "[email protected]"] {
            let refused = Email::from_text(none).unwrap().require_hash();
            assert!(matches!(refused, Err(Error::InvalidField(field, _)) if field == "email"));
        }
        let ann = Email::from_text("ann@example.com").unwrap();
        assert_eq!(ann.require_hash().ok(), ann.hash());
        assert_eq!(ann.hash().unwrap().as_str(), sha256("ann@example.com"));
    }

    /// The locks that reserve addresses are stored under keys that depend on these Unicode tables. With other
    /// tables, some addresses would have other keys: read the decision record before changing a version here.
    #[test]
    fn the_tables_are_the_ones_that_locks_were_made_with() {
        let mut forms = String::new();
        for c in '\0'..=char::MAX {
            forms += &fold(c.encode_utf8(&mut [0; 4]));
            forms += &canonical_domain(&format!("a{c}a.example")).unwrap_or_default();
        }
        assert_eq!(
            crate::domain::digest::sha256(&forms),
            "faea9d456ad7851535e3d98f79edf2103c83aab9d5380353471392d9c5dc0369"
        );
    }

    /// Letters of local parts, each with several spellings (case, Unicode normalization) that have one
    /// canonical form. No spelling belongs to two letters.
    const LETTERS: [&[&str]; 12] = [
        &["a", "A"],
        &["k", "K", "\u{212a}"],
        &["é", "É", "e\u{301}", "E\u{301}"],
        &["ü", "Ü", "u\u{308}", "U\u{308}"],
        &["σ", "ς", "Σ"],
        &["ж", "Ж"],
        &["ı"],
        &["q\u{323}\u{301}", "q\u{301}\u{323}", "Q\u{301}\u{323}"],
        &["सं"],
        &["ß", "ẞ", "SS", "ss", "sS"],
        &["か"],
        &["が", "か\u{3099}"],
    ];

    /// Labels of domains, each with all of its spellings.
    const LABELS: [&[&str]; 7] = [
        &["example", "EXAMPLE", "Example"],
        &["bücher", "Bücher", "bu\u{308}cher", "xn--bcher-kva", "XN--BCHER-KVA"],
        &["bucher"],
        &["strasse", "STRASSE"],
        &["straße", "xn--strae-oqa"],
        &["भारत", "xn--h2brj9c"],
        &["例子", "xn--fsqu00a"],
    ];

    type Choice = Vec<(usize, usize)>;

    fn choice(of: &'static [&[&str]], max: usize) -> impl Strategy<Value = Choice> {
        prop::collection::vec((0..of.len(), 0..12_usize), 1..max)
    }

    fn spell(of: &[&[&str]], choice: &Choice, between: &str) -> String {
        let parts: Vec<_> =
            choice.iter().map(|(at, spelling)| of[*at][spelling % of[*at].len()]).collect();
        parts.join(between)
    }

    fn values(choice: &Choice) -> Vec<usize> {
        choice.iter().map(|(at, _)| *at).collect()
    }

    proptest! {
        #[test]
        fn any_spelling_of_one_address_is_one_and_two_addresses_stay_two(
            local in choice(&LETTERS, 6), other in choice(&LETTERS, 6), respelt in any::<usize>(),
            domain in choice(&LABELS, 4), elsewhere in choice(&LABELS, 4),
        ) {
            let again = |choice: &Choice| -> Choice {
                choice.iter().enumerate().map(|(at, (value, _))| (*value, respelt.rotate_right(u32::try_from(at).unwrap()))).collect()
            };
            let email = |local: &Choice, domain: &Choice| {
                format!("{}@{}", spell(&LETTERS, local, ""), spell(&LABELS, domain, "."))
            };
            let address = email(&local, &domain);
            prop_assert_eq!(canonical(&address), canonical(&email(&again(&local), &again(&domain))));
            for (local2, domain2) in [(&other, &domain), (&local, &elsewhere), (&other, &elsewhere)] {
                let same = values(&local) == values(local2) && values(&domain) == values(domain2);
                prop_assert_eq!(canonical(&address) == canonical(&email(local2, domain2)), same);
            }
        }

        #[test]
        fn the_canonical_form_is_its_own_canonical_form(local in "\\PC{1,8}", domain in "[\\PC]{1,8}") {
            if let Ok(once) = mailbox(&format!("{local}@{domain}.example")) {
                prop_assert_eq!(mailbox(&once), Ok(once));
            }
        }
    }

    /// The label decodes to another label that begins with `xn--` and is invalid.
    #[test]
    fn a_domain_that_is_shown_as_none_is_none() {
        let label = "xn--xn--bcbchepaxelmepaxco---bhcer-kkva";
        for address in [format!("ann@{label}.example"), format!("ann@{label}")] {
            assert_eq!(mailbox(&address), Err(EmailViolation::Domain), "{address}");
        }
    }
}

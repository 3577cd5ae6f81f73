//! Values that cannot hold a wrong one, read from the text that a client sent.

use std::fmt;
use std::marker::PhantomData;

use email_address::{EmailAddress, Options};
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Error;
use super::webhook_target::{Loopback, MAX_BYTES, WebhookTarget};

/// A value that is written as text.
pub trait FromText: Sized {
    /// The value, or `None` if `text` breaks the [rule](Self::rule).
    fn from_text(text: &str) -> Option<Self>;

    /// What the text must be, to follow "must be" in a message to a person.
    fn rule() -> String;
}

/// Deserializes a [`FromText`]. An error names the rule and never the text, which may be a secret.
pub fn deserialize_text<'de, T: FromText, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    struct Text<T>(PhantomData<T>);
    impl<T: FromText> Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&T::rule())
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).ok_or_else(|| E::invalid_value(Unexpected::Other("text"), &self))
        }
    }
    from.deserialize_str(Text(PhantomData))
}

/// Deserializes a field that may be absent but not `null`: `null` reads like a wish to clear the
/// field, and is not one.
pub fn deserialize_present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Implements `Deserialize` through [`FromText`].
macro_rules! deserialize_from_text {
    ($($name:ty),+) => { $(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                deserialize_text(from)
            }
        }
    )+ };
}
pub(super) use deserialize_from_text;

/// Text of at most `MAX` characters, without control characters other than line feed and tab.
///
/// It may identify a person: `Debug` does not show it, and what does says so by [`expose`](Self::expose).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BoundedText<const MAX: usize>(String);

impl<const MAX: usize> BoundedText<MAX> {
    /// Text that was checked when it was stored; rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromText for BoundedText<MAX> {
    fn from_text(text: &str) -> Option<Self> {
        let allowed = |c: char| !c.is_control() || c == '\n' || c == '\t';
        (text.chars().count() <= MAX && text.chars().all(allowed)).then(|| Self(text.to_owned()))
    }
    fn rule() -> String {
        format!("text of at most {MAX} characters, without control characters")
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedText<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize_text(from)
    }
}

impl<const MAX: usize> fmt::Debug for BoundedText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundedText(…)")
    }
}

/// A name.
pub type Name = BoundedText<255>;
/// A description.
pub type Detail = BoundedText<2000>;
/// A phone number; E.164 is recommended, not checked.
pub type PhoneNumber = BoundedText<255>;
/// A postal address.
pub type Address = BoundedText<1024>;

/// An e-mail address, empty, or a placeholder in square brackets.
///
/// Text in square brackets stands for an address that is withheld, as sites and exports write it
/// (`[email protected]`). It is kept and shown like any other, but it is no address: any number of
/// accounts may have it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Email(BoundedText<254>);

impl Email {
    /// An address that was checked when it was stored; rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(BoundedText::trusted(text))
    }

    /// The address itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What two spellings of one address have in common: the address in lower case. `None` if this
    /// is no address.
    #[must_use]
    pub fn canonical(&self) -> Option<String> {
        is_address(self.expose()).then(|| self.expose().to_lowercase())
    }
}

impl FromText for Email {
    fn from_text(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let withheld = inner.is_some_and(|text| !text.contains(['[', ']', '<', '>']));
        let email = Self(BoundedText::from_text(text)?);
        (text.is_empty() || withheld || is_address(text)).then_some(email)
    }
    fn rule() -> String {
        "an e-mail address such as name@example.com, of at most 254 characters".to_owned()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Quoted local parts are left out: they would be second spellings of plain ones.
fn is_address(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal();
    !text.contains('"') && EmailAddress::parse_with_options(text, options).is_ok()
}

/// Where a customer's webhooks go, or nowhere if empty: a [`WebhookTarget`], which may be the machine itself as
/// long as nobody has asked whether that is [allowed](Self::admit).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebhookUri(String);

impl WebhookUri {
    /// Text that was checked when it was stored; rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The URL as it was given.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Where it leads, by today's rules; `None` if there is none or webhooks may not go there.
    #[must_use]
    pub fn target(&self, loopback: Loopback) -> Option<WebhookTarget> {
        WebhookTarget::parse(&self.0, loopback)
    }

    /// Refuses the machine itself where that is not allowed.
    pub fn admit(&self, loopback: Loopback) -> Result<(), Error> {
        if self.0.is_empty() || self.target(loopback).is_some() {
            return Ok(());
        }
        Err(Error::invalid_field("webhook_uri", format!("must be {}", Self::rule())))
    }
}

impl FromText for WebhookUri {
    fn from_text(text: &str) -> Option<Self> {
        let fits = text.is_empty() || WebhookTarget::parse(text, Loopback::Allowed).is_some();
        fits.then(|| Self(text.to_owned()))
    }
    fn rule() -> String {
        format!(
            "an https URL on port 443 of a public host, in ASCII, the host written plainly, without \
             user name, password or fragment, of at most {MAX_BYTES} characters, or empty"
        )
    }
}

impl fmt::Debug for WebhookUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookUri(…)")
    }
}

/// The HTTP method with which webhooks are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookMethod {
    /// No webhooks.
    #[default]
    None,
    /// `POST`.
    Post,
    /// `GET`.
    Get,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl WebhookMethod {
    const ALL: [Self; 5] = [Self::None, Self::Post, Self::Get, Self::Put, Self::Delete];

    /// The method's name; empty for none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Post => "POST",
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl FromText for WebhookMethod {
    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == text)
    }
    fn rule() -> String {
        "POST, GET, PUT, DELETE or empty".to_owned()
    }
}

/// A password, exactly as it was sent: 8 to 1,024 bytes. Never shown, never stored.
pub struct Password(String);

impl Password {
    /// The bytes to hash.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromText for Password {
    fn from_text(text: &str) -> Option<Self> {
        (8..=1024).contains(&text.len()).then(|| Self(text.to_owned()))
    }
    fn rule() -> String {
        "text of 8 to 1024 bytes".to_owned()
    }
}

/// A password's hash, as a PHC string. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash as it was stored.
    #[must_use]
    pub const fn stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string to store or to verify with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

deserialize_from_text!(Email, WebhookUri, WebhookMethod, Password);

/// An account's switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Whether the customer's calls are captured for debugging; absent until it is first set.
    #[serde(
        default,
        deserialize_with = "deserialize_present",
        skip_serializing_if = "Option::is_none"
    )]
    pub rtp_debug: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_is_an_address_or_withheld() {
        for good in [
            "",
            "a@example.com",
            "Ann.Lee+x@mail.example.org",
            "root@localhost",
            "[email protected]",
        ] {
            assert!(Email::from_text(good).is_some(), "{good}");
        }
        for bad in [
            "a",
            "a@",
            "@b.c",
            "a@b@c",
            "a..b@example.com",
            "a b@example.com",
            "Ann <a@example.com>",
            "a@example.com\n",
            "a@[127.0.0.1]",
            "\"a\"@example.com",
            "[a] <b> [c]",
        ] {
            assert!(Email::from_text(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn one_address_has_one_canonical_form() {
        let canonical = |text| Email::from_text(text).unwrap().canonical();
        assert_eq!(canonical("Ann@Example.COM"), canonical("ann@example.com"));
        assert_eq!(canonical("[email protected]"), None);
        assert_eq!(canonical(""), None);
    }

    #[test]
    fn webhook_uri_to_the_machine_itself_must_be_admitted() {
        let own = WebhookUri::from_text("http://127.0.0.1:8080/hook").unwrap();
        assert!(own.admit(Loopback::Allowed).is_ok());
        let Err(Error::InvalidField(field, rule)) = own.admit(Loopback::Refused) else {
            panic!("admitted");
        };
        assert_eq!(field, "webhook_uri");
        assert!(rule.starts_with("must be an https URL"), "{rule}");

        for uri in ["", "https://example.com/"] {
            assert!(WebhookUri::from_text(uri).unwrap().admit(Loopback::Refused).is_ok(), "{uri}");
        }
    }

    #[test]
    fn password_is_counted_in_bytes() {
        assert!(Password::from_text("1234567").is_none());
        assert!(Password::from_text("€€€").is_some());
        assert!(Password::from_text(&"x".repeat(1024)).is_some());
        assert!(Password::from_text(&"x".repeat(1025)).is_none());
    }

    #[test]
    fn debug_shows_no_content() {
        let shown = format!(
            "{:?} {:?}",
            Name::from_text("Ann").unwrap(),
            Email::from_text("ann@example.com").unwrap()
        );
        assert!(!shown.contains("nn"), "{shown}");
    }
}

//! Values that are valid by construction, parsed from text that a client sent.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::Error;
use super::webhook_target::{Loopback, TargetPolicy, TargetViolation, WebhookTarget};

#[cfg(test)]
mod boundaries;
mod email;
mod fold;
mod integer;
mod password;
mod text;

pub use email::{AddressHash, Email, EmailViolation, mailbox};
pub use fold::fold;
pub use integer::{Count, Integer};
pub use password::{NewPassword, Password, PasswordHash, PasswordViolation};
pub use text::{
    Address, BoundedText, Detail, HoldReason, Name, NonBlank, PhoneNumber, TextViolation,
    WaiverReason,
};

/// A value that is written as text.
pub trait FromText: Sized {
    /// The rule that a text breaks. `Display` follows the field's name in a message: "must …".
    type Violation: Display;

    /// Returns the value, or the rule that `text` breaks.
    fn from_text(text: &str) -> Result<Self, Self::Violation>;

    /// What the text must be, to follow "must be" in a message about a value that is no text.
    fn rule() -> String;

    /// Whether `""` clears a field of this type.
    #[must_use]
    fn can_be_cleared() -> bool {
        Self::from_text("").is_ok()
    }
}

/// Deserializes a [`FromText`]. An error names the rule that is broken and never the text, which may be a
/// secret.
pub fn deserialize_text<'de, T: FromText, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    struct TextVisitor<T>(PhantomData<T>);
    impl<T: FromText> Visitor<'_> for TextVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&T::rule())
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).map_err(E::custom)
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
            let clears = if T::can_be_cleared() { "; \"\" clears it" } else { "" };
            Err(E::custom(format_args!("must be {}, not null{clears}", T::rule())))
        }
    }
    from.deserialize_any(TextVisitor(PhantomData))
}

/// Deserializes a field that may be absent but not `null`, which would read like clearing the field.
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

/// Where a customer's webhooks go, or nowhere if empty: a [`WebhookTarget`] that the installation
/// [admits](Self::admit).
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

    /// Returns where the URL leads by today's rules; `None` if it is empty or webhooks may not go there.
    #[must_use]
    pub fn target(&self, policy: &TargetPolicy) -> Option<WebhookTarget> {
        policy.target(&self.0).ok()
    }

    /// Returns the host that the URL names, with its port if it is a loopback address. Empty if webhooks may go to no
    /// such host.
    #[must_use]
    pub fn host(&self) -> String {
        let target = WebhookTarget::parse(&self.0, Loopback::Allowed);
        target.map(|target| target.authority().to_owned()).unwrap_or_default()
    }

    /// Refuses a target that the installation does not admit.
    pub fn admit(&self, policy: &TargetPolicy) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        policy
            .target(&self.0)
            .map(drop)
            .map_err(|rule| Error::invalid_field("webhook_uri", rule.to_string()))
    }
}

impl FromText for WebhookUri {
    type Violation = TargetViolation;
    fn from_text(text: &str) -> Result<Self, TargetViolation> {
        if !text.is_empty() {
            WebhookTarget::parse(text, Loopback::Allowed)?;
        }
        Ok(Self(text.to_owned()))
    }
    fn rule() -> String {
        "an https URL, or empty".to_owned()
    }
}

impl fmt::Debug for WebhookUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookUri(…)")
    }
}

/// HTTP method of webhooks.
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
    type Violation = &'static str;
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let named = Self::ALL.into_iter().find(|method| method.name() == text);
        named.ok_or("must be POST, GET, PUT, DELETE or empty")
    }
    fn rule() -> String {
        "POST, GET, PUT, DELETE or empty".to_owned()
    }
}

deserialize_from_text!(WebhookUri, WebhookMethod);

/// Changes to the name and the description of what an account owns; absent fields are kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// New name; `None` keeps the old one.
    #[serde(deserialize_with = "deserialize_present")]
    pub name: Option<Name>,
    /// New description; `None` keeps the old one.
    #[serde(deserialize_with = "deserialize_present")]
    pub detail: Option<Detail>,
}

/// Settings of an account.
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
    fn webhook_uri_at_loopback_must_be_allowed() {
        let own = WebhookUri::from_text("http://127.0.0.1:8080/hook").unwrap();
        assert!(own.admit(&TargetPolicy::new(Loopback::Allowed, [])).is_ok());
        let policy = TargetPolicy::default();
        let Err(Error::InvalidField(field, violation)) = own.admit(&policy) else {
            panic!("admitted");
        };
        assert_eq!(field, "webhook_uri");
        assert_eq!(violation.to_string(), "must begin with https://");

        for uri in ["", "https://example.com/"] {
            assert!(WebhookUri::from_text(uri).unwrap().admit(&policy).is_ok(), "{uri}");
        }
    }

    #[test]
    fn null_for_text_is_told_how_to_clear_it() {
        let null = |error: serde_json::Error| error.to_string();
        let name = serde_json::from_str::<Name>("null").map_err(null).unwrap_err();
        assert!(name.contains("not null; \"\" clears it"), "{name}");
        let password = serde_json::from_str::<NewPassword>("null").map_err(null).unwrap_err();
        assert!(password.contains("not null at line"), "{password}");
        let at_login = serde_json::from_str::<Password>("null").map_err(null).unwrap_err();
        assert!(at_login.contains("not null at line"), "{at_login}");
    }

    /// A message about a value that is no text says what it must be.
    #[test]
    fn every_type_says_what_its_text_must_be() {
        use crate::domain::Username;
        use crate::domain::find::NamePrefix;
        use crate::domain::mailed_token::PresentedToken;
        use crate::domain::participant::ParticipantName;
        use crate::domain::username::LoginKey;
        for (rule, word) in [
            (Name::rule(), "255 characters"),
            (Detail::rule(), "2000 characters"),
            (HoldReason::rule(), "1 to 500 characters"),
            (Email::rule(), "e-mail address"),
            (Password::rule(), "text"),
            (NewPassword::rule(), "8"),
            (Username::rule(), "255 bytes"),
            (LoginKey::rule(), "32 hexadecimal digits"),
            (NamePrefix::rule(), "beginning of a name"),
            (WebhookUri::rule(), "https URL"),
            (WebhookMethod::rule(), "POST, GET, PUT, DELETE"),
            (PresentedToken::rule(), "#token="),
            (ParticipantName::rule(), "participant"),
        ] {
            assert!(rule.contains(word), "{rule}");
        }
    }

    #[test]
    fn every_violation_is_told_by_what_would_be_right() {
        use crate::domain::find::PrefixViolation;
        use crate::domain::username::UsernameViolation;
        for (told, words) in [
            (TextViolation::TooLong(7).to_string(), "at most 7 characters"),
            (TextViolation::Control('\u{1}').to_string(), "U+0001"),
            (
                TextViolation::Deceptive('\u{ad}', "a soft hyphen").to_string(),
                "a soft hyphen (U+00AD)",
            ),
            (TextViolation::Blank.to_string(), "not blank"),
            (EmailViolation::TooLong.to_string(), "at most 254 bytes, and 64"),
            (EmailViolation::Bracketed.to_string(), "[email protected]"),
            (
                EmailViolation::Invisible('\u{ad}', "a soft hyphen").to_string(),
                "a soft hyphen (U+00AD)",
            ),
            (EmailViolation::LocalPart.to_string(), "before the @"),
            (EmailViolation::Domain.to_string(), "domain name behind the @"),
            (EmailViolation::NoAddress.to_string(), "name@example.com"),
            (PasswordViolation::TooShort.to_string(), "at least 8 characters"),
            (PasswordViolation::TooLong.to_string(), "at most 1024 bytes"),
            (PasswordViolation::Blank.to_string(), "spaces only"),
            (PasswordViolation::Common.to_string(), "most common passwords"),
            (UsernameViolation::Length.to_string(), "1 to 255 bytes"),
            (UsernameViolation::Space.to_string(), "no spaces"),
            (UsernameViolation::Characters.to_string(), "ASCII symbols"),
            (UsernameViolation::MixedScripts.to_string(), "one script"),
            (UsernameViolation::Marks.to_string(), "at most 4 combining marks"),
            (PrefixViolation::Length.to_string(), "1 to 64 characters"),
            (PrefixViolation::Name(TextViolation::TooLong(7)).to_string(), "at most 7"),
            (TargetViolation::TooLong.to_string(), "at most 1023 characters"),
            (TargetViolation::Fragment.to_string(), "fragment"),
            (TargetViolation::OwnHost.to_string(), "another host than this API"),
        ] {
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_method_is_read_by_its_name() {
        for method in WebhookMethod::ALL {
            assert_eq!(WebhookMethod::from_text(method.name()), Ok(method));
        }
        assert!(WebhookMethod::from_text("PATCH").is_err());
    }

    #[test]
    fn only_a_text_that_may_be_empty_can_be_cleared() {
        assert!(Name::can_be_cleared() && WebhookUri::can_be_cleared());
        assert!(!HoldReason::can_be_cleared() && !NewPassword::can_be_cleared());
    }

    #[test]
    fn a_webhook_uri_is_kept_as_it_was_given_and_leads_to_its_host() {
        let uri = WebhookUri::from_text("https://Hook.example:443/a").unwrap();
        assert_eq!(
            (uri.expose(), uri.host().as_str()),
            ("https://Hook.example:443/a", "hook.example")
        );
        assert!(uri.target(&TargetPolicy::default()).is_some());
        assert_eq!(WebhookUri::default().host(), "");
        assert!(WebhookUri::default().target(&TargetPolicy::default()).is_none());
        assert_eq!(
            WebhookUri::from_text("http://127.0.0.1:8080/").unwrap().host(),
            "127.0.0.1:8080"
        );
    }
}

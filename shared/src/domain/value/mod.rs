//! Values that are valid by construction, parsed from text that a client sent.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::Error;
use super::webhook_target::{Loopback, TargetPolicy, TargetViolation, WebhookTarget};

mod email;
mod fold;
mod integer;
mod password;
mod slug;
#[cfg(test)]
mod tests;
mod text;

pub use email::{AddressHash, Email, EmailViolation, mailbox};
pub use fold::fold;
pub use integer::{Count, Integer};
pub use password::{NewPassword, Password, PasswordHash, PasswordViolation};
pub use slug::{SLUG_RULE, is_slug};
pub use text::{
    Address, BoundedText, Detail, HoldReason, Name, NonBlank, PhoneNumber, TextViolation,
    WaiverReason,
};

/// A type that is parsed from text, such as a JSON string.
pub trait FromText: Sized {
    /// The rule that a text breaks. `Display` writes it so that it can follow the field's name in a message:
    /// "must …".
    type Violation: Display;

    /// Parses `text`, or returns the rule that it breaks.
    fn from_text(text: &str) -> Result<Self, Self::Violation>;

    /// Describes the texts that are accepted, such as "an https URL, or empty". The description follows "must
    /// be" in the message for a JSON value that is not a string.
    fn rule() -> String;

    /// Whether a client can clear a field of this type by sending `""`.
    #[must_use]
    fn can_be_cleared() -> bool {
        Self::from_text("").is_ok()
    }
}

/// Deserializes a type that implements [`FromText`]. An error names the rule that is broken and never the
/// text, which may be a secret.
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

/// Deserializes a field that may be absent but not `null`, because `null` would look as if it cleared the
/// field.
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

/// The URI that a customer's webhooks are sent to, or an empty text for no webhooks. Parsing it checks the
/// rules that hold everywhere, and [`admit`](Self::admit) those of this installation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebhookUri(String);

impl WebhookUri {
    /// Wraps text that was checked when it was stored. Rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the URL as it was given.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the target that the URL names, if the present rules of the installation allow webhooks to be
    /// sent there; `None` otherwise, or if the URL is empty.
    #[must_use]
    pub fn target(&self, policy: &TargetPolicy) -> Option<WebhookTarget> {
        policy.target(&self.0).ok()
    }

    /// Returns the host that the URL names, with the port if the host is a loopback address on another port
    /// than 80. Empty if webhooks may not be sent to that host.
    #[must_use]
    pub fn host(&self) -> String {
        let target = WebhookTarget::parse(&self.0, Loopback::Allowed);
        target.map(|target| target.authority().to_owned()).unwrap_or_default()
    }

    /// Refuses a URL to which the installation does not send webhooks. An empty URL is accepted.
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

    /// Returns the method's name; empty for none.
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

/// Changes to the name and the description of something that an account owns; absent fields are kept.
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

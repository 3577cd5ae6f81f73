//! An account.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::hold::Hold;
use super::value::{
    Address, Detail, Email, Metadata, Name, PhoneNumber, WebhookMethod, WebhookUri,
};
use super::webhook::{EarlierWebhookSecret, Webhook, WebhookSecret};
use super::webhook_target::Loopback;
use super::{Error, Id, Permission, Resource, Status, Timestamp};

/// A customer account. The fields of the first part are the seed's; clients see them.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The account's id.
    pub id: Id<Customer>,
    /// The customer's name.
    pub name: Name,
    /// What there is to say about the customer.
    pub detail: Detail,
    /// The contact address; no two accounts have the same.
    pub email: Email,
    /// The contact phone number.
    pub phone_number: PhoneNumber,
    /// The postal address.
    pub address: Address,
    /// How webhooks are sent.
    pub webhook_method: WebhookMethod,
    /// Where webhooks are sent.
    pub webhook_uri: WebhookUri,
    /// Which of the billing accounts that the account owns pays; nil for none. It is there as long as
    /// it is named here.
    pub billing_account_id: Uuid,
    /// Switches.
    pub metadata: Metadata,
    /// Whether the e-mail address is known to be the customer's.
    pub email_verified: bool,
    /// Where the account is in its life.
    pub status: Status,
    /// Whether the customer's identity is known.
    pub identity_verification_status: IdentityVerification,
    /// When a frozen account's deletion is due.
    pub tm_deletion_scheduled: Option<Timestamp>,
    /// When the account was created.
    pub tm_create: Timestamp,
    /// When the account last changed.
    pub tm_update: Timestamp,
    /// When the account was deleted.
    pub tm_delete: Option<Timestamp>,

    /// What only the system knows.
    pub internals: Internals,
}

/// What only the system knows about an account.
#[derive(Clone, Debug, Default)]
pub struct Internals {
    /// Counts changes: every write is conditioned on the version it was decided on.
    pub version: u64,
    /// Counts what was told of the account: the sequence number of its last event. Every change of the
    /// account or of what it owns is told, sessions left out, so as long as this has not moved, both
    /// are the same. Every one of them is made on the condition of it, too: so events are numbered
    /// without a gap, in the order in which things happened.
    pub sequence: u64,
    /// How many of the account's agents administer it; see [`Customer::administers`]. Moves in one
    /// transaction with their permissions, and the version moves with it.
    pub admins: u64,
    /// Counts claims by the purge: a run whose epoch is not the account's has been overtaken.
    pub epoch: u64,
    /// Whether this is the project's own account, which is never frozen or deleted.
    pub system: bool,
    /// What a frozen account was, and becomes again if it is recovered.
    pub frozen_from: Option<Status>,
    /// When a frozen account was frozen.
    pub tm_freeze: Option<Timestamp>,
    /// When the purge of a deleted account ended.
    pub tm_purge: Option<Timestamp>,
    /// The order that the account must not be erased, if there is one.
    pub hold: Option<Hold>,
    /// What webhooks are signed with.
    pub webhook_secret: Option<WebhookSecret>,
    /// What they were signed with before, for as long as it signs too.
    pub earlier_webhook_secret: Option<EarlierWebhookSecret>,
    /// Whether the webhook's receiver has said that it is gone.
    pub webhook_gone: bool,
}

/// Whether a customer's identity is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityVerification {
    /// Not asked for.
    #[default]
    None,
    /// Asked for.
    Pending,
    /// Known.
    Verified,
    /// Refused.
    Rejected,
}

/// What an operator or a customer says about an account; absent fields are not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// See [`Customer::name`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub name: Option<Name>,
    /// See [`Customer::detail`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub detail: Option<Detail>,
    /// See [`Customer::email`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub email: Option<Email>,
    /// See [`Customer::phone_number`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub phone_number: Option<PhoneNumber>,
    /// See [`Customer::address`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub address: Option<Address>,
    /// See [`Customer::webhook_method`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub webhook_method: Option<WebhookMethod>,
    /// See [`Customer::webhook_uri`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub webhook_uri: Option<WebhookUri>,
}

impl Profile {
    /// Refuses what cannot be decided without knowing where this runs.
    pub fn admit(&self, loopback: Loopback) -> Result<(), Error> {
        self.webhook_uri.as_ref().map_or(Ok(()), |uri| uri.admit(loopback))
    }
}

/// What an operator or a customer says about who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// A billing account that the account owns; in JSON the nil UUID if none.
    #[serde(deserialize_with = "id_or_nil")]
    pub billing_account_id: Option<Id<Resource>>,
}

fn id_or_nil<'de, T, D: Deserializer<'de>>(from: D) -> Result<Option<Id<T>>, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    let id = Id::parse(&text);
    if id.is_none() && text != Uuid::nil().to_string() {
        return Err(serde::de::Error::custom("must be a UUID, all zeros for none"));
    }
    Ok(id)
}

impl Customer {
    /// The project's own account, as the original numbers it.
    pub const PROJECT: Id<Self> = Id::from_uuid(Uuid::from_u128(2));

    /// An account without anything said about it.
    #[must_use]
    pub fn blank(id: Id<Self>, now: Timestamp) -> Self {
        Self {
            id,
            name: Name::default(),
            detail: Detail::default(),
            email: Email::default(),
            phone_number: PhoneNumber::default(),
            address: Address::default(),
            webhook_method: WebhookMethod::default(),
            webhook_uri: WebhookUri::default(),
            billing_account_id: Uuid::nil(),
            metadata: Metadata::default(),
            email_verified: false,
            status: Status::Initial,
            identity_verification_status: IdentityVerification::None,
            tm_deletion_scheduled: None,
            tm_create: now,
            tm_update: now,
            tm_delete: None,
            internals: Internals::default(),
        }
    }

    /// Returns the account with the fields of `profile` replaced and the others kept. A webhook URI that
    /// comes without a method gets `POST`, unless the account has a method.
    #[must_use]
    pub fn with(self, profile: Profile) -> Self {
        let is_uri_set = profile.webhook_uri.as_ref().is_some_and(|uri| !uri.expose().is_empty());
        let method = match self.webhook_method {
            WebhookMethod::None if is_uri_set => WebhookMethod::Post,
            method => method,
        };
        Self {
            name: profile.name.unwrap_or(self.name),
            detail: profile.detail.unwrap_or(self.detail),
            email: profile.email.unwrap_or(self.email),
            phone_number: profile.phone_number.unwrap_or(self.phone_number),
            address: profile.address.unwrap_or(self.address),
            webhook_method: profile.webhook_method.unwrap_or(method),
            webhook_uri: profile.webhook_uri.unwrap_or(self.webhook_uri),
            ..self
        }
    }

    /// Whether an agent with this permission administers the account. Somebody always does. In the
    /// project's own account that is a project admin: nobody else could appoint one.
    #[must_use]
    pub const fn administers(&self, permission: Permission) -> bool {
        if self.internals.system {
            permission.allows(Permission::PROJECT_ADMIN)
        } else {
            permission.allows(Permission::ADMIN)
        }
    }

    /// Refuses an account that cannot be worked with.
    pub fn require_live(self) -> Result<Self, Error> {
        if self.status.is_live() { Ok(self) } else { Err(Error::StateInvalid(Some(self.status))) }
    }

    /// When the purge must look at this account, if ever.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.status {
            _ if self.internals.hold.is_some() => None,
            Status::Frozen => self.tm_deletion_scheduled,
            Status::Deleted if self.internals.tm_purge.is_none() => self.tm_delete,
            _ => None,
        }
    }
}

impl Customer {
    /// Where the account's events go, if they go anywhere. An empty method sends nothing, and neither
    /// does an address whose receiver said that it is gone (410), until it is set again.
    #[must_use]
    pub fn webhook(&self, now: Timestamp) -> Option<Webhook> {
        let internals = &self.internals;
        let wanted = !self.webhook_uri.expose().is_empty()
            && self.webhook_method != WebhookMethod::None
            && !internals.webhook_gone;
        let secret = internals.webhook_secret.clone().filter(|_| wanted)?;
        let earlier = internals.earlier_webhook_secret.iter();
        let earlier = earlier.filter(|earlier| now < earlier.tm_expire);
        Some(Webhook {
            method: self.webhook_method,
            uri: self.webhook_uri.clone(),
            secrets: std::iter::once(secret).chain(earlier.map(|one| one.secret.clone())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText as _;

    fn profile(method: Option<WebhookMethod>, uri: Option<&str>) -> Profile {
        Profile {
            webhook_method: method,
            webhook_uri: uri.map(|uri| WebhookUri::from_text(uri).unwrap()),
            ..Profile::default()
        }
    }

    #[test]
    fn webhook_uri_without_a_method_is_sent_by_post() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let blank = Customer::blank(Id::new(now, [1; 10]), now);
        let uri = Some("https://hook.example/");
        let method = |customer: &Customer, profile| customer.clone().with(profile).webhook_method;

        assert_eq!(method(&blank, profile(None, uri)), WebhookMethod::Post);
        assert_eq!(method(&blank, profile(Some(WebhookMethod::Get), uri)), WebhookMethod::Get);
        let off = blank.clone().with(profile(Some(WebhookMethod::None), uri));
        assert_eq!(
            off.webhook_method,
            WebhookMethod::None,
            "an empty method switches webhooks off"
        );
        assert_eq!(method(&off, profile(None, None)), WebhookMethod::None);
        assert_eq!(method(&blank, profile(None, Some(""))), WebhookMethod::None);
        let put = blank.with(profile(Some(WebhookMethod::Put), None));
        assert_eq!(method(&put, profile(None, uri)), WebhookMethod::Put);
    }
}

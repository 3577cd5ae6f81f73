//! An account.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::erasure::Hold;
use super::value::{
    Address, Detail, Email, Metadata, Name, PhoneNumber, WebhookMethod, WebhookUri,
};
use super::{Error, Id, Permission, Timestamp};

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
    /// The account that pays; nil for none.
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
    pub record: Record,
}

/// What only the system knows about an account.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Counts changes: every write is conditioned on the version it was decided on.
    pub version: u64,
    /// Counts changes of what the account owns, sessions left out. Only within one version does it
    /// never go back: writers of the account do not wait for those of what it owns. So what the
    /// account owns is the same as long as neither has moved.
    pub inventory: u64,
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
}

/// Where an account is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created, e-mail address not verified.
    Initial,
    /// In use.
    Active,
    /// To be deleted when its grace period ends; can be recovered until then.
    Frozen,
    /// Deleted; nothing personal is left in it.
    Deleted,
}

impl Status {
    /// Whether the account can be worked with.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Initial | Self::Active)
    }
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
            record: Record::default(),
        }
    }

    /// The account with the named fields replaced and the others kept.
    #[must_use]
    pub fn with(self, profile: Profile) -> Self {
        Self {
            name: profile.name.unwrap_or(self.name),
            detail: profile.detail.unwrap_or(self.detail),
            email: profile.email.unwrap_or(self.email),
            phone_number: profile.phone_number.unwrap_or(self.phone_number),
            address: profile.address.unwrap_or(self.address),
            webhook_method: profile.webhook_method.unwrap_or(self.webhook_method),
            webhook_uri: profile.webhook_uri.unwrap_or(self.webhook_uri),
            ..self
        }
    }

    /// Whether an agent with this permission administers the account. Somebody always does. In the
    /// project's own account that is a project admin: nobody else could appoint one.
    #[must_use]
    pub const fn administers(&self, permission: Permission) -> bool {
        if self.record.system {
            permission.allows(Permission::PROJECT_ADMIN)
        } else {
            permission.allows(Permission::ADMIN)
        }
    }

    /// Refuses an account that cannot be worked with.
    pub fn require_live(self) -> Result<Self, Error> {
        if self.status.is_live() { Ok(self) } else { Err(Error::StateInvalid) }
    }

    /// When the purge must look at this account, if ever.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.status {
            _ if self.record.hold.is_some() => None,
            Status::Frozen => self.tm_deletion_scheduled,
            Status::Deleted if self.record.tm_purge.is_none() => self.tm_delete,
            _ => None,
        }
    }
}

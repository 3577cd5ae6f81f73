//! Customer accounts.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::counts::Counts;
use super::hold::Holds;
use super::terms::Terms;
use super::value::{
    Address, Detail, Email, Metadata, Name, PhoneNumber, WebhookMethod, WebhookUri,
};
use super::webhook::{EarlierWebhookSecret, Webhook, WebhookSecret};
use super::webhook_target::TargetPolicy;
use super::{Actor, Error, Id, Permission, Resource, Status, Timestamp};

/// A customer account. The API shows all fields except `internals`, of which it shows only a few to owners or
/// operators.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The account's id.
    pub id: Id<Customer>,
    /// The customer's name.
    pub name: Name,
    /// The customer's description.
    pub detail: Detail,
    /// The contact e-mail address. It is reserved for this account, so that no other account can reserve it,
    /// if an operator set it or if it was verified.
    pub email: Email,
    /// The contact phone number.
    pub phone_number: PhoneNumber,
    /// The postal address.
    pub address: Address,
    /// HTTP method of webhooks.
    pub webhook_method: WebhookMethod,
    /// URI of webhooks.
    pub webhook_uri: WebhookUri,
    /// Id of the billing account that pays for this account; nil for none. A billing account is an item that
    /// the account owns, and it cannot be deleted while this field names it.
    pub billing_account_id: Uuid,
    /// Settings of the account.
    pub metadata: Metadata,
    /// Whether the e-mail address is verified.
    pub email_verified: bool,
    /// Status in the lifecycle.
    pub status: Status,
    /// Result of the identity verification.
    pub identity_verification_status: IdentityVerification,
    /// When the deletion is due; `None` unless the account is frozen.
    pub tm_deletion_scheduled: Option<Timestamp>,
    /// When the account was created.
    pub tm_create: Timestamp,
    /// When the account last changed.
    pub tm_update: Timestamp,
    /// When the account was deleted; `None` unless it is.
    pub tm_delete: Option<Timestamp>,

    /// Fields that are not part of the account's public representation.
    pub internals: Internals,
}

/// Fields of an account that are not part of its public representation. A few are shown in addition to it,
/// such as the webhook secret to the account's own admins.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
#[derive(Clone, Debug, Default)]
pub struct Internals {
    /// Version, incremented by every change: a write succeeds only if the stored account still has the version that was
    /// read.
    pub version: u64,
    /// Sequence number of the account's last event that its owner may see. A transaction that emits such an
    /// event increments the number, on the condition that the number is still the one that was read. So these
    /// events are numbered without gaps, in the order of the changes. Every change of an owned item emits
    /// such an event, unless the item is short-lived, such as a session: while this number and the version
    /// stay the same, neither the account nor what it owns has changed.
    pub sequence: u64,
    /// Number of agents who [administer](Customer::administers) the account. It changes, together with the
    /// version, in the same transaction as those agents.
    pub admins: u64,
    /// Number of owned items, by kind, without short-lived kinds such as sessions. It changes in the
    /// transactions that create and delete the items.
    pub owned: Counts,
    /// Number of times that the purge (the job that deletes what the account owns) has claimed the account.
    /// It is the purge's fencing token: if a run claimed the account under another number, a later run has
    /// taken the account over.
    pub epoch: u64,
    /// Whether this is the project's own account, which is never frozen or deleted.
    pub system: bool,
    /// Status that the account had before it was frozen, and gets back when it is recovered; `None` unless it
    /// is frozen.
    pub frozen_from: Option<Status>,
    /// When the account was frozen; `None` unless it is.
    pub tm_freeze: Option<Timestamp>,
    /// Whether an operator froze the account, or took over its owner's freeze; then only operators can recover it.
    pub frozen_by_operator: bool,
    /// When the purge of the deleted account finished; `None` until then.
    pub tm_purge: Option<Timestamp>,
    /// The holds that keep the account from being erased.
    pub holds: Holds,
    /// The suspension, by which an operator has barred the account's own agents and access keys; `None` if
    /// the account is not suspended.
    pub suspension: Option<Suspension>,
    /// The terms that were accepted at sign-up; `None` if an operator created the account.
    pub terms: Option<Terms>,
    /// The current secret that signs webhooks; `None` in the project's own account and in deleted ones.
    pub webhook_secret: Option<WebhookSecret>,
    /// The previous secret, which also signs webhooks until it expires; `None` if no secret was replaced.
    pub earlier_webhook_secret: Option<EarlierWebhookSecret>,
    /// Whether webhooks are disabled because the receiver answered 410.
    pub webhook_gone: bool,
    /// Since when the webhook has been failing: the time of the first failed retry after the receiver last
    /// accepted a webhook. `None` if it is not failing, or if the account has no webhook.
    pub tm_webhook_failing: Option<Timestamp>,
    /// Whether the current e-mail address is not reserved, so that another account can still reserve it: the
    /// account's owner has set it, and it was not verified since.
    pub email_unreserved: bool,
    /// The last verified e-mail address, kept while the current one is not verified; `None` if there is none.
    /// It stays reserved, and the account's mail goes to it.
    pub retained_email: Option<Email>,
}

/// A suspension: an operator bars an account's own agents and access keys, whatever the account's status,
/// until an operator ends the suspension. The [gate](super::gate) defines what they may still do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Who suspended the account.
    pub by: Actor,
    /// When it was suspended.
    pub tm_suspend: Timestamp,
}

/// Result of the verification of a customer's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityVerification {
    /// No verification was requested.
    #[default]
    None,
    /// A verification is under way.
    Pending,
    /// The identity is verified.
    Verified,
    /// The verification was rejected.
    Rejected,
}

/// An operator's statement on whether an account's e-mail address and identity are verified. Absent fields stay
/// unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verification {
    /// See [`Customer::email_verified`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub email_verified: Option<bool>,
    /// See [`Customer::identity_verification_status`].
    #[serde(deserialize_with = "super::value::deserialize_present")]
    pub identity_verification_status: Option<IdentityVerification>,
}

/// Changes to an account's profile; absent fields stay unchanged.
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
    /// Fails if `policy`, the installation's rules for webhook targets, does not allow the webhook URI.
    pub fn admit(&self, policy: &TargetPolicy) -> Result<(), Error> {
        self.webhook_uri.as_ref().map_or(Ok(()), |uri| uri.admit(policy))
    }
}

/// A request to set the billing account that pays for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// Id of the new billing account, which the account must own; `None` (in JSON the nil UUID) for no
    /// billing account.
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
    /// Id of the project's own account, to which the operators belong. It is the same as in the original API
    /// (`VoIPbin`).
    pub const PROJECT: Id<Self> = Id::from_uuid(Uuid::from_u128(2));

    /// Returns an account with an empty profile and status `initial`.
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

    /// Returns the account with the fields of `profile` replaced and the others kept. If a webhook URI is set
    /// without a method, and the account has no method yet, the method becomes `POST`.
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

    /// Returns the address that the account's mail goes to: the current one if it is verified, otherwise the retained
    /// one. `None` if there is neither, or if the current one is verified but withheld (see [`Email`]).
    #[must_use]
    pub fn verified_address(&self) -> Option<Email> {
        if self.email_verified {
            return Some(self.email.clone()).filter(|email| email.canonical().is_some());
        }
        self.internals.retained_email.clone()
    }

    /// Returns the account's addresses: the current one and, if there is one, the retained one. They may be empty or
    /// withheld.
    pub fn addresses(&self) -> impl Iterator<Item = &Email> {
        std::iter::once(&self.email).chain(&self.internals.retained_email)
    }

    /// Returns the account's [addresses](Self::addresses) that are reserved for it: no other account can
    /// reserve them.
    pub fn reserved_addresses(&self) -> impl Iterator<Item = &Email> {
        self.addresses().skip(usize::from(self.internals.email_unreserved))
    }

    /// Whether `email` is one of the account's [addresses](Self::addresses), however spelt.
    #[must_use]
    pub fn has_address(&self, email: &Email) -> bool {
        self.addresses().any(|own| own.is_same_mailbox(email))
    }

    /// Whether an agent with this permission administers the account. That takes the customer admin
    /// permission or, in the project's own account, the project admin permission, because only a project
    /// admin can appoint another one. Every account keeps at least one agent who administers it.
    #[must_use]
    pub const fn administers(&self, permission: Permission) -> bool {
        if self.internals.system {
            permission.allows(Permission::PROJECT_ADMIN)
        } else {
            permission.allows(Permission::ADMIN)
        }
    }

    /// Fails if an agent of this account cannot have this permission: only agents of the project's own
    /// account can be project admins.
    pub fn require_grantable(&self, permission: Permission) -> Result<(), Error> {
        if self.internals.system || !permission.allows(Permission::PROJECT_ADMIN) {
            return Ok(());
        }
        let rule = "must not include 1 (project admin), which no agent of a customer can be";
        Err(Error::invalid_field("permission", rule))
    }

    /// Returns when the account is due for the purge; `None` if it is neither frozen nor deleted, if its purge has
    /// finished, or if it is held.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.status {
            _ if !self.internals.holds.is_empty() => None,
            Status::Frozen => self.tm_deletion_scheduled,
            Status::Deleted if self.internals.tm_purge.is_none() => self.tm_delete,
            _ => None,
        }
    }
}

impl Customer {
    /// Whether the account has a webhook that is not disabled.
    #[must_use]
    pub fn takes_webhooks(&self) -> bool {
        !self.webhook_uri.expose().is_empty()
            && self.webhook_method != WebhookMethod::None
            && !self.internals.webhook_gone
    }

    /// Returns the account's webhook, with the secrets that sign at `now`. `None` if the account has no
    /// webhook URI, method or secret, or if the receiver answered 410 and the URI was not set again since.
    #[must_use]
    pub fn webhook(&self, now: Timestamp) -> Option<Webhook> {
        let internals = &self.internals;
        let secret = internals.webhook_secret.clone().filter(|_| self.takes_webhooks())?;
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

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn blank() -> Customer {
        Customer::blank(Id::new(at(1), [1; 10]), at(1))
    }

    fn email(text: &str) -> Email {
        Email::from_text(text).unwrap()
    }

    #[test]
    fn a_profile_replaces_what_it_has_and_keeps_the_rest() {
        let full: Profile = serde_json::from_value(serde_json::json!({
            "name": "Ann", "detail": "d", "email": "ann@example.com", "phone_number": "1", "address": "a",
            "webhook_method": "PUT", "webhook_uri": "https://hook.example/",
        }))
        .unwrap();
        let customer = blank().with(full.clone());
        assert_eq!((customer.name.expose(), customer.detail.expose()), ("Ann", "d"));
        assert_eq!(
            (&customer.email, customer.phone_number.expose()),
            (&email("ann@example.com"), "1")
        );
        assert_eq!((customer.address.expose(), customer.webhook_method), ("a", WebhookMethod::Put));
        assert_eq!(customer.webhook_uri.expose(), "https://hook.example/");
        let kept = customer.clone().with(Profile::default());
        assert_eq!(format!("{kept:?}"), format!("{customer:?}"));
        assert_eq!((kept.name, kept.webhook_uri), (customer.name, customer.webhook_uri));
    }

    #[test]
    fn a_profile_is_admitted_unless_its_webhook_is_not() {
        let policy = TargetPolicy::default();
        assert!(profile(None, None).admit(&policy).is_ok());
        assert!(profile(None, Some("https://hook.example/")).admit(&policy).is_ok());
        assert!(profile(None, Some("http://127.0.0.1/")).admit(&policy).is_err());
    }

    #[test]
    fn a_billing_account_is_named_by_its_id_or_by_zeros_for_none() {
        let read = |id: &str| {
            let sent = serde_json::json!({"billing_account_id": id});
            serde_json::from_value::<Billing>(sent).map(|billing| billing.billing_account_id)
        };
        let id = "0190b5a2-7c1e-7c3a-9d0e-1b2c3d4e5f60";
        assert_eq!(read(id).unwrap(), Id::parse(id));
        assert_eq!(read("00000000-0000-0000-0000-000000000000").unwrap(), None);
        for wrong in ["", "0", "00000000000000000000000000000000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mail_goes_to_the_last_verified_address() {
        let mut customer = Customer { email: email("new@example.com"), ..blank() };
        assert_eq!(customer.verified_address(), None);
        customer.internals.retained_email = Some(email("old@example.com"));
        assert_eq!(customer.verified_address(), Some(email("old@example.com")));
        customer.email_verified = true;
        assert_eq!(customer.verified_address(), Some(email("new@example.com")));
        customer.email = email("[email protected]");
        assert_eq!(customer.verified_address(), None);
    }

    #[test]
    fn an_account_has_its_current_and_its_retained_address_and_may_not_reserve_the_former() {
        let mut customer = Customer { email: email("new@example.com"), ..blank() };
        customer.internals.retained_email = Some(email("old@example.com"));
        let (new, old) = (email("new@example.com"), email("old@example.com"));
        assert_eq!(customer.addresses().collect::<Vec<_>>(), [&new, &old]);
        assert_eq!(customer.reserved_addresses().collect::<Vec<_>>(), [&new, &old]);
        customer.internals.email_unreserved = true;
        assert_eq!(customer.reserved_addresses().collect::<Vec<_>>(), [&old]);
        assert!(customer.has_address(&email("OLD@example.com")));
        assert!(!customer.has_address(&email("other@example.com")));
    }

    #[test]
    fn project_admins_administer_the_projects_account_and_are_agents_of_no_other() {
        let customer = blank();
        let mut project = blank();
        project.internals.system = true;
        let (admin, operator) = (Permission::ADMIN, Permission::PROJECT_ADMIN);
        assert!(customer.administers(admin) && !customer.administers(Permission::MANAGER));
        assert!(project.administers(operator) && !project.administers(admin));
        assert!(customer.require_grantable(admin).is_ok());
        assert!(project.require_grantable(operator).is_ok());
        let refused = customer.require_grantable(operator | admin);
        assert!(matches!(refused, Err(Error::InvalidField(name, _)) if name == "permission"));
    }

    #[test]
    fn an_account_is_due_from_its_date_until_it_is_purged_unless_it_is_held() {
        use crate::domain::hold::{Hold, HoldName};
        let dated = |status| Customer {
            status,
            tm_deletion_scheduled: Some(at(5)),
            tm_delete: Some(at(7)),
            ..blank()
        };
        assert_eq!(dated(Status::Active).due(), None);
        assert_eq!(dated(Status::Frozen).due(), Some(at(5)));
        assert_eq!(dated(Status::Deleted).due(), Some(at(7)));
        let mut purged = dated(Status::Deleted);
        purged.internals.tm_purge = Some(at(9));
        assert_eq!(purged.due(), None);
        let mut held = dated(Status::Frozen);
        let case = Hold { reason: "a".to_owned(), by: Actor::PURGE, tm_hold: at(3) };
        held.internals.holds = held.internals.holds.with(HoldName::default_name(), case);
        assert_eq!(held.due(), None);
    }

    #[test]
    fn a_webhook_has_uri_method_and_secret_and_is_not_gone() {
        let mut customer = blank().with(profile(None, Some("https://hook.example/")));
        assert!(customer.takes_webhooks() && customer.webhook(at(1)).is_none(), "no secret");
        customer.internals.webhook_secret = Some(WebhookSecret::new([1; 32]));
        let webhook = customer.webhook(at(1)).unwrap();
        assert_eq!(
            (webhook.method, webhook.uri.expose()),
            (WebhookMethod::Post, "https://hook.example/")
        );
        let off = customer.clone().with(profile(Some(WebhookMethod::None), None));
        assert!(!off.takes_webhooks() && off.webhook(at(1)).is_none());
        assert!(!blank().takes_webhooks());
        customer.internals.webhook_gone = true;
        assert!(!customer.takes_webhooks() && customer.webhook(at(1)).is_none());
    }

    #[test]
    fn the_secret_before_signs_too_until_it_expires() {
        let mut customer = blank().with(profile(None, Some("https://hook.example/")));
        let (new, old) = (WebhookSecret::new([1; 32]), WebhookSecret::new([2; 32]));
        customer.internals.webhook_secret = Some(new.clone());
        let earlier = EarlierWebhookSecret { secret: old.clone(), tm_expire: at(10) };
        customer.internals.earlier_webhook_secret = Some(earlier);
        let secrets = |now| customer.webhook(now).unwrap().secrets;
        assert_eq!(secrets(at(9)), [new.clone(), old]);
        assert_eq!(secrets(at(10)), [new]);
    }
}

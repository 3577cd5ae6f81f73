//! The root of an account, the item with the account's own attributes, and the conditions that changes put on
//! it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dynamodb::{Condition, Conflict, Item, Probe, Store, number, string};
use super::fields::stored;
use super::hold::{self, HoldAttributes};
use super::key;
use super::kinds;
use super::stored::Stored;
use crate::domain::customer::{IdentityVerification, Internals, Suspension};
use crate::domain::find::NamePrefix;
use crate::domain::gate::{Party, Target, Write};
use crate::domain::terms::Terms;
use crate::domain::value::{
    Address, Detail, Email, FromText, Metadata, Name, PhoneNumber, WebhookMethod, WebhookUri,
};
use crate::domain::webhook::{EarlierWebhookSecret, WebhookSecret};
use crate::domain::{Actor, Customer, Error, Id, Resource, Status, Timestamp};
use crate::patience::Tries;

impl Store {
    /// After a conflict, waits until no transaction is writing the account's root (its own item), and returns the
    /// root. A retry based on an older root would be refused because of its sequence number, and while it is in
    /// progress, its locks would make other writers' transactions fail.
    pub(super) async fn free_root(
        &self,
        customer: Id<Customer>,
        conflict: Conflict,
        tries: &mut Tries,
    ) -> Result<Option<Item>, Error> {
        while tries.pause().await {
            if let Probe::Free(root) = self.probe(key::customer(customer).address()).await? {
                return Ok(root);
            }
        }
        Err(conflict.after(tries))
    }
}

stored! {
    /// Attributes of the item that stores an account: its root.
    #[derive(Serialize, Deserialize)]
    pub struct CustomerAttributes {
        id: Id<Customer> => Kept,
        name: String => Blanked personal,
        detail: String => Blanked personal,
        email: String => Blanked personal,
        phone_number: String => Blanked personal,
        address: String => Blanked personal,
        webhook_method: String => Blanked,
        webhook_uri: String => Blanked personal,
        billing_account_id: Uuid => Blanked,
        metadata: Metadata => Blanked,
        email_verified: bool => Blanked,
        status: Status => Kept,
        identity_verification_status: IdentityVerification => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_deletion_scheduled: Option<Timestamp> => Blanked,
        tm_create: Timestamp => Kept,
        tm_update: Timestamp => Kept,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_delete: Option<Timestamp> => Kept,

        // Internals. Rows of index `list` lack them.
        #[serde(default)]
        version: u64 => Kept,
        #[serde(default)]
        sequence: u64 => Kept,
        #[serde(default)]
        admins: u64 => Kept,
        /// Number of owned items of each kind, by the kind's plural. Negative if some were not counted when
        /// they were created.
        #[serde(default)]
        owned: BTreeMap<String, i64> => Blanked,
        #[serde(default)]
        epoch: u64 => Kept,
        #[serde(default)]
        system: bool => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        frozen_from: Option<Status> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_freeze: Option<Timestamp> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_purge: Option<Timestamp> => Kept,
        #[serde(default)]
        frozen_by_operator: bool => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        holds: Option<Vec<HoldAttributes>> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        suspended_by: Option<Actor> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_suspend: Option<Timestamp> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        terms_version: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_terms: Option<Timestamp> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        webhook_secret: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        earlier_webhook_secret: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_earlier_webhook_secret: Option<Timestamp> => Blanked,
        #[serde(default)]
        webhook_gone: bool => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_webhook_failing: Option<Timestamp> => Blanked,
        /// True if other accounts can still reserve this account's e-mail address. Absent from accounts of earlier
        /// versions of the program, which reserved every address.
        #[serde(default)]
        email_unreserved: bool => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        retained_email: Option<String> => Blanked personal,

        // Index keys are absent from items that are not in the index, never NULL.
        #[serde(skip_serializing_if = "Option::is_none")]
        list_pk: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        list_sk: Option<String> => Kept,
        /// Sort key of index `name`: the beginning of the account's name, and its id.
        #[serde(skip_serializing_if = "Option::is_none")]
        name_key: Option<String> => Blanked personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_pk: Option<String> => Kept,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_sk: Option<String> => Kept,
    }
}

impl From<&Customer> for CustomerAttributes {
    fn from(customer: &Customer) -> Self {
        let is_project = customer.internals.system;
        let listed = customer.status != Status::Deleted && !is_project;
        let name = NamePrefix::of(customer.name.expose()).filter(|_| listed);
        let due = customer.due();
        let suspension = customer.internals.suspension.as_ref();
        let terms = customer.internals.terms.as_ref();
        let earlier = customer.internals.earlier_webhook_secret.as_ref();
        let retained = customer.internals.retained_email.as_ref();
        let plain = |secret: &WebhookSecret| secret.expose().to_owned();
        Self {
            id: customer.id,
            name: customer.name.expose().to_owned(),
            detail: customer.detail.expose().to_owned(),
            email: customer.email.expose().to_owned(),
            phone_number: customer.phone_number.expose().to_owned(),
            address: customer.address.expose().to_owned(),
            webhook_method: customer.webhook_method.name().to_owned(),
            webhook_uri: customer.webhook_uri.expose().to_owned(),
            billing_account_id: customer.billing_account_id,
            metadata: customer.metadata,
            email_verified: customer.email_verified,
            status: customer.status,
            identity_verification_status: customer.identity_verification_status,
            tm_deletion_scheduled: customer.tm_deletion_scheduled,
            tm_create: customer.tm_create,
            tm_update: customer.tm_update,
            tm_delete: customer.tm_delete,
            version: customer.internals.version,
            sequence: customer.internals.sequence,
            admins: customer.internals.admins,
            owned: kinds::signed(&customer.internals.owned),
            epoch: customer.internals.epoch,
            system: customer.internals.system,
            frozen_from: customer.internals.frozen_from,
            tm_freeze: customer.internals.tm_freeze,
            tm_purge: customer.internals.tm_purge,
            frozen_by_operator: customer.internals.frozen_by_operator,
            holds: hold::list(&customer.internals.holds),
            suspended_by: suspension.map(|suspension| suspension.by),
            tm_suspend: suspension.map(|suspension| suspension.tm_suspend),
            terms_version: terms.map(|terms| terms.version.clone()),
            tm_terms: terms.map(|terms| terms.tm_accept),
            webhook_secret: customer.internals.webhook_secret.as_ref().map(plain),
            earlier_webhook_secret: earlier.map(|earlier| plain(&earlier.secret)),
            tm_earlier_webhook_secret: earlier.map(|earlier| earlier.tm_expire),
            webhook_gone: customer.internals.webhook_gone,
            tm_webhook_failing: customer.internals.tm_webhook_failing,
            email_unreserved: customer.internals.email_unreserved,
            retained_email: retained.map(|email| email.expose().to_owned()),
            list_pk: listed.then(|| key::LIST.to_owned()),
            list_sk: (!is_project).then(|| key::list(customer.tm_create, customer.id)),
            name_key: name.map(|name| key::name(&name, customer.id)),
            due_pk: due.map(|_| key::due_partition(customer).to_owned()),
            due_sk: due.map(|when| key::due(when, customer.id)),
        }
    }
}

impl From<CustomerAttributes> for Customer {
    fn from(stored: CustomerAttributes) -> Self {
        let suspension = suspension(&stored);
        let terms = stored.terms_version.zip(stored.tm_terms);
        let terms = terms.map(|(version, tm_accept)| Terms { version, tm_accept });
        let earlier = stored.earlier_webhook_secret.zip(stored.tm_earlier_webhook_secret);
        let earlier = earlier.map(|(secret, tm_expire)| EarlierWebhookSecret {
            secret: WebhookSecret::trusted(secret),
            tm_expire,
        });
        Self {
            id: stored.id,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            email: Email::trusted(stored.email),
            phone_number: PhoneNumber::trusted(stored.phone_number),
            address: Address::trusted(stored.address),
            webhook_method: WebhookMethod::from_text(&stored.webhook_method).unwrap_or_default(),
            webhook_uri: WebhookUri::trusted(stored.webhook_uri),
            billing_account_id: stored.billing_account_id,
            metadata: stored.metadata,
            email_verified: stored.email_verified,
            status: stored.status,
            identity_verification_status: stored.identity_verification_status,
            tm_deletion_scheduled: stored.tm_deletion_scheduled,
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
            tm_delete: stored.tm_delete,
            internals: Internals {
                version: stored.version,
                sequence: stored.sequence,
                admins: stored.admins,
                owned: kinds::unsigned(&stored.owned),
                epoch: stored.epoch,
                system: stored.system,
                frozen_from: stored.frozen_from,
                tm_freeze: stored.tm_freeze,
                tm_purge: stored.tm_purge,
                frozen_by_operator: stored.frozen_by_operator,
                holds: hold::holds(stored.holds),
                suspension,
                terms,
                webhook_secret: stored.webhook_secret.map(WebhookSecret::trusted),
                earlier_webhook_secret: earlier,
                webhook_gone: stored.webhook_gone,
                tm_webhook_failing: stored.tm_webhook_failing,
                email_unreserved: stored.email_unreserved,
                retained_email: stored.retained_email.map(Email::trusted),
            },
        }
    }
}

fn suspension(stored: &CustomerAttributes) -> Option<Suspension> {
    Some(Suspension { by: stored.suspended_by?, tm_suspend: stored.tm_suspend? })
}

impl Stored for Customer {
    type Attributes = CustomerAttributes;
}

/// The condition that the account's state still allows this write, as the [gate](crate::domain::gate) has decided.
/// Every write of an owned item is conditional on this.
///
/// Most writes are also conditional on the sequence number, which a freeze or a suspension increments. That does not
/// suffice: placing a hold does not increment it, and resending a delivery is not conditional on it.
pub(super) fn admits(target: Target<'_>) -> Condition {
    let status = |name: &'static str, status: Status| (name, string(status.name()));
    let live = [status(":initial", Status::Initial), status(":active", Status::Active)];
    let condition = match target.write {
        Write::Credentials | Write::Reset => {
            let [initial, active] = live;
            let statuses = [initial, active, status(":frozen", Status::Frozen)];
            Condition::new("#status IN (:initial, :active, :frozen)", statuses)
        }
        Write::Change | Write::Overwrite => Condition::new("#status IN (:initial, :active)", live),
    };
    let condition = match (target.by, target.write) {
        (Party::Operator, _) | (Party::Owner, Write::Reset) => condition,
        (Party::Owner, _) => condition.and(Condition::new("attribute_not_exists(tm_suspend)", [])),
    };
    match target.write {
        Write::Overwrite => condition.and(Condition::new("attribute_not_exists(holds)", [])),
        Write::Credentials | Write::Reset | Write::Change => condition,
    }
}

/// The condition that the account is as it was when the change was decided on: at the same version, status
/// and sequence number.
pub(super) fn decided_on(customer: &Customer) -> Condition {
    let status = [(":read_status", string(customer.status.name()))];
    Condition::version(customer.internals.version)
        .and(Condition::new("#status = :read_status", status))
        .and(unchanged_sequence(customer))
}

/// The condition that the account has emitted no event since it was read.
pub(super) fn unchanged_sequence(customer: &Customer) -> Condition {
    let values = [(":read_sequence", number(customer.internals.sequence))];
    Condition::new("#sequence = :read_sequence", values)
}

/// The condition that the account has more than one admin.
pub(super) fn another_admin() -> Condition {
    Condition::new("admins > :last", [(":last", number(1))])
}

/// The condition that this billing account does not pay for the account.
pub(super) fn not_paid_by(billing_account: Id<Resource>) -> Condition {
    let values = [(":billing_account", string(billing_account.to_string()))];
    Condition::new("billing_account_id <> :billing_account", values)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::lifecycle::{Command, Transition, decide};
    use crate::store::fields::{Declared as _, Rule};

    pub(crate) fn now() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }

    /// An account with this sequence number.
    pub(crate) fn customer(sequence: u64) -> Customer {
        let mut customer = Customer::blank(Id::new(now(), [1; 10]), now());
        customer.internals.sequence = sequence;
        customer
    }

    /// An account's root in DynamoDB's own JSON.
    pub(crate) fn root(customer: &Customer) -> Value {
        let attributes = serde_json::to_value(CustomerAttributes::from(customer)).unwrap();
        let mut item = serde_json::Map::new();
        for (name, value) in attributes.as_object().unwrap() {
            let value = match value {
                Value::String(text) => json!({"S": text}),
                Value::Number(number) => json!({"N": number.to_string()}),
                Value::Bool(bool) => json!({"BOOL": bool}),
                _ => json!({"M": {}}),
            };
            item.insert(name.clone(), value);
        }
        item.insert("pk".to_owned(), json!({"S": key::partition(customer.id)}));
        item.insert("sk".to_owned(), json!({"S": key::ROOT}));
        item.into()
    }

    /// The response to `Store::probe` that finds an account's root.
    pub(crate) fn found(customer: &Customer) -> (u16, Value) {
        (200, json!({"Responses": [{"Item": root(customer)}]}))
    }

    /// An account with every field set.
    fn full(now: Timestamp) -> Customer {
        let text = |text: &str| text.to_owned();
        Customer {
            name: Name::trusted(text("name")),
            detail: Detail::trusted(text("detail")),
            email: Email::trusted(text("a@example.com")),
            phone_number: PhoneNumber::trusted(text("1")),
            address: Address::trusted(text("address")),
            webhook_method: WebhookMethod::Post,
            webhook_uri: WebhookUri::trusted(text("https://example.com/")),
            billing_account_id: Uuid::from_u128(7),
            metadata: Metadata { rtp_debug: Some(true) },
            email_verified: true,
            status: Status::Frozen,
            identity_verification_status: IdentityVerification::Verified,
            tm_deletion_scheduled: Some(now),
            internals: Internals {
                version: 3,
                frozen_from: Some(Status::Active),
                tm_freeze: Some(now),
                terms: Some(Terms { version: text("1"), tm_accept: now }),
                webhook_secret: Some(WebhookSecret::new([7; 32])),
                webhook_gone: true,
                tm_webhook_failing: Some(now),
                email_unreserved: true,
                retained_email: Some(Email::trusted(text("b@example.com"))),
                ..Internals::default()
            },
            ..Customer::blank(Id::new(now, [1; 10]), now)
        }
    }

    /// The tombstone (what is kept of a deleted account) is an allow-list: every field that is not declared as kept
    /// has the value that it has in an account without a profile.
    #[test]
    fn a_tombstone_has_no_fields_but_those_declared_as_kept() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let Ok(Transition::Changed(change)) =
            decide(&full(now), &Command::UnregisterNow, Actor::PURGE, now)
        else {
            panic!("a live account can be deleted");
        };
        let attributes =
            |customer: &Customer| serde_json::to_value(CustomerAttributes::from(customer)).unwrap();
        let blank = Customer { tm_create: now, ..Customer::blank(change.after.id, now) };
        let mut blank = attributes(&blank);
        // A blank account is listed; a tombstone is not.
        blank.as_object_mut().unwrap().remove("list_pk");
        let tombstone = attributes(&change.after);
        for field in CustomerAttributes::FIELDS {
            match field.rule {
                Rule::Kept => {}
                Rule::Blanked => {
                    assert_eq!(tombstone[field.name], blank[field.name], "{}", field.name);
                }
                Rule::Deleted => panic!("{}: the tombstone is kept", field.name),
            }
        }
    }
}

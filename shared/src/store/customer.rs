//! Accounts.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::agent::AgentAttributes;
use super::erasure::CountedSlice;
use super::fields::stored;
use super::login::{Login, LoginAttributes};
use super::outbox::OutboxEntry;
use super::transaction::{CommitResult, Condition, Leg, Transaction};
use super::{Store, Stored, Update, answer, item, key, read};
use crate::domain::customer::{IdentityVerification, Internals};
use crate::domain::erasure::{Hold, HoldReason, Requester, Role};
use crate::domain::find::NamePrefix;
use crate::domain::lifecycle::CustomerChange;
use crate::domain::owned::Kind;
use crate::domain::value::{
    Address, Detail, Email, FromText, Metadata, Name, PhoneNumber, WebhookMethod, WebhookUri,
};
use crate::domain::webhook::{EarlierWebhookSecret, WebhookSecret};
use crate::domain::{Agent, Customer, Error, Event, Id, Status, Timestamp};

stored! {
    /// As it is stored.
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

        // What only the system knows. Rows of index `list` are for showing, and lack it.
        #[serde(default)]
        version: u64 => Kept,
        #[serde(default)]
        sequence: u64 => Kept,
        #[serde(default)]
        admins: u64 => Kept,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_reason: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_role: Option<Role> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_requester: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_hold: Option<Timestamp> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        webhook_secret: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        earlier_webhook_secret: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_earlier_webhook_secret: Option<Timestamp> => Blanked,
        #[serde(default)]
        webhook_gone: bool => Blanked,

        // Index keys are absent from items that are not in the index, never NULL.
        #[serde(skip_serializing_if = "Option::is_none")]
        list_pk: Option<String> => Blanked,
        #[serde(skip_serializing_if = "Option::is_none")]
        list_sk: Option<String> => Kept,
        /// The beginning of the name, and the id.
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
        let is_own = customer.internals.system;
        let listed = customer.status != Status::Deleted && !is_own;
        let name = NamePrefix::of(customer.name.expose()).filter(|_| listed);
        let due = customer.due();
        let hold = customer.internals.hold.as_ref();
        let earlier = customer.internals.earlier_webhook_secret.as_ref();
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
            epoch: customer.internals.epoch,
            system: customer.internals.system,
            frozen_from: customer.internals.frozen_from,
            tm_freeze: customer.internals.tm_freeze,
            tm_purge: customer.internals.tm_purge,
            hold_reason: hold.map(|hold| hold.reason.expose().to_owned()),
            hold_role: hold.map(|hold| hold.by.role),
            hold_requester: hold.map(|hold| hold.by.id.clone()),
            tm_hold: hold.map(|hold| hold.tm_hold),
            webhook_secret: customer.internals.webhook_secret.as_ref().map(plain),
            earlier_webhook_secret: earlier.map(|earlier| plain(&earlier.secret)),
            tm_earlier_webhook_secret: earlier.map(|earlier| earlier.tm_expire),
            webhook_gone: customer.internals.webhook_gone,
            list_pk: listed.then(|| key::LIST.to_owned()),
            list_sk: (!is_own).then(|| key::list(customer.tm_create, customer.id)),
            name_key: name.map(|name| key::name(&name, customer.id)),
            due_pk: due.map(|_| key::due_partition(customer).to_owned()),
            due_sk: due.map(|when| key::due(when, customer.id)),
        }
    }
}

impl From<CustomerAttributes> for Customer {
    fn from(stored: CustomerAttributes) -> Self {
        let hold = hold(&stored);
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
                epoch: stored.epoch,
                system: stored.system,
                frozen_from: stored.frozen_from,
                tm_freeze: stored.tm_freeze,
                tm_purge: stored.tm_purge,
                hold,
                webhook_secret: stored.webhook_secret.map(WebhookSecret::trusted),
                earlier_webhook_secret: earlier,
                webhook_gone: stored.webhook_gone,
            },
        }
    }
}

fn hold(stored: &CustomerAttributes) -> Option<Hold> {
    let requester = stored.hold_requester.clone().unwrap_or_default();
    Some(Hold {
        reason: HoldReason::trusted(stored.hold_reason.clone()?),
        by: Requester { role: stored.hold_role?, id: requester },
        tm_hold: stored.tm_hold?,
    })
}

impl Stored for Customer {
    type Attributes = CustomerAttributes;
}

/// An account that is to be created together with its first agent.
#[derive(Debug)]
pub struct NewCustomer<'a> {
    /// The account.
    pub customer: &'a Customer,
    /// Its first agent.
    pub agent: &'a Agent,
    /// What the agent logs in with.
    pub login: &'a Login,
}

impl Store {
    /// The account, read consistently.
    pub async fn get_customer(&self, id: Id<Customer>) -> Result<Option<Customer>, Error> {
        let get = self
            .client
            .get_item()
            .table_name(&self.accounts)
            .set_key(Some(key::customer(id).attributes()));
        let found: Option<CustomerAttributes> = answer::get(get.consistent_read(true)).await?;
        Ok(found.map(Into::into))
    }

    /// Creates an account, its agent, the locks on user name and e-mail address, and the event.
    pub async fn insert_customer(&self, new: &NewCustomer<'_>, event: &Event) -> Result<(), Error> {
        // The id is new: if it is there already, an answer was lost and this is a second try.
        self.insert(new, Some(event)).await.map(drop)
    }

    /// Creates the project's own account and its admin, of which nobody is told. Whether they were not
    /// there before.
    pub async fn insert_project(&self, new: &NewCustomer<'_>) -> Result<bool, Error> {
        self.insert(new, None).await
    }

    /// Whether the account was not there before.
    async fn insert(&self, new: &NewCustomer<'_>, event: Option<&Event>) -> Result<bool, Error> {
        let NewCustomer { customer, agent, login } = new;
        let root = item(&key::customer(customer.id), CustomerAttributes::from(*customer))?;
        let lock = item(&key::login(agent.login), LoginAttributes::from(*login))?;
        let agent = item(&key::agent(customer.id, agent.id), AgentAttributes::from(*agent))?;
        let mut transaction = self.transaction();
        transaction = transaction
            .put(root, &Condition::absent())?
            .put(lock, &Condition::absent())?
            .put(agent, &Condition::absent())?;
        if let Some(lock) = key::email(&customer.email) {
            transaction = transaction
                .put(item(&lock, EmailLock { customer_id: customer.id })?, &Condition::absent())?;
        }
        if let Some(event) = event {
            transaction = transaction.put_event(&OutboxEntry::of(event, customer))?;
        }
        match transaction.run().await? {
            CommitResult::Written => Ok(true),
            CommitResult::Refused(legs) => match legs.as_slice() {
                [root, ..] if root.failed() => Ok(false),
                [_, lock, ..] if lock.failed() => Err(Error::UsernameTaken),
                _ => Err(Error::EmailTaken),
            },
        }
    }

    /// Changes an account, if it still is `before`, and keeps the locks, the outbox and the ledger in
    /// step.
    pub async fn update_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
    ) -> Result<Update<Customer>, Error> {
        let transaction = self.change_customer(before, change, event, None)?;
        match transaction.run().await? {
            CommitResult::Refused(legs) if is_foreign_lock(&legs, change) => {
                let before = without_email(before);
                updated(self.change_customer(&before, change, event, None)?.run().await?)
            }
            CommitResult::Refused(legs) if lacks_billing_account(&legs, change) => {
                Err(Error::not_found(Kind::BillingAccount))
            }
            outcome => updated(outcome),
        }
    }

    /// Changes an account that the purge takes for the first time, and counts that. What is deleted
    /// `first` is written down in the same transaction, if nothing stands in the way of that; whether it
    /// is, is told.
    pub async fn claim_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        first: Option<&CountedSlice>,
        most: u64,
        now: Timestamp,
    ) -> Result<Claim<bool>, Error> {
        let claim = |before: &Customer, first: Option<&CountedSlice>| {
            let mut transaction = self.change_customer(before, change, event, first)?;
            if let Some(first) = first {
                transaction =
                    transaction.announce(first, &first.logins.iter().collect::<Vec<_>>())?;
            }
            transaction.count_claim(most, now)
        };
        let (mut outcome, mut counted) = (claim(before, first)?.run().await?, first.is_some());
        let is_final =
            |legs: &[Leg]| [legs.first(), legs.last()].into_iter().flatten().any(Leg::failed);
        if let CommitResult::Refused(legs) = &outcome
            && !is_final(legs)
        {
            let is_foreign = is_foreign_lock(legs, change);
            let before = if is_foreign { &without_email(before) } else { before };
            (outcome, counted) = (claim(before, None)?.run().await?, false);
        }
        match outcome {
            CommitResult::Refused(legs) if legs.last().is_some_and(Leg::failed) => {
                Ok(Claim::BreakerOpen)
            }
            outcome => Ok(match updated(outcome)? {
                Update::Written => Claim::Taken(counted),
                Update::Outdated(current) => Claim::Outdated(current),
            }),
        }
    }

    fn change_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        first: Option<&CountedSlice>,
    ) -> Result<Transaction<'_>, Error> {
        let mut transaction = self.replace_customer(before, change)?;
        if let Some(id) = change.billing_account {
            let billing_account = key::resource(before.id, Kind::BillingAccount, id);
            transaction = transaction.check(&billing_account, &Condition::present())?;
        }
        transaction = transaction.enter(change, first)?;
        match event {
            Some(event) => {
                transaction.put_event(&OutboxEntry::of(event, &change.after).with_farewell(before))
            }
            None => Ok(transaction),
        }
    }

    /// The account's new row, on the condition that it still is `before`, and its e-mail address's
    /// lock.
    pub(super) fn replace_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
    ) -> Result<Transaction<'_>, Error> {
        let after = &change.after;
        let root = item(&key::customer(after.id), CustomerAttributes::from(after))?;
        let mut transaction = self.transaction().put(root, &Condition::decided_on(before))?;
        if before.email.canonical() != after.email.canonical() {
            if let Some(lock) = key::email(&after.email) {
                transaction = transaction
                    .put(item(&lock, EmailLock { customer_id: after.id })?, &Condition::absent())?;
            }
            if let Some(lock) = key::email(&before.email) {
                transaction = transaction.delete(&lock, Some(&Condition::owned_by(before.id)))?;
            }
        }
        Ok(transaction)
    }
}

/// How it ended that the purge took an account.
#[derive(Debug)]
pub enum Claim<T> {
    /// It has it.
    Taken(T),
    /// Another writer came first, and made the account this.
    Outdated(Box<Customer>),
    /// As many purges as may begin within an hour have begun.
    BreakerOpen,
}

/// How a change of an account ended.
pub(super) fn updated(outcome: CommitResult) -> Result<Update<Customer>, Error> {
    match outcome {
        CommitResult::Written => Ok(Update::Written),
        CommitResult::Refused(legs) => match legs.into_iter().next() {
            Some(Leg::Failed(Some(current))) => Ok(Update::Outdated(Box::new(read(current)?))),
            Some(Leg::Failed(None)) => Err(Error::Internal("the account is gone".to_owned())),
            _ => Err(Error::EmailTaken),
        },
    }
}

/// Whether nothing but the release of an e-mail address stands in a deletion's way: after a restore, its
/// lock may be another account's, which keeps it.
fn is_foreign_lock(legs: &[Leg], change: &CustomerChange) -> bool {
    let [root, lock, ..] = legs else { return false };
    change.after.status == Status::Deleted && !root.failed() && lock.failed()
}

/// Whether the account is as it was, but does not own the billing account that shall pay. Such a change
/// takes no other lock.
fn lacks_billing_account(legs: &[Leg], change: &CustomerChange) -> bool {
    let [root, billing_account, ..] = legs else { return false };
    change.billing_account.is_some() && !root.failed() && billing_account.failed()
}

/// The account without an address to release.
fn without_email(customer: &Customer) -> Customer {
    Customer { email: Email::default(), ..customer.clone() }
}

stored! {
    /// Keeps an e-mail address for one account.
    #[derive(Serialize, Deserialize)]
    pub struct EmailLock {
        pub(super) customer_id: Id<Customer> => Deleted,
    }
}

impl Stored for EmailLock {
    type Attributes = Self;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::erasure::Requester;
    use crate::domain::lifecycle::{Command, Transition, decide};
    use crate::store::fields::{Declared as _, Rule};

    /// An account of which everything is said that can be.
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
                webhook_secret: Some(WebhookSecret::new([7; 32])),
                webhook_gone: true,
                ..Internals::default()
            },
            ..Customer::blank(Id::new(now, [1; 10]), now)
        }
    }

    /// The tombstone is an allow-list: what is not declared to be kept is as in an account of which
    /// nothing is said.
    #[test]
    fn a_tombstone_keeps_what_is_declared_to_be_kept() {
        let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        let by = Requester { role: Role::CustomerAdmin, id: String::new() };
        let Ok(Transition::Changed(change)) = decide(&full(now), &Command::UnregisterNow(by), now)
        else {
            panic!("it can be deleted");
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

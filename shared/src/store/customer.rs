//! Storage of accounts.

use super::agent::AgentAttributes;
use super::dynamodb::{Attempt, CommitResult, Condition, Leg, Store, Table, Transaction};
use super::dynamodb::{UpdateExpression, number, to_item};
use super::email::AddressChange;
use super::fields;
use super::key;
use super::ledger::LedgerUpdate;
use super::login::LoginAttributes;
use super::outbox::OutboxEntry;
use super::revise::Update;
use super::root::{CustomerAttributes, decided_on};
use super::stored::{item, read};
use crate::domain::brake::{Brake, Hour};
use crate::domain::lifecycle::CustomerChange;
use crate::domain::mail_intent::Intent;
use crate::domain::network::Source;
use crate::domain::notice::Notice;
use crate::domain::owned::Kind;
use crate::domain::quota::Quota;
use crate::domain::{Agent, Customer, Error, Event, Id, Login, Status, TicketHash, Timestamp};
use crate::patience::Tries;

/// An account to be created with its first agent.
#[derive(Debug)]
pub struct NewCustomer<'a> {
    /// The account.
    pub customer: &'a Customer,
    /// The account's first agent.
    pub agent: &'a Agent,
    /// The agent's login.
    pub login: &'a Login,
    /// The mail that invites the agent to choose a password; `None` if the agent has one.
    pub invitation: Option<&'a Intent>,
}

impl Store {
    /// Reads an account consistently; `None` if it never existed.
    pub async fn get_customer(&self, id: Id<Customer>) -> Result<Option<Customer>, Error> {
        let key = key::customer(id);
        self.get_items(&[key.untyped()]).await?.get(&key)
    }

    /// Creates an account in one transaction: the account itself, its first agent, the lock that makes the agent's
    /// user name unique, the item that lists the account under its e-mail address (and a lock, if the address is
    /// reserved for the account), the mails that follow, and the event.
    pub async fn insert_customer(&self, new: &NewCustomer<'_>, event: &Event) -> Result<(), Error> {
        // The id is new: if it exists already, an answer was lost and this is a second try.
        self.insert(new, Some(event), None).await.map(drop)
    }

    /// Creates the account of a sign-up like [`insert_customer`](Self::insert_customer), and uses up the
    /// mailed token with the hash `token_hash` in the same transaction. Fails with [`Error::TokenInvalid`] if
    /// the token is no longer stored.
    pub async fn insert_signed_up(
        &self,
        new: &NewCustomer<'_>,
        event: &Event,
        token_hash: &str,
    ) -> Result<(), Error> {
        self.insert(new, Some(event), Some(token_hash)).await.map(drop)
    }

    /// Creates the operators' own account (the project account) and its admin, without an event. Returns whether they
    /// were created; false if they existed before.
    pub async fn insert_project(&self, new: &NewCustomer<'_>) -> Result<bool, Error> {
        self.insert(new, None, None).await
    }

    /// Creates an account. Returns whether it was created; false if it existed before.
    async fn insert(
        &self,
        new: &NewCustomer<'_>,
        event: Option<&Event>,
        token_hash: Option<&str>,
    ) -> Result<bool, Error> {
        let NewCustomer { customer, agent, login, invitation } = new;
        let root = item(&key::customer(customer.id), CustomerAttributes::from(*customer))?;
        let lock = item(&key::login(agent.login), LoginAttributes::from(*login))?;
        let agent = item(&key::agent(customer.id, agent.id), AgentAttributes::from(*agent))?;
        let absent = Condition::absent();
        let mut transaction = self.transaction();
        for new in [root, lock, agent] {
            transaction = transaction.put(Table::Accounts, new, Some(&absent))?;
        }
        transaction = transaction.change_addresses(&AddressChange::of_new(customer))?;
        if let Some(event) = event {
            transaction = transaction
                .emit(&OutboxEntry::of(event, customer))?
                .intend_to_prove(None, customer, event)?;
            if let Some(invitation) = invitation {
                transaction = transaction.intend(invitation, event.id.uuid(), event.time)?;
            }
        }
        if let Some(hash) = token_hash {
            transaction = transaction.use_token(hash)?.end_pending(customer)?;
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

    /// Changes an account, if it is unchanged since `before` was read. The same transaction writes the locks
    /// and entries of its e-mail addresses, its markers (items by which operators list accounts), the event,
    /// and the account's row in the ledger of erasures.
    pub async fn update_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
    ) -> Result<Update<Customer>, Error> {
        self.commit_change(before, change, event, None).await
    }

    /// Deletes an account for an operator like [`update_customer`](Self::update_customer), and counts the
    /// deletion in the same transaction. Fails with [`Error::DeletionLimit`] if the limit of such deletions
    /// within the hour, the brake, is reached.
    pub async fn update_customer_with_brake(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        brake: Brake,
        now: Timestamp,
    ) -> Result<Update<Customer>, Error> {
        self.commit_change(before, change, event, Some((brake, now))).await
    }

    /// Changes an account like [`update_customer`](Self::update_customer), and uses up the mailed token with
    /// the hash `token_hash` in the same transaction. Fails with [`Error::TokenInvalid`] if the token is no
    /// longer stored.
    pub async fn update_customer_by_token(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        token_hash: &str,
    ) -> Result<Update<Customer>, Error> {
        let commit = |addresses: &AddressChange| {
            let ledger = LedgerUpdate::of(change)?;
            let transaction = self.change_customer(before, change, addresses, event, ledger)?;
            transaction.use_token(token_hash)
        };
        self.changed(self.commit_with_addresses(before, change, commit).await?, before, change)
    }

    /// Changes an account like [`update_customer`](Self::update_customer), and in the same transaction issues
    /// a ticket, a token with which the owner can follow the erasure.
    pub async fn update_customer_with_ticket(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        ticket: &TicketHash,
    ) -> Result<Update<Customer>, Error> {
        let commit = |addresses: &AddressChange| {
            let ledger = LedgerUpdate::of(change)?;
            let transaction = self.change_customer(before, change, addresses, event, ledger)?;
            transaction.issue(ticket, before.id)
        };
        self.changed(self.commit_with_addresses(before, change, commit).await?, before, change)
    }

    async fn commit_change(
        &self,
        before: &Customer,
        change: &CustomerChange,
        event: Option<&Event>,
        brake: Option<(Brake, Timestamp)>,
    ) -> Result<Update<Customer>, Error> {
        let commit = |addresses: &AddressChange| {
            let ledger = LedgerUpdate::of(change)?;
            let transaction = self.change_customer(before, change, addresses, event, ledger)?;
            match brake {
                Some((brake, now)) => transaction.count_deletion(brake, now),
                None => Ok(transaction),
            }
        };
        match (self.commit_with_addresses(before, change, commit).await?, brake) {
            (CommitResult::Refused(legs), Some((_, now))) if is_braked(&legs) => {
                Err(Error::DeletionLimit(Hour::of(now).left(now)))
            }
            (result, _) => self.changed(result, before, change),
        }
    }

    fn changed(
        &self,
        result: CommitResult,
        before: &Customer,
        change: &CustomerChange,
    ) -> Result<Update<Customer>, Error> {
        match result {
            // A change to an address that has yet to be proven takes no lock, so it was the rate limit that
            // refused the change.
            CommitResult::Refused(legs)
                if !legs.first().is_some_and(Leg::failed)
                    && self.transaction().sends_mail()
                    && asks_for_proof(before, &change.after) =>
            {
                let quota = Quota::ADDRESS_CHANGES;
                Err(Error::TooManyRequests(quota.status(quota.limit, change.after.tm_update)))
            }
            CommitResult::Refused(legs) if lacks_billing_account(&legs, change) => {
                Err(Error::not_found(Kind::BillingAccount))
            }
            result => updated(result),
        }
    }

    /// Carries out the transaction of a change. If it is refused because some locks on addresses that it would delete
    /// now belong to another account, carries it out again and keeps those locks.
    async fn commit_with_addresses<'a>(
        &'a self,
        before: &Customer,
        change: &CustomerChange,
        transaction: impl Fn(&AddressChange) -> Result<Transaction<'a>, Error>,
    ) -> Result<CommitResult, Error> {
        let mut addresses = AddressChange::of(before, &change.after);
        let result = self.commit_on_root(before, || transaction(&addresses)).await?;
        if addresses.leave_foreign_locks(&result) {
            return self.commit_on_root(before, || transaction(&addresses)).await;
        }
        Ok(result)
    }

    /// Carries out a transaction whose first action requires that the account is unchanged since `before` was read.
    /// Retries almost without pause, so that changes of an account are not starved by changes of what it owns: see
    /// [`crate::patience`]. If the account has changed after a conflict, does not try again, but returns the refusal
    /// with which another try would end.
    pub(super) async fn commit_on_root<'a>(
        &'a self,
        before: &Customer,
        transaction: impl Fn() -> Result<Transaction<'a>, Error>,
    ) -> Result<CommitResult, Error> {
        let mut tries = Tries::eager();
        loop {
            let conflict = match transaction()?.attempt().await? {
                Attempt::Ended(result) => return Ok(result),
                Attempt::Conflict(conflict) => conflict,
            };
            let root = self.free_root(before.id, conflict, &mut tries).await?;
            if let Some(item) = root
                && !is_unchanged(before, &read(item.clone())?)
            {
                return Ok(CommitResult::Refused(vec![Leg::Failed(Some(item))]));
            }
        }
    }

    /// Returns the transaction that changes an account, with its addresses, its event and its row in the ledger: see
    /// [`Store::update_customer`].
    pub(super) fn change_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
        addresses: &AddressChange,
        event: Option<&Event>,
        ledger: Option<LedgerUpdate>,
    ) -> Result<Transaction<'_>, Error> {
        let mut transaction = self
            .replace_customer(before, change)?
            .change_addresses(addresses)?
            .change_markers(before, &change.after)?;
        if transaction.sends_mail() && asks_for_proof(before, &change.after) {
            let (account, now) = (Source::Customer(before.id), change.after.tm_update);
            transaction = transaction.count(Quota::ADDRESS_CHANGES, &account, now)?;
        }
        if let Some(id) = change.billing_account {
            let billing_account = key::resource(before.id, Kind::BillingAccount, id);
            transaction = transaction.check(billing_account.address(), &Condition::present())?;
        }
        if let Some(ledger) = ledger {
            transaction = transaction.update_ledger(ledger)?;
        }
        let Some(event) = event else { return Ok(transaction) };
        let entry = OutboxEntry::of(event, &change.after).with_farewell(before);
        let notices = Notice::caused(before, &change.after, event.time);
        let transaction = transaction
            .notify(&notices, event)?
            .intend_to_prove(Some(before), &change.after, event)?
            .emit(&entry)?;
        // With the account's verified address, the passwords of the account's admins can be reset.
        let moves = !before.email.is_same_mailbox(&change.after.email)
            || before.verified_address() != change.after.verified_address();
        let is_of_authority = moves || event.event_type.is_of_authority();
        Ok(if is_of_authority { transaction.authorized() } else { transaction })
    }

    /// Returns a transaction that writes the account's new root, on the condition that the account is unchanged since
    /// `before` was read.
    ///
    /// Attributes that this version of the program does not know stay as they are, so that old functions can work
    /// beside new ones. When the account is deleted, such attributes are removed, because they may be personal data.
    pub(super) fn replace_customer(
        &self,
        before: &Customer,
        change: &CustomerChange,
    ) -> Result<Transaction<'_>, Error> {
        let after = &change.after;
        let (root, unchanged) = (key::customer(after.id), decided_on(before));
        if is_deletion(before, after) {
            let tombstone = item(&root, CustomerAttributes::from(after))?;
            return self.transaction().put(Table::Accounts, tombstone, Some(&unchanged));
        }
        let changed = changed_attributes(before, after)?;
        self.transaction().update(root.address(), &changed, Some(&unchanged))
    }
}

impl Transaction<'_> {
    /// Adds the action that counts a deletion by an operator, on the condition that the limit of such
    /// deletions within the hour (the brake) allows one more.
    fn count_deletion(self, brake: Brake, now: Timestamp) -> Result<Self, Error> {
        let hour = Hour::of(now);
        let counted = UpdateExpression::default()
            .increment("deletions")?
            .set("expires_at", hour.expires_at())?;
        let below = Condition::new(
            "attribute_not_exists(pk) OR deletions < :most",
            [(":most", number(brake.per_hour))],
        );
        self.update(key::brake(hour).address(), &counted, Some(&below))
    }
}

/// Whether the change from `before` to `after` deletes the account.
fn is_deletion(before: &Customer, after: &Customer) -> bool {
    before.status != Status::Deleted && after.status == Status::Deleted
}

/// Returns the update of those attributes of the account's item in which `after` differs from `before`.
fn changed_attributes(before: &Customer, after: &Customer) -> Result<UpdateExpression, Error> {
    let item = |one: &Customer| to_item(CustomerAttributes::from(one));
    let names = fields::names::<CustomerAttributes>();
    Ok(UpdateExpression::between(&names, &item(before)?, &item(after)?))
}

/// Whether `current` still meets the condition [`decided_on`] for `before`: the same version, status and sequence
/// number.
fn is_unchanged(before: &Customer, current: &Customer) -> bool {
    let decided_on = |one: &Customer| (one.internals.version, one.internals.sequence, one.status);
    decided_on(before) == decided_on(current)
}

/// Whether an owner changes the account's address to one that still has to be proven. Installations that send mail
/// limit the rate of such changes, as the verification mail goes to whoever has the new address.
fn asks_for_proof(before: &Customer, after: &Customer) -> bool {
    after.internals.email_unreserved && Intent::to_prove(Some(before), after).is_some()
}

/// Returns the result of a transaction that changes an account: [`Update::Written`], or [`Update::Outdated`] with the
/// account as it is now. The transaction's first action must be on the account's root item. Fails with
/// [`Error::EmailTaken`] if any other action was refused.
pub(super) fn updated(result: CommitResult) -> Result<Update<Customer>, Error> {
    match result {
        CommitResult::Written => Ok(Update::Written),
        CommitResult::Refused(legs) => match legs.into_iter().next() {
            Some(Leg::Failed(Some(current))) => Ok(Update::Outdated(Box::new(read(current)?))),
            Some(Leg::Failed(None)) => Err(Error::Internal("the account is gone".to_owned())),
            _ => Err(Error::EmailTaken),
        },
    }
}

/// Whether `change` was refused only because it sets a billing account that the account does not own. A change that
/// sets the billing account never changes e-mail addresses, so the check of the billing account is the transaction's
/// second action.
fn lacks_billing_account(legs: &[Leg], change: &CustomerChange) -> bool {
    let [root, billing_account, ..] = legs else { return false };
    change.billing_account.is_some() && !root.failed() && billing_account.failed()
}

/// Whether a deletion by an operator was refused only because of the hourly limit (the brake), whose count is
/// the transaction's last action, and not because the account has changed.
fn is_braked(legs: &[Leg]) -> bool {
    let [root, .., brake] = legs else { return false };
    !root.failed() && brake.failed()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::store::dynamodb::fake::{Fake, cancelled, reason, written};
    use crate::store::root::tests::{customer, found};

    fn conflict() -> (u16, Value) {
        cancelled(&[reason("TransactionConflict")])
    }

    /// Changes an account that was read when its sequence number was 0.
    async fn update(store: &Store) -> Result<Update<Customer>, Error> {
        let change =
            CustomerChange { after: customer(1), event: None, entry: None, billing_account: None };
        store.update_customer(&customer(0), &change, None).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_changed_during_a_conflict_is_outdated() {
        let (store, fake) = Fake::answering([conflict(), conflict(), found(&customer(7))]);
        let Ok(Update::Outdated(current)) = update(&store).await else { panic!("outdated") };
        assert_eq!(current.internals.sequence, 7);
        let [write, read] = ["TransactWriteItems", "TransactGetItems"];
        assert_eq!(fake.operations(), [write, read, read]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_is_unchanged_after_conflicts_is_written() {
        let free = || found(&customer(0));
        let answers = [conflict(), conflict(), free(), conflict(), free(), written()];
        let (store, fake) = Fake::answering(answers);
        assert!(matches!(update(&store).await, Ok(Update::Written)));
        assert_eq!(fake.operations().len(), 6);
    }
}

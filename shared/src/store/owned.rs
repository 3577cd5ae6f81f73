//! Changes of the items that an account owns. Each change also updates the account's root, that is, the account's own
//! item. The update's condition ensures that nothing is added to a deleted account; the purge relies on that. The
//! update takes the next sequence number, for the event of the change.

use std::ops::ControlFlow;

use serde::Serialize;

use super::dynamodb::{Attempt, CommitResult, Condition, Leg, Requirement, Store, Table};
use super::dynamodb::{Transaction, UpdateExpression, first, string};
use super::key::{self, Key};
use super::outbox::OutboxEntry;
use super::revise::Update;
use super::root::{self, admits, unchanged_sequence};
use super::stored::{Stored, item, read};
use crate::domain::event::EventType;
use crate::domain::gate::{Target, Write};
use crate::domain::notice::Occasion;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Event, Id, Page, Permission};
use crate::patience::Tries;

impl Store {
    /// Carries out a change of what an account owns; an error if the account's state does not allow it any
    /// more. `change` makes the transaction for a given state of the account; the transaction must begin with
    /// the actions of [`Transaction::emit_owned`]. If another event has taken the sequence number, `change`
    /// is called again for the account's new state.
    pub(super) async fn change_owned<'a>(
        &'a self,
        target: Target<'_>,
        change: impl Fn(Target<'_>) -> Result<Transaction<'a>, Error>,
    ) -> Result<CommitResult, Error> {
        let (mut current, mut tries) = (target.customer().clone(), Tries::new());
        loop {
            let target = target.now(&current);
            let attempt = change(target)?.attempt().await?;
            match self.next_try(attempt, target, &mut tries).await? {
                ControlFlow::Break(result) => return Ok(result),
                ControlFlow::Continue(newer) => current = newer,
            }
        }
    }

    /// Decides what follows one try of a change: `Break` with the result if the change has ended, `Continue`
    /// with the account as it is now if the change is to be tried again. An error if the account's state no
    /// longer allows the change.
    pub(super) async fn next_try(
        &self,
        attempt: Attempt,
        target: Target<'_>,
        tries: &mut Tries,
    ) -> Result<ControlFlow<CommitResult, Customer>, Error> {
        match attempt {
            Attempt::Ended(result) => {
                let Some(newer) = moved_on(&result, target)? else {
                    return Ok(ControlFlow::Break(result));
                };
                // The state that was found may soon be outdated, so the next try follows without a pause.
                if !tries.again() {
                    let cause = "the account's sequence number moves too fast";
                    return Err(Error::Unavailable(cause.to_owned()));
                }
                Ok(ControlFlow::Continue(newer))
            }
            Attempt::Conflict(conflict) => {
                let root = self.free_root(target.id, conflict, tries).await?;
                let newer: Option<Customer> = root.map(read).transpose()?;
                // If this state does not allow the change, the next try refuses it.
                Ok(ControlFlow::Continue(newer.unwrap_or_else(|| target.customer().clone())))
            }
        }
    }

    /// Creates an owned item at `key`, if the account's state allows it and `required`, a condition on another item,
    /// holds. The account's owner is notified of the `occasion`, if there is one.
    pub(super) async fn insert_owned<T>(
        &self,
        target: Target<'_>,
        key: &Key<T>,
        attributes: impl Serialize,
        event: &Event,
        occasion: Option<Occasion>,
        required: Option<&Requirement>,
    ) -> Result<(), Error> {
        let new = item(key, attributes)?;
        let insert = |target: Target<'_>| {
            let transaction = self.transaction().emit_owned(target, event)?;
            let transaction = transaction
                .put(Table::Accounts, new.clone(), Some(&Condition::absent()))?
                .tell(occasion, &target, event)?;
            required.into_iter().try_fold(transaction, Transaction::check_or_fail)
        };
        match self.change_owned(target.to(Write::Change), insert).await? {
            CommitResult::Refused(legs) if legs.first().is_some_and(Leg::failed) => Err(gone()),
            // The id is new: if it exists already, an answer was lost and this is a second try.
            CommitResult::Written | CommitResult::Refused(_) => Ok(()),
        }
    }

    /// Changes an owned item of `kind` at `key`, if the item meets `condition` and the account's state allows it.
    pub(super) async fn update_owned_if<T: Stored>(
        &self,
        target: Target<'_>,
        kind: Kind,
        key: &Key<T>,
        changed: &UpdateExpression,
        condition: &Condition,
        event: &Event,
    ) -> Result<Update<T>, Error> {
        let update = |target: Target<'_>| {
            self.transaction().emit_owned(target, event)?.update(
                key.address(),
                changed,
                Some(condition),
            )
        };
        let CommitResult::Refused(legs) = self.change_owned(target, update).await? else {
            return Ok(Update::Written);
        };
        let mut legs = legs.into_iter();
        match (legs.next(), legs.nth(1)) {
            (Some(Leg::Failed(_)), _) => Err(gone()),
            (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
            _ => Err(Error::not_found(kind)),
        }
    }

    /// Deletes an owned item of `kind` at `key`, if the item meets the condition `of_item`, the account meets
    /// `of_account`, and the account's state allows it.
    pub(super) async fn delete_owned_if<T: Stored>(
        &self,
        target: Target<'_>,
        kind: Kind,
        key: &Key<T>,
        (of_account, of_item): (Option<&Condition>, &Condition),
        event: &Event,
    ) -> Result<Update<T>, Error> {
        let delete = |target: Target<'_>| {
            let update = UpdateExpression::default();
            self.transaction()
                .emit_with(target, event, update, of_account)?
                .delete(key.address(), Some(of_item))
        };
        let CommitResult::Refused(legs) = self.change_owned(target, delete).await? else {
            return Ok(Update::Written);
        };
        let mut legs = legs.into_iter();
        match (legs.next(), legs.nth(1)) {
            (Some(Leg::Failed(Some(_))), _) => Err(Error::BillingAccountInUse),
            (Some(Leg::Failed(None)), _) => Err(gone()),
            (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
            _ => Err(Error::not_found(kind)),
        }
    }

    /// Returns a page of an account's items of one kind, newest first, starting after the item with the id
    /// `after`.
    pub(super) async fn list_kind<T: Stored>(
        &self,
        customer: Id<Customer>,
        kind: Kind,
        size: usize,
        after: Option<Id<T>>,
        id: impl Fn(&T) -> Id<T>,
    ) -> Result<Page<T>, Error> {
        let partition = key::partition(customer);
        let start = after.map(|id| key::attributes(&partition, &key::owned(kind, id)));
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
            .expression_attribute_values(":pk", string(&partition))
            .expression_attribute_values(":kind", string(kind.prefix()))
            .set_exclusive_start_key(start);
        let rows: Vec<T::Attributes> = first(query, size + 1).await?;
        let rows = rows.into_iter().map(Into::into).collect();
        Ok(Page::cut(rows, size, |last| id(last).to_string()))
    }
}

/// If the transaction was refused because the account has emitted events since it was read as `decided_on`, returns
/// the account as it is now; otherwise `None`. An error if the account's state no longer allows the change.
fn moved_on(result: &CommitResult, decided_on: Target<'_>) -> Result<Option<Customer>, Error> {
    let CommitResult::Refused(legs) = result else { return Ok(None) };
    let Some(Leg::Failed(Some(root))) = legs.first() else { return Ok(None) };
    let current: Customer = read(root.clone())?;
    decided_on.now(&current).admit()?;
    let is_newer = current.internals.sequence != decided_on.internals.sequence;
    Ok(is_newer.then_some(current))
}

/// Returns the error of a change whose account has no root. It is an internal error, as roots are never deleted.
pub(super) fn gone() -> Error {
    Error::Internal("the account is gone".to_owned())
}

impl Transaction<'_> {
    /// Adds the two actions that every change of an owned item begins with. The first, on the account's root, requires
    /// that the account's state allows the change, takes the next sequence number, and counts an item that is created
    /// or deleted; the second puts the event into the outbox.
    pub(super) fn emit_owned(self, target: Target<'_>, event: &Event) -> Result<Self, Error> {
        self.emit_with(target, event, UpdateExpression::default(), None)
    }

    /// Adds the actions of [`emit_owned`](Self::emit_owned) for a change of an agent's permission from
    /// `before` (`None` for a new agent) to `after` (`None` for a deleted one), on the condition that the
    /// account keeps an admin.
    ///
    /// If the number of admins changes, the account's version is incremented too, so that a deletion plan
    /// that was made before is outdated.
    pub(super) fn emit_permission(
        self,
        target: Target<'_>,
        event: &Event,
        before: Option<Permission>,
        after: Option<Permission>,
    ) -> Result<Self, Error> {
        let is_admin = |permission: Permission| target.administers(permission);
        let (change, condition) = match (before.is_some_and(is_admin), after.is_some_and(is_admin))
        {
            (false, true) => (1, None),
            (true, false) => (-1, Some(root::another_admin())),
            _ => return self.emit_owned(target, event),
        };
        let counted = UpdateExpression::default().increment("version")?.add("admins", change)?;
        self.emit_with(target, event, counted, condition.as_ref())
    }

    /// Adds the actions of [`emit_owned`](Self::emit_owned) to a transaction that emits two events: they put `event`,
    /// the second one, into the outbox, and take two sequence numbers, of which the second is for `event`. The caller
    /// adds the first event, as [`OutboxEntry::next`]: the deletion of `count` items of one kind, which these actions
    /// also subtract from the account's counts.
    pub(super) fn emit_second(
        self,
        target: Target<'_>,
        event: &Event,
        (deleted, count): (Kind, i64),
    ) -> Result<Self, Error> {
        let mut after_first = target.customer().clone();
        after_first.internals.sequence += 1;
        let entry = OutboxEntry::next(event, &after_first);
        let update = UpdateExpression::default().add_in("owned", deleted.plural(), -count)?;
        self.emit_entry(target, event, &entry, update, None)
    }

    /// Adds the actions of [`emit_owned`](Self::emit_owned), with further updates of the account and a further
    /// condition on it.
    fn emit_with(
        self,
        target: Target<'_>,
        event: &Event,
        update: UpdateExpression,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let update = match event.event_type {
            EventType::Created(kind) => {
                // Exact: the count changes only with the sequence number, which the transaction requires.
                target.require_room(kind)?;
                update.add_in("owned", kind.plural(), 1)?
            }
            EventType::Deleted(kind) => update.add_in("owned", kind.plural(), -1)?,
            _ => update,
        };
        let entry = OutboxEntry::next(event, target.customer());
        self.emit_entry(target, event, &entry, update, condition)
    }

    fn emit_entry(
        self,
        target: Target<'_>,
        event: &Event,
        entry: &OutboxEntry,
        update: UpdateExpression,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let update = update.set("sequence", entry.sequence)?;
        let admitted = admits(target).and(unchanged_sequence(target.customer()));
        let condition = condition.into_iter().fold(admitted, |all, one| all.and(one.clone()));
        let root = key::customer(target.id).address();
        let transaction = self.update(root, &update, Some(&condition))?.emit(entry)?;
        Ok(if event.event_type.is_of_authority() { transaction.authorized() } else { transaction })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::gate::Party;
    use crate::domain::{Actor, Status};
    use crate::store::dynamodb::fake::{Fake, cancelled, reason, written};
    use crate::store::root::tests::{customer, found, now, root};

    fn conflict() -> (u16, Value) {
        cancelled(&[reason("TransactionConflict"), reason("None"), reason("None")])
    }

    /// Creates a resource, for an account that was read when its sequence number was 0.
    async fn insert(store: &Store) -> Result<(), Error> {
        let event = Event {
            id: Id::new(now(), [2; 10]),
            event_type: EventType::CustomerUpdated,
            customer: customer(0).id,
            subjects: Vec::new(),
            hold: None,
            actor: Actor::PURGE,
            time: now(),
        };
        let key = key::resource(customer(0).id, Kind::BillingAccount, Id::new(now(), [3; 10]));
        let customer = customer(0);
        let target = customer.writable(Party::Operator, Write::Change).unwrap();
        store.insert_owned(target, &key, json!({"name": "new"}), &event, None, None).await
    }

    /// Returns the sequence number that a transaction takes for its event.
    fn sequence(transaction: &Value) -> &Value {
        &transaction["TransactItems"][0]["Update"]["ExpressionAttributeValues"][":sequence"]["N"]
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflicting_change_waits_until_the_root_is_free() {
        let busy = || cancelled(&[reason("TransactionConflict")]);
        let answers = [conflict(), busy(), busy(), found(&customer(7)), written()];
        let (store, fake) = Fake::answering(answers);
        insert(&store).await.unwrap();
        let [write, read] = ["TransactWriteItems", "TransactGetItems"];
        assert_eq!(fake.operations(), [write, read, read, read, write]);
        assert_eq!([0, 4].map(|number| sequence(&fake.body(number)).clone()), ["1", "8"]);
    }

    #[tokio::test]
    async fn a_change_that_another_event_overtook_takes_the_next_number_at_once() {
        let mut overtaken = reason("ConditionalCheckFailed");
        overtaken["Item"] = root(&customer(3));
        let refusal = cancelled(&[overtaken, reason("None"), reason("None")]);
        let (store, fake) = Fake::answering([refusal, written()]);
        insert(&store).await.unwrap();
        assert_eq!([0, 1].map(|number| sequence(&fake.body(number)).clone()), ["1", "4"]);
    }

    #[tokio::test]
    async fn a_change_of_a_deleted_account_is_refused() {
        let mut deleted = reason("ConditionalCheckFailed");
        deleted["Item"] = root(&Customer { status: Status::Deleted, ..customer(3) });
        let (store, fake) =
            Fake::answering([cancelled(&[deleted, reason("None"), reason("None")])]);
        assert!(matches!(insert(&store).await, Err(Error::StateInvalid(Status::Deleted))));
        assert_eq!(fake.operations().len(), 1);
    }
}

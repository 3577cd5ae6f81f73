//! One transaction per change.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::assignment::Assignment;
use super::idempotency::RecordWrite;
use super::key::{self, Key};
use super::outbox::{OutboxEntry, event_key};
use super::{Item, MAX_TRIES, Store, failure, number, pause, read, string, unavailable};
use crate::domain::{
    Agent, Customer, Erasure, Error, Event, Id, Permission, Resource, Status, Timestamp,
};
use crate::platform::aws::Call as _;

/// What must hold of an item for a transaction to be carried out.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    expression: String,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    /// There is no such item.
    pub(super) fn absent() -> Self {
        Self::new("attribute_not_exists(pk)", [])
    }

    /// The item is this agent's.
    pub(super) fn of_agent(agent: Id<Agent>) -> Self {
        Self::new("agent_id = :agent", [(":agent", string(agent.to_string()))])
    }

    /// The item is a session of this agent that is not over.
    pub(super) fn session_of(agent: Id<Agent>, now: Timestamp) -> Self {
        let values = [(":agent", string(agent.to_string())), (":now", number(now.seconds()))];
        Self::new("agent_id = :agent AND expires_at > :now", values)
    }

    /// There is such an item.
    pub(super) fn present() -> Self {
        Self::new("attribute_exists(pk)", [])
    }

    /// The item is at this version.
    pub(super) fn version(version: u64) -> Self {
        Self::new("version = :read_version", [(":read_version", number(version))])
    }

    /// The item is the account as it was decided on: at this version and status, and nothing was told
    /// of it since.
    pub(super) fn decided_on(customer: &Customer) -> Self {
        let values = [
            (":version", number(customer.internals.version)),
            (":read_sequence", number(customer.internals.sequence)),
            (":status", string(customer.status.name())),
        ];
        let expression = "version = :version AND #sequence = :read_sequence AND #status = :status";
        Self::new(expression, values)
    }

    /// The item is an account in one of these states.
    pub(super) fn status_in(states: &[Status]) -> Self {
        const NAMES: [&str; 3] = [":a", ":b", ":c"];
        let values: Vec<_> =
            NAMES.into_iter().zip(states.iter().map(|state| string(state.name()))).collect();
        let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
        Self { expression: format!("#status IN ({})", names.join(", ")), values }
    }

    /// This, and nothing was told of the account since it was read.
    fn and_nothing_told_since(mut self, customer: &Customer) -> Self {
        self.expression += " AND #sequence = :read_sequence";
        self.values.push((":read_sequence", number(customer.internals.sequence)));
        self
    }

    /// The row is held by the run that claimed the account at this epoch.
    pub(super) fn epoch(epoch: u64) -> Self {
        Self::new("epoch = :held_epoch", [(":held_epoch", number(epoch))])
    }

    /// The row is held by the run that counts, and has all slices but the last.
    pub(super) fn counted(erasure: &Erasure) -> Self {
        let values = [
            (":held_epoch", number(erasure.epoch)),
            (":before", number(erasure.slices.saturating_sub(1))),
        ];
        let none = if erasure.slices == 1 { " OR attribute_not_exists(slices)" } else { "" };
        Self::new(&format!("epoch = :held_epoch AND (slices = :before{none})"), values)
    }

    /// Fewer than `most` purges were counted, or none.
    pub(super) fn below(most: u64) -> Self {
        Self::new("attribute_not_exists(pk) OR claims < :most", [(":most", number(most))])
    }

    /// The item belongs to this account, or is gone.
    pub(super) fn owned_by(customer: Id<Customer>) -> Self {
        Self::new(
            "attribute_not_exists(pk) OR customer_id = :customer",
            [(":customer", string(customer.to_string()))],
        )
    }

    pub(super) fn new<const N: usize>(
        expression: &str,
        values: [(&'static str, AttributeValue); N],
    ) -> Self {
        Self { expression: expression.to_owned(), values: values.into() }
    }

    /// The item is an account that can be worked with.
    pub(super) fn live() -> Self {
        Self::status_in(&[Status::Initial, Status::Active])
    }

    /// This, and it is not this billing account that pays for the account.
    pub(super) fn and_not_paid_by(mut self, billing_account: Id<Resource>) -> Self {
        self.expression += " AND billing_account_id <> :billing_account";
        self.values.push((":billing_account", string(billing_account.to_string())));
        self
    }

    /// This, and the account has an admin to spare.
    fn and_another_admin(mut self) -> Self {
        self.expression += " AND admins > :last";
        self.values.push((":last", number(1)));
        self
    }

    /// The item is the agent as it was read, as far as anybody sees.
    pub(super) fn same_agent(agent: &Agent) -> Self {
        let values = [
            (":read_permission", number(agent.permission)),
            (":read_update", string(agent.tm_update.to_string())),
        ];
        Self::new("#permission = :read_permission AND tm_update = :read_update", values)
    }

    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        names(&self.expression)
    }

    pub(super) fn values(&self) -> Option<Item> {
        let values = self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        (!self.values.is_empty()).then(|| values.collect())
    }
}

/// Writes that happen together or not at all.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    store: &'a Store,
    legs: Vec<TransactWriteItem>,
    note: Option<RecordWrite>,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum CommitResult {
    /// All was written.
    Written,
    /// Nothing was written. Per leg: whether its condition failed, and the item it found.
    Refused(Vec<Leg>),
}

/// How one leg of a refused transaction fared.
#[derive(Debug)]
pub(super) enum Leg {
    /// Its condition held.
    Held,
    /// Its condition failed on this item, or on there being none.
    Failed(Option<Item>),
}

impl Leg {
    pub(super) const fn failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// How often a change of what an account owns is tried again because another was told of first. Every
/// time it is, another writer has got on; with eight at work, one in a thousand waits for fifty of them.
/// Usually the request's own time ends first.
const MAX_TURNS: u32 = 500;

impl Store {
    pub(super) const fn transaction(&self) -> Transaction<'_> {
        Transaction { store: self, legs: Vec::new(), note: None }
    }

    /// Carries out a change of what an account owns: `change` makes the transaction, which begins with
    /// [`Transaction::tell`], for the account as it is; anew if something else was told of first.
    pub(super) async fn change_owned<'a>(
        &'a self,
        customer: &Customer,
        change: impl Fn(&Customer) -> Result<Transaction<'a>, Error>,
    ) -> Result<CommitResult, Error> {
        let mut outcome = change(customer)?.run().await?;
        let mut sequence = customer.internals.sequence;
        for turn in 0..MAX_TURNS {
            let Some(current) = outcome.live_and_past(sequence)? else { return Ok(outcome) };
            // What was found is true for an instant only: it is used at once. But where many push, some
            // step back, and the next turn tells them anew how the account is.
            if turn % 4 == 3 {
                pause(2).await;
            }
            sequence = current.internals.sequence;
            outcome = change(&current)?.run().await?;
        }
        Err(Error::Unavailable("too many write to the same account at once".to_owned()))
    }
}

impl CommitResult {
    /// The account that the first leg found, if it is live, and more was told of it than this.
    fn live_and_past(&self, sequence: u64) -> Result<Option<Customer>, Error> {
        let Self::Refused(legs) = self else { return Ok(None) };
        let Some(Leg::Failed(Some(root))) = legs.first() else { return Ok(None) };
        let current: Customer = read(root.clone())?;
        let is_past = current.internals.sequence != sequence;
        Ok((current.status.is_live() && is_past).then_some(current))
    }
}

impl Transaction<'_> {
    /// Puts an item into the accounts table.
    pub(super) fn put(self, item: Item, condition: &Condition) -> Result<Self, Error> {
        let put = Put::builder().table_name(&self.store.accounts).set_item(Some(item));
        let put = put
            .condition_expression(&condition.expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values());
        let put =
            put.return_values_on_condition_check_failure(ALL_OLD).build().map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().put(put).build()))
    }

    /// If the request has promised to write down what it does, this is it: what `event` tells of.
    pub(super) fn note(self, event: &OutboxEntry) -> Result<Self, Error> {
        Ok(Self { note: RecordWrite::of(event)?, ..self })
    }

    /// Puts an event into the outbox, which is what the request does.
    pub(super) fn put_event(self, event: &OutboxEntry) -> Result<Self, Error> {
        let put = Put::builder()
            .table_name(&self.store.outbox)
            .set_item(Some(event.item()?))
            .build()
            .map_err(unavailable)?;
        self.leg(TransactWriteItem::builder().put(put).build()).note(event)
    }

    /// Deletes an item.
    pub(super) fn delete<T>(
        self,
        key: &Key<T>,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let mut delete =
            Delete::builder().table_name(&self.store.accounts).set_key(Some(key.attributes()));
        if let Some(condition) = condition {
            delete = delete
                .condition_expression(&condition.expression)
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values());
        }
        let delete = delete
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().delete(delete).build()))
    }

    /// Changes some attributes of an item. Let `condition` ask that the item is there, or else it is made.
    pub(super) fn change<T>(
        self,
        key: &Key<T>,
        assignment: &Assignment,
        condition: &Condition,
    ) -> Result<Self, Error> {
        let table = &self.store.accounts;
        self.update(table, key.attributes(), assignment, Some(condition))
    }

    /// Changes some attributes of an event. Let `condition` ask that it is there, or else it is made.
    pub(super) fn change_event(
        self,
        id: Id<Event>,
        assignment: &Assignment,
        condition: &Condition,
    ) -> Result<Self, Error> {
        let table = &self.store.outbox;
        self.update(table, event_key(id), assignment, Some(condition))
    }

    /// Changes nothing, but asks for `condition`.
    pub(super) fn check<T>(self, key: &Key<T>, condition: &Condition) -> Result<Self, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.store.accounts)
            .set_key(Some(key.attributes()));
        let check = check
            .condition_expression(&condition.expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values());
        let check =
            check.return_values_on_condition_check_failure(ALL_OLD).build().map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().condition_check(check).build()))
    }

    /// Two legs, with which whatever an account owns is written: the first asks that the account is
    /// live, or else the purge could not be shown to end, and takes the next number in the account's
    /// order for the event; the second is the event. See [`Store::change_owned`].
    pub(super) fn tell(self, customer: &Customer, event: &Event) -> Result<Self, Error> {
        self.tell_if(customer, event, Condition::live())
    }

    /// The same on a condition that asks for more than that the account is live.
    pub(super) fn tell_if(
        self,
        customer: &Customer,
        event: &Event,
        condition: Condition,
    ) -> Result<Self, Error> {
        self.tell_with(customer, event, Assignment::default(), condition)
    }

    /// The same for a change of an agent's permission `from` what it was `to` what it will be, if the
    /// account still has an admin then.
    ///
    /// When admins are counted, the version moves too: a plan that was made before is not true any more.
    pub(super) fn tell_of_agent(
        self,
        customer: &Customer,
        event: &Event,
        from: Option<Permission>,
        to: Option<Permission>,
    ) -> Result<Self, Error> {
        let is_admin = |permission: Permission| customer.administers(permission);
        let (change, condition) = match (from.is_some_and(is_admin), to.is_some_and(is_admin)) {
            (false, true) => (1, Condition::live()),
            (true, false) => (-1, Condition::live().and_another_admin()),
            _ => return self.tell(customer, event),
        };
        let counted = Assignment::default().count("version")?.add("admins", change)?;
        self.tell_with(customer, event, counted, condition)
    }

    fn tell_with(
        self,
        customer: &Customer,
        event: &Event,
        changed: Assignment,
        condition: Condition,
    ) -> Result<Self, Error> {
        let event = OutboxEntry::next(event, customer);
        let changed = changed.set("sequence", event.sequence)?;
        let condition = condition.and_nothing_told_since(customer);
        self.change(&key::customer(customer.id), &changed, &condition)?.put_event(&event)
    }

    /// Changes an account's row of the ledger, which need not be there.
    pub(super) fn update_ledger(
        self,
        customer: Id<Customer>,
        row: &Assignment,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let table = &self.store.erasures;
        self.update(table, key::erasure(customer).attributes(), row, condition)
    }

    /// Counts the beginning of a purge, if fewer than `most` have begun within the same hour.
    pub(super) fn count_claim(self, most: u64, now: Timestamp) -> Result<Self, Error> {
        const HOUR: i64 = 3600;
        let hour = now.seconds().div_euclid(HOUR);
        let counted =
            Assignment::default().count("claims")?.set("expires_at", (hour + 24) * HOUR)?;
        self.change(&key::breaker(hour), &counted, &Condition::below(most))
    }

    fn update(
        self,
        table: &str,
        key: Item,
        assignment: &Assignment,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(assignment.expression())
            .set_condition_expression(condition.map(|condition| condition.expression.clone()))
            .set_expression_attribute_names(assignment.names(condition.and_then(Condition::names)))
            .set_expression_attribute_values(
                assignment.values(condition.and_then(Condition::values)),
            )
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().update(update).build()))
    }

    fn leg(mut self, leg: TransactWriteItem) -> Self {
        self.legs.push(leg);
        self
    }

    /// Carries the transaction out; again while another one is at work on the same items.
    pub(super) async fn run(mut self) -> Result<CommitResult, Error> {
        let Some(note) = self.note.take() else { return self.attempt(|_| false).await };
        let noting = self.put(note.item.clone(), &note.condition)?;
        // As long as the last leg is in doubt, so is whether the others failed on this request's own work.
        let in_doubt = |reasons: &[CancellationReason]| reasons.last().is_some_and(is_conflict);
        match noting.attempt(in_doubt).await? {
            CommitResult::Written => Ok(CommitResult::Written),
            CommitResult::Refused(legs) => note.outcome(legs),
        }
    }

    async fn attempt(
        self,
        in_doubt: impl Fn(&[CancellationReason]) -> bool,
    ) -> Result<CommitResult, Error> {
        for attempt in 0..MAX_TRIES {
            let request = self
                .store
                .client
                .transact_write_items()
                .set_transact_items(Some(self.legs.clone()));
            let Err(error) = request.call().await else {
                return Ok(CommitResult::Written);
            };
            let Some(reasons) = reasons(&error) else {
                return Err(failure(error));
            };
            let failed =
                |reason: &CancellationReason| reason.code() == Some("ConditionalCheckFailed");
            if reasons.iter().any(failed) && !in_doubt(reasons) {
                return Ok(CommitResult::Refused(reasons.iter().map(leg).collect()));
            }
            if !reasons.iter().any(is_conflict) {
                return Err(failure(error));
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable("too many write to the same items at once".to_owned()))
    }
}

/// The names in an expression that stand for themselves, as reserved words must.
pub(super) fn names(expression: &str) -> Option<HashMap<String, String>> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && !"#_".contains(c));
    let names =
        words.filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())));
    Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
}

fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(canceled) => {
            Some(canceled.cancellation_reasons())
        }
        _ => None,
    }
}

fn is_conflict(reason: &CancellationReason) -> bool {
    reason.code() == Some("TransactionConflict")
}

fn leg(reason: &CancellationReason) -> Leg {
    match reason.code() {
        Some("ConditionalCheckFailed") => {
            Leg::Failed(reason.item.clone().filter(|item| !item.is_empty()))
        }
        _ => Leg::Held,
    }
}

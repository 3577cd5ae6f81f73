//! Transactions: writes that are carried out together or not at all.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use data_encoding::HEXLOWER;

use super::expression::{Condition, UpdateExpression};
use super::tables::{Address, Store, Table};
use super::value::{Item, unavailable};
use crate::domain::Error;
use crate::patience::Tries;
use crate::platform::aws::{Call as _, dynamodb_failure};

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// Codes of the cancellation reasons after which a retry may succeed: a conflict with another writer, or
/// throttling.
const PASSING: [&str; 3] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// A DynamoDB transaction: writes and condition checks that are carried out together or not at all. Each
/// action is called a leg; results are in the order of the legs.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    store: &'a Store,
    legs: Vec<TransactWriteItem>,
    /// Legs with an error of their own: the index of each, and the error that the transaction returns if the
    /// leg's condition fails.
    fatal: Vec<(usize, fn() -> Error)>,
    guard: Option<Box<dyn Guard>>,
    witness: Option<Box<dyn Witness>>,
}

/// A condition on an item that the transaction does not change, such as that the caller still has its permission. If
/// it fails, the transaction returns the guard's error, even if other actions failed too; only the [`Witness`] takes
/// precedence.
pub(crate) trait Guard: std::fmt::Debug + Send + Sync {
    /// Returns the address of the item to check, and the condition on it.
    fn check(&self) -> (Address, &Condition);

    /// Returns the error of a transaction that failed because this condition did not hold. `found` is the
    /// item as it is; `None` if it does not exist.
    fn refuse(&self, found: Option<Item>) -> Error;
}

/// A condition on an item that a transaction does not change, and the error that the transaction returns if
/// the condition does not hold.
#[derive(Debug)]
pub(crate) struct Requirement {
    pub(crate) address: Address,
    pub(crate) condition: Condition,
    pub(crate) error: fn() -> Error,
}

/// The last action of a transaction: a put that shows, after a response was lost, whether DynamoDB has
/// committed the transaction. If it has, the put's condition fails on the retry, and the item tells that this
/// very transaction wrote it.
pub(crate) trait Witness: std::fmt::Debug + Send + Sync {
    /// Returns the put's table, item and condition.
    fn leg(&self) -> (Table, Item, &Condition);

    /// Judges the item `found` on which the put's condition failed: `Ok` if this very transaction has written
    /// it, otherwise the error that the transaction returns.
    fn recognise(&self, found: Option<Item>) -> Result<(), Error>;
}

/// Result of a transaction.
#[derive(Debug)]
pub(crate) enum CommitResult {
    /// Everything was written.
    Written,
    /// Nothing was written, because a condition did not hold. Has a result for each leg (an action of the transaction),
    /// except the [`Guard`], the [`Witness`], and the legs added by `delete_or_fail` and `check_or_fail`: if one of
    /// these fails, the transaction returns its error instead of this result.
    Refused(Vec<Leg>),
}

/// Result of one leg of a transaction that was refused.
#[derive(Debug)]
pub(crate) enum Leg {
    /// The leg's condition did not fail.
    Held,
    /// The leg's condition did not hold for this item; `None` if the item does not exist.
    Failed(Option<Item>),
}

impl Leg {
    pub(crate) const fn failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Result of one try of a transaction.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The transaction was written, or a condition refused it.
    Ended(CommitResult),
    /// The transaction conflicted with another writer, or was throttled: another try may succeed.
    Conflict(Conflict),
}

/// Why a try failed, if another try may succeed: the codes of DynamoDB's cancellation reasons, for the log.
#[derive(Debug)]
pub(crate) struct Conflict(String);

impl Conflict {
    /// Returns the error of a request that ran out of time, with the number of its `tries`.
    pub(crate) fn after(self, tries: &Tries) -> Error {
        Error::Unavailable(format!("DynamoDB: {} ({} tries)", self.0, tries.failed()))
    }
}

impl Store {
    pub(in crate::store) const fn transaction(&self) -> Transaction<'_> {
        Transaction { store: self, legs: Vec::new(), fatal: Vec::new(), guard: None, witness: None }
    }
}

impl Transaction<'_> {
    /// Whether the installation sends mail.
    pub(in crate::store) const fn sends_mail(&self) -> bool {
        self.store.mailing
    }

    /// Returns access to the tables that the transaction writes to.
    pub(in crate::store) const fn store(&self) -> &Store {
        self.store
    }

    /// Adds the put of an item. Without a condition, the put replaces whatever was there before.
    pub(crate) fn put(
        self,
        table: Table,
        item: Item,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let put = Put::builder()
            .table_name(self.store.name(table))
            .set_item(Some(item))
            .set_condition_expression(condition.map(|one| one.expression().to_owned()))
            .set_expression_attribute_names(condition.and_then(Condition::names))
            .set_expression_attribute_values(condition.and_then(Condition::values))
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().put(put).build()))
    }

    /// Adds the update of an item. The item is created if it does not exist, unless the condition requires that it
    /// exists.
    pub(crate) fn update(
        self,
        address: Address,
        update: &UpdateExpression,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let update = Update::builder()
            .table_name(self.store.name(address.table))
            .set_key(Some(address.key))
            .update_expression(update.expression())
            .set_condition_expression(condition.map(|one| one.expression().to_owned()))
            .set_expression_attribute_names(update.names(condition))
            .set_expression_attribute_values(update.values(condition))
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().update(update).build()))
    }

    /// Adds the deletion of an item. Without a condition, the item need not exist.
    pub(crate) fn delete(
        self,
        address: Address,
        condition: Option<&Condition>,
    ) -> Result<Self, Error> {
        let delete = Delete::builder()
            .table_name(self.store.name(address.table))
            .set_key(Some(address.key))
            .set_condition_expression(condition.map(|one| one.expression().to_owned()))
            .set_expression_attribute_names(condition.and_then(Condition::names))
            .set_expression_attribute_values(condition.and_then(Condition::values))
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().delete(delete).build()))
    }

    /// Adds the deletion of an item. If the condition does not hold, the transaction returns `error`;
    /// [`CommitResult::Refused`] does not list this leg.
    pub(crate) fn delete_or_fail(
        mut self,
        address: Address,
        condition: &Condition,
        error: fn() -> Error,
    ) -> Result<Self, Error> {
        self.fatal.push((self.legs.len(), error));
        self.delete(address, Some(condition))
    }

    /// Adds a condition check for `requirement`. If it does not hold, the transaction returns the
    /// requirement's error; [`CommitResult::Refused`] does not list this leg.
    pub(crate) fn check_or_fail(mut self, requirement: &Requirement) -> Result<Self, Error> {
        self.fatal.push((self.legs.len(), requirement.error));
        self.check(requirement.address.clone(), &requirement.condition)
    }

    /// Adds a condition check on an item that the transaction does not write.
    pub(crate) fn check(self, address: Address, condition: &Condition) -> Result<Self, Error> {
        let check = ConditionCheck::builder()
            .table_name(self.store.name(address.table))
            .set_key(Some(address.key))
            .condition_expression(condition.expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ALL_OLD)
            .build()
            .map_err(unavailable)?;
        Ok(self.leg(TransactWriteItem::builder().condition_check(check).build()))
    }

    /// Adds the condition check of `guard`, unless another leg updates or deletes the same item: DynamoDB
    /// accepts only one action per item.
    pub(crate) fn guarded(self, guard: Box<dyn Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Adds the put of `witness` as the last action.
    pub(crate) fn witnessed(self, witness: Box<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    fn leg(mut self, leg: TransactWriteItem) -> Self {
        self.legs.push(leg);
        self
    }

    /// Carries the transaction out, and retries it after conflicts until the request's deadline.
    pub(crate) async fn run(self) -> Result<CommitResult, Error> {
        let (transaction, mut tries) = (self.complete()?, Tries::new());
        loop {
            match transaction.send().await? {
                Attempt::Ended(result) => return Ok(result),
                Attempt::Conflict(conflict) => {
                    if !tries.pause().await {
                        return Err(conflict.after(&tries));
                    }
                }
            }
        }
    }

    /// Tries to carry the transaction out, once.
    pub(crate) async fn attempt(self) -> Result<Attempt, Error> {
        self.complete()?.send().await
    }

    /// Adds the guard's condition check and the witness's put, if there are any.
    fn complete(self) -> Result<Self, Error> {
        self.complete_guard()?.complete_witness()
    }

    fn complete_guard(mut self) -> Result<Self, Error> {
        let Some(guard) = self.guard.take() else { return Ok(self) };
        let (address, condition) = guard.check();
        let table = self.store.name(address.table);
        if self.legs.iter().any(|leg| changes(leg, table, &address.key)) {
            return Ok(self);
        }
        let complete = self.check(address, condition)?;
        Ok(complete.guarded(guard))
    }

    fn complete_witness(mut self) -> Result<Self, Error> {
        let Some(witness) = self.witness.take() else { return Ok(self) };
        let (table, item, condition) = witness.leg();
        let complete = self.put(table, item, Some(condition))?;
        Ok(complete.witnessed(witness))
    }

    async fn send(&self) -> Result<Attempt, Error> {
        let legs = self.legs.clone();
        let request = self.store.client.transact_write_items().set_transact_items(Some(legs));
        let request = request.client_request_token(request_token()?);
        let Err(error) = request.call().await else {
            return Ok(Attempt::Ended(CommitResult::Written));
        };
        let Some(reasons) = reasons(&error) else { return Err(dynamodb_failure(error)) };
        // While the witness's leg is in conflict, nothing tells whether the other legs failed only because an
        // earlier try of this very transaction was committed.
        let in_doubt = self.witness.is_some() && reasons.last().is_some_and(is_passing);
        if reasons.iter().any(is_failed) && !in_doubt {
            return self.refused(reasons.iter().map(leg).collect()).map(Attempt::Ended);
        }
        if reasons.iter().any(is_passing) {
            return Ok(Attempt::Conflict(Conflict(codes(reasons))));
        }
        Err(Error::Unavailable(format!("DynamoDB: {}", codes(reasons))))
    }

    /// Decides the result of a transaction that a condition refused. The first of these applies: the
    /// witness's judgement, if its put failed; the guard's error, if its check failed; the error of a failed
    /// leg that has an error of its own; otherwise, the results of the remaining legs.
    fn refused(&self, mut legs: Vec<Leg>) -> Result<CommitResult, Error> {
        if let Some(witness) = &self.witness
            && let Some(Leg::Failed(found)) = legs.pop()
        {
            return witness.recognise(found).map(|()| CommitResult::Written);
        }
        if let Some(guard) = &self.guard
            && let Some(Leg::Failed(found)) = legs.pop()
        {
            return Err(guard.refuse(found));
        }
        for (number, error) in self.fatal.iter().rev() {
            if legs.remove(*number).failed() {
                return Err(error());
            }
        }
        Ok(CommitResult::Refused(legs))
    }
}

/// Returns a new `ClientRequestToken` with 128 random bits. The SDK's own tokens come from a generator that is seeded
/// with the monotonic clock: processes that start at the same moment send the same ones, and DynamoDB refuses the
/// second transaction with `IdempotentParameterMismatchException`.
fn request_token() -> Result<String, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(unavailable)?;
    Ok(HEXLOWER.encode(&random))
}

fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

fn is_failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// Whether `leg` updates or deletes the item at `key`.
fn changes(leg: &TransactWriteItem, table: &str, key: &Item) -> bool {
    let update = leg.update().map(|update| (update.table_name(), update.key()));
    let delete = leg.delete().map(|delete| (delete.table_name(), delete.key()));
    update.or(delete) == Some((table, key))
}

/// Whether the cause of a cancellation is temporary (a conflict or throttling), so that another try may
/// succeed.
pub(super) fn is_passing(reason: &CancellationReason) -> bool {
    reason.code().is_some_and(|code| PASSING.contains(&code))
}

/// Returns the codes of the cancellation reasons, one per action, in the form of DynamoDB's own message.
fn codes(reasons: &[CancellationReason]) -> String {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    format!("transaction cancelled [{}]", codes.join(", "))
}

fn leg(reason: &CancellationReason) -> Leg {
    if is_failed(reason) {
        return Leg::Failed(reason.item.clone().filter(|item| !item.is_empty()));
    }
    Leg::Held
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use serde_json::Value;

    use super::super::fake::{Fake, TOKEN_OF_THE_SDK, cancelled, reason, written};
    use super::*;
    use crate::patience;

    fn address() -> Address {
        Address { table: Table::Accounts, key: HashMap::new() }
    }

    async fn run(store: &Store) -> Result<CommitResult, Error> {
        let transaction = store.transaction().check(address(), &Condition::present()).unwrap();
        transaction.delete(address(), None).unwrap().run().await
    }

    #[tokio::test(start_paused = true)]
    async fn conflicts_and_throttled_legs_are_tried_again() {
        for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            let conflict = || cancelled(&[reason("None"), reason(code)]);
            let (store, fake) = Fake::answering([conflict(), conflict(), conflict(), written()]);
            assert!(matches!(run(&store).await, Ok(CommitResult::Written)), "{code}");
            assert_eq!(fake.operations().len(), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_with_the_request_and_their_codes_are_the_cause() {
        let conflict = cancelled(&[reason("TransactionConflict"), reason("None")]);
        let (store, fake) = Fake::answering([conflict]);
        let error = patience::scope(Duration::from_secs(3), run(&store)).await.unwrap_err();
        let tries = fake.operations().len();
        assert!(tries > 20, "{tries}");
        let cause = "DynamoDB: transaction cancelled [TransactionConflict, None]";
        assert_eq!(error.cause(), format!("{cause} ({tries} tries)"));
    }

    #[tokio::test]
    async fn every_transaction_has_a_token_of_its_own_and_none_is_made_by_the_sdk() {
        let (store, fake) = Fake::answering([written()]);
        let mut tokens = HashSet::from([TOKEN_OF_THE_SDK.to_owned()]);
        for number in 0..100 {
            run(&store).await.unwrap();
            let token = fake.body(number)["ClientRequestToken"].as_str().unwrap().to_owned();
            assert!((1..=36).contains(&token.len()), "{token}");
            assert!(tokens.insert(token), "used twice");
        }
    }

    #[tokio::test]
    async fn a_failed_condition_is_a_refusal_even_beside_a_conflict() {
        let failed = reason("ConditionalCheckFailed");
        let refusal = cancelled(&[failed, reason("TransactionConflict")]);
        let (store, fake) = Fake::answering([refusal]);
        let Ok(CommitResult::Refused(legs)) = run(&store).await else { panic!("refused") };
        assert!(matches!(legs.as_slice(), [Leg::Failed(None), Leg::Held]), "{legs:?}");
        assert_eq!(fake.operations().len(), 1);
    }

    #[tokio::test]
    async fn other_reasons_are_a_failure_with_their_codes() {
        let (store, _) = Fake::answering([cancelled(&[reason("None"), reason("ValidationError")])]);
        let error = run(&store).await.unwrap_err();
        assert_eq!(error.cause(), "DynamoDB: transaction cancelled [None, ValidationError]");
    }

    #[tokio::test]
    async fn a_leg_with_an_error_of_its_own_is_in_no_result() {
        let failed = || reason("ConditionalCheckFailed");
        let run = async |reasons: [Value; 3]| {
            let (store, _) = Fake::answering([cancelled(&reasons)]);
            let present = Condition::present();
            let transaction = store.transaction().check(address(), &present).unwrap();
            let transaction =
                transaction.delete_or_fail(address(), &present, || Error::TokenInvalid).unwrap();
            transaction.check(address(), &present).unwrap().run().await
        };
        let result = run([failed(), failed(), reason("None")]).await;
        assert!(matches!(result, Err(Error::TokenInvalid)), "{result:?}");
        let Ok(CommitResult::Refused(legs)) = run([reason("None"), reason("None"), failed()]).await
        else {
            panic!("refused")
        };
        assert!(matches!(legs.as_slice(), [Leg::Held, Leg::Failed(None)]), "{legs:?}");
    }

    #[derive(Debug)]
    struct Record(Condition);

    impl Witness for Record {
        fn leg(&self) -> (Table, Item, &Condition) {
            (Table::Accounts, Item::new(), &self.0)
        }

        fn recognise(&self, found: Option<Item>) -> Result<(), Error> {
            found.map(drop).ok_or(Error::IdempotencyKeyReused)
        }
    }

    async fn run_witnessed(store: &Store) -> Result<CommitResult, Error> {
        let transaction = store.transaction().witnessed(Box::new(Record(Condition::absent())));
        transaction.delete(address(), None).unwrap().run().await
    }

    #[tokio::test]
    async fn the_witness_decides_whether_a_refused_transaction_was_written() {
        let mut own = reason("ConditionalCheckFailed");
        own["Item"] = serde_json::json!({"id": {"S": "own"}});
        let failed = reason("ConditionalCheckFailed");
        let (store, fake) = Fake::answering([cancelled(&[failed.clone(), own])]);
        assert!(matches!(run_witnessed(&store).await, Ok(CommitResult::Written)));
        let legs = fake.body(0)["TransactItems"].clone();
        assert!(legs[0]["Delete"].is_object() && legs[1]["Put"].is_object(), "{legs}");

        let (store, _) = Fake::answering([cancelled(&[failed.clone(), failed.clone()])]);
        assert!(matches!(run_witnessed(&store).await, Err(Error::IdempotencyKeyReused)));

        let (store, _) = Fake::answering([cancelled(&[failed, reason("None")])]);
        let Ok(CommitResult::Refused(legs)) = run_witnessed(&store).await else { panic!() };
        assert_eq!(legs.len(), 1, "without the witness's own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_beside_a_witness_in_doubt_is_tried_again() {
        let doubt = cancelled(&[reason("ConditionalCheckFailed"), reason("TransactionConflict")]);
        let (store, fake) = Fake::answering([doubt, written()]);
        assert!(matches!(run_witnessed(&store).await, Ok(CommitResult::Written)));
        assert_eq!(fake.operations().len(), 2);
    }
}

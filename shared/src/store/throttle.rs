//! Attempts at passwords, counted before a password is looked at.

use std::time::Duration;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::assignment::Assignment;
use super::key::{self, Key};
use super::transaction::{CommitResult, Condition, Leg};
use super::{Item, MAX_TRIES, Store, failure, number, pause};
use crate::domain::throttle::{BASE_DELAY, FREE_ATTEMPTS, MAX_ATTEMPTS, MAX_DELAY, RESET_AFTER};
use crate::domain::username::LoginKey;
use crate::domain::{Agent, Error, Id, Session, Timestamp};
use crate::platform::aws::Call as _;

/// The attempt is free, or the wait is over, and the count is of today.
const ALLOWED: &str = "attribute_not_exists(pk) OR (expires_at > :seconds AND (attempts < :free \
    OR (attempts < :max AND (next_at <= :now OR last_at <= :long_ago))))";

/// What came of counting an attempt.
enum Counted {
    Yes,
    /// It is too early, going by this item.
    No(Item),
}

impl Store {
    /// Reserves an attempt at the password of `login`, or says how long to wait.
    ///
    /// One atomic update counts the attempt, on the condition that the last wait is over; any number of
    /// attempts at once pass it one at a time. With `session`, also on the condition that the session is
    /// there and is this agent's: a token that somebody made up names whom it likes, and must count
    /// against nobody.
    pub async fn reserve_attempt(
        &self,
        login: LoginKey,
        session: Option<(&Key<Session>, Id<Agent>)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = key::throttle(&login.to_string());
        for _ in 0..MAX_TRIES {
            let counted = match session {
                None => self.count_attempt(&key, now).await?,
                Some((session, agent)) => {
                    self.count_attempt_in_session(&key, session, agent, now).await?
                }
            };
            let Counted::No(found) = counted else { return Ok(()) };
            let wait = wait(&found, now);
            if !wait.is_zero() {
                return Err(Error::TooManyAttempts(wait));
            }
            // Forgotten, but not gone yet: TTL is late. Gone only if nobody tried in between.
            self.forget_expired(&key, &found).await?;
        }
        Err(Error::TooManyAttempts(Duration::from_secs(1)))
    }

    async fn count_attempt_in_session(
        &self,
        key: &Key<()>,
        session: &Key<Session>,
        agent: Id<Agent>,
        now: Timestamp,
    ) -> Result<Counted, Error> {
        let transaction = self
            .transaction()
            .check(session, &Condition::session_of(agent, now))?
            .change(key, &count(now)?, &Condition::new(ALLOWED, limits(now)))?;
        match transaction.run().await? {
            CommitResult::Written => Ok(Counted::Yes),
            CommitResult::Refused(legs) => match legs.as_slice() {
                [Leg::Held, Leg::Failed(found)] => {
                    Ok(Counted::No(found.clone().unwrap_or_default()))
                }
                _ => Err(Error::InvalidCredentials),
            },
        }
    }

    async fn count_attempt(&self, key: &Key<()>, now: Timestamp) -> Result<Counted, Error> {
        let count = count(now)?;
        for attempt in 0..MAX_TRIES {
            let limits = limits(now).map(|(name, value)| (name.to_owned(), value));
            let update = self
                .client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key.attributes()))
                .update_expression(count.expression())
                .condition_expression(ALLOWED)
                .set_expression_attribute_names(count.names(None))
                .set_expression_attribute_values(count.values(Some(limits.into())))
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            let Err(error) = update.call().await else {
                return Ok(Counted::Yes);
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(Counted::No(refused.item.clone().unwrap_or_default()));
                }
                // Somebody's log-in with this name is just being written.
                Some(UpdateItemError::TransactionConflictException(_)) => pause(attempt).await,
                _ => return Err(failure(error)),
            }
        }
        Err(Error::TooManyAttempts(Duration::from_secs(1)))
    }

    /// Forgets the attempts at the password of `login`: the last one was right.
    pub async fn forget_attempts(&self, login: LoginKey) -> Result<(), Error> {
        let key = key::throttle(&login.to_string()).attributes();
        let delete = self.client.delete_item().table_name(&self.accounts).set_key(Some(key));
        delete.call().await.map(drop).map_err(failure)
    }

    async fn forget_expired(&self, key: &Key<()>, found: &Item) -> Result<(), Error> {
        let last = found.get("last_at").cloned().unwrap_or_else(|| number(0));
        let delete = self
            .client
            .delete_item()
            .table_name(&self.accounts)
            .set_key(Some(key.attributes()))
            .condition_expression("last_at = :last")
            .expression_attribute_values(":last", last);
        match delete.call().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(failure(error)),
        }
    }
}

/// Counts an attempt and doubles the wait.
fn count(now: Timestamp) -> Result<Assignment, Error> {
    Assignment::default()
        .count("attempts")?
        .double("wait_ms", millis(BASE_DELAY))?
        .set_after("next_at", now.millis(), "wait_ms")?
        .set("last_at", now.millis())?
        .set("expires_at", now.plus(RESET_AFTER).seconds())
}

/// The values of [`ALLOWED`].
fn limits(now: Timestamp) -> [(&'static str, AttributeValue); 5] {
    [
        (":seconds", number(now.seconds())),
        (":now", number(now.millis())),
        (":long_ago", number(now.millis() - millis(MAX_DELAY))),
        (":free", number(FREE_ATTEMPTS)),
        (":max", number(MAX_ATTEMPTS)),
    ]
}

/// How long to wait, going by the counts of an item that refused an attempt; not at all, if they are to
/// be forgotten.
fn wait(found: &Item, now: Timestamp) -> Duration {
    let read = |name: &str| -> i64 {
        let text = found.get(name).and_then(|value| value.as_n().ok());
        // The doubled wait outgrows an i64 long before it matters: the longest wait caps it.
        text.and_then(|text| text.parse().ok()).unwrap_or(i64::MAX)
    };
    let forgotten = read("expires_at").saturating_mul(1000);
    let exhausted = read("attempts") >= i64::try_from(MAX_ATTEMPTS).unwrap_or(i64::MAX);
    let next = read("next_at").min(read("last_at").saturating_add(millis(MAX_DELAY)));
    let until = if exhausted { forgotten } else { next.min(forgotten) };
    Duration::from_millis(u64::try_from(until.saturating_sub(now.millis())).unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

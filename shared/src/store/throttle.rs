//! Attempts at passwords, counted before a password is looked at.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{Item, MAX_TRIES, Store, failure, key, number, pause};
use crate::domain::throttle::{
    ADDRESS_ATTEMPTS, ADDRESS_WINDOW, FIRST_WAIT, FREE_ATTEMPTS, LONGEST_WAIT, MAX_ATTEMPTS, MEMORY,
};
use crate::domain::username::LoginKey;
use crate::domain::{Error, Timestamp};

impl Store {
    /// Reserves an attempt at the password of `login`, or says how long to wait.
    ///
    /// One atomic update counts the attempt and doubles the wait, on the condition that the last wait
    /// is over; any number of attempts at once pass it one at a time.
    pub async fn reserve_attempt(&self, login: LoginKey, now: Timestamp) -> Result<(), Error> {
        let key = key::throttle(&login.to_string());
        for attempt in 0..MAX_TRIES {
            let update = self
                .client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key.attributes()))
                .update_expression(
                    "SET attempts = if_not_exists(attempts, :zero) + :one, \
                     wait_ms = if_not_exists(wait_ms, :first) + if_not_exists(wait_ms, :first), \
                     next_at = :now + if_not_exists(wait_ms, :first), last_at = :now, expires_at = :expires",
                )
                .condition_expression(
                    "attribute_not_exists(pk) OR attempts < :free \
                     OR (attempts < :max AND (next_at <= :now OR last_at <= :long_ago))",
                )
                .set_expression_attribute_values(Some(values([
                    (":zero", 0),
                    (":one", 1),
                    (":first", millis(FIRST_WAIT)),
                    (":now", now.millis()),
                    (":long_ago", now.millis() - millis(LONGEST_WAIT)),
                    (":free", i64::try_from(FREE_ATTEMPTS).unwrap_or(i64::MAX)),
                    (":max", i64::try_from(MAX_ATTEMPTS).unwrap_or(i64::MAX)),
                    (":expires", now.plus(MEMORY).seconds()),
                ])))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            let Err(error) = update.send().await else {
                return Ok(());
            };
            let refused = match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => refused,
                // Somebody's log-in with this name is just being written.
                Some(UpdateItemError::TransactionConflictException(_)) => {
                    pause(attempt).await;
                    continue;
                }
                _ => return Err(failure(error)),
            };
            let found = refused.item.clone().unwrap_or_default();
            let wait = wait(&found, now);
            if !wait.is_zero() {
                return Err(Error::TooManyAttempts(wait));
            }
            // Forgotten, but not gone yet: TTL is late. Gone only if nobody tried in between.
            self.forget_expired(&key, &found).await?;
        }
        Err(Error::TooManyAttempts(Duration::from_secs(1)))
    }

    /// Forgets the attempts at the password of `login`: the last one was right.
    pub async fn forget_attempts(&self, login: LoginKey) -> Result<(), Error> {
        let key = key::throttle(&login.to_string()).attributes();
        let delete = self.client.delete_item().table_name(&self.accounts).set_key(Some(key));
        delete.send().await.map(drop).map_err(failure)
    }

    /// Reserves an attempt from the address `ip`, or says how long to wait.
    pub async fn reserve_address(&self, ip: &str, now: Timestamp) -> Result<(), Error> {
        let window = i64::try_from(ADDRESS_WINDOW.as_secs()).unwrap_or(i64::MAX);
        let start = now.seconds() - now.seconds().rem_euclid(window);
        let update = self
            .client
            .update_item()
            .table_name(&self.accounts)
            .set_key(Some(key::address(ip, start).attributes()))
            .update_expression("ADD attempts :one SET expires_at = :expires")
            .condition_expression("attribute_not_exists(pk) OR attempts < :max")
            .set_expression_attribute_values(Some(values([
                (":one", 1),
                (":max", i64::try_from(ADDRESS_ATTEMPTS).unwrap_or(i64::MAX)),
                (":expires", start + 2 * window),
            ])));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                let left = u64::try_from(start + window - now.seconds()).unwrap_or(1);
                Err(Error::TooManyAttempts(Duration::from_secs(left)))
            }
            Err(error) => Err(failure(error)),
        }
    }

    async fn forget_expired(&self, key: &key::Key<()>, found: &Item) -> Result<(), Error> {
        let last = found.get("last_at").cloned().unwrap_or_else(|| number(0));
        let delete = self
            .client
            .delete_item()
            .table_name(&self.accounts)
            .set_key(Some(key.attributes()))
            .condition_expression("last_at = :last")
            .expression_attribute_values(":last", last);
        match delete.send().await {
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

/// How long to wait, going by the counts of an item that refused an attempt.
fn wait(found: &Item, now: Timestamp) -> Duration {
    let read = |name: &str| -> i64 {
        let text = found.get(name).and_then(|value| value.as_n().ok());
        // The doubled wait outgrows an i64 long before it matters: the longest wait caps it.
        text.and_then(|text| text.parse().ok()).unwrap_or(i64::MAX)
    };
    let exhausted = read("attempts") >= i64::try_from(MAX_ATTEMPTS).unwrap_or(i64::MAX);
    let until = if exhausted {
        read("expires_at").saturating_mul(1000)
    } else {
        read("next_at").min(read("last_at").saturating_add(millis(LONGEST_WAIT)))
    };
    Duration::from_millis(u64::try_from(until.saturating_sub(now.millis())).unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn values<const N: usize>(values: [(&str, i64); N]) -> Item {
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), number(value)))
        .collect::<HashMap<_, _>>()
}

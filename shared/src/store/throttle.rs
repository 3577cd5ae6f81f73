//! Login attempts, each counted before its password is verified.

use std::time::Duration;

use super::dynamodb::{CommitResult, Condition, Item, Leg, Store, UpdateExpression, Write, number};
use super::key::{self, Key};
use super::session::session_of;
use crate::domain::throttle::{BASE_DELAY, FREE_ATTEMPTS, MAX_ATTEMPTS, MAX_DELAY, RESET_AFTER};
use crate::domain::username::LoginKey;
use crate::domain::{Agent, Error, Id, Session, Timestamp};
use crate::patience::Tries;

/// The attempt is free or its wait is over, and the count has not expired.
const ALLOWED: &str = "attribute_not_exists(pk) OR (expires_at > :seconds AND (attempts < :free \
    OR (attempts < :max AND (next_at <= :now OR last_at <= :long_ago))))";

/// Result of counting an attempt.
enum Counted {
    /// The attempt is counted, and may be made.
    Yes,
    /// It is refused; the item has the earlier attempts.
    No(Item),
}

impl Store {
    /// Reserves an attempt at the password of `login`; [`Error::TooManyAttempts`] tells how long to wait.
    ///
    /// One atomic update counts the attempt, on the condition that the last wait is over, so that any number at once is
    /// counted exactly. With `session`, also on the condition that the session exists and is this agent's: a made-up
    /// token names whom it likes, and must count against nobody.
    pub async fn reserve_attempt(
        &self,
        login: LoginKey,
        session: Option<(&Key<Session>, Id<Agent>)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = key::throttle(&login.to_string());
        let mut tries = Tries::new();
        loop {
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
            if !tries.again() {
                return Err(Error::TooManyAttempts(Duration::from_secs(1)));
            }
            // The count has expired, but DynamoDB has not deleted it yet.
            self.delete_expired(&key, &found).await?;
        }
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
            .check(session.address(), &session_of(agent, now))?
            .update(key.address(), &counted(now)?, Some(&allowed(now)))?;
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
        match self.update(key.address(), &counted(now)?, &allowed(now)).await? {
            Write::Written(_) => Ok(Counted::Yes),
            Write::Refused(found) => Ok(Counted::No(found.unwrap_or_default())),
        }
    }

    /// Forgets the attempts at the password of `login`, after a successful one.
    pub async fn forget_attempts(&self, login: LoginKey) -> Result<(), Error> {
        self.delete(key::throttle(&login.to_string()).address()).await
    }

    /// Deletes an expired count, unless another attempt was counted since.
    async fn delete_expired(&self, key: &Key<()>, found: &Item) -> Result<(), Error> {
        let last = found.get("last_at").cloned().unwrap_or_else(|| number(0));
        self.delete_if(key.address(), &Condition::new("last_at = :last", [(":last", last)])).await
    }
}

/// Counts an attempt and doubles the wait.
fn counted(now: Timestamp) -> Result<UpdateExpression, Error> {
    UpdateExpression::default()
        .increment("attempts")?
        .double("wait_ms", millis(BASE_DELAY))?
        .set_after("next_at", now.millis(), "wait_ms")?
        .set("last_at", now.millis())?
        .set("expires_at", now.plus(RESET_AFTER).seconds())
}

/// An attempt is allowed at `now`.
fn allowed(now: Timestamp) -> Condition {
    let values = [
        (":seconds", number(now.seconds())),
        (":now", number(now.millis())),
        (":long_ago", number(now.millis() - millis(MAX_DELAY))),
        (":free", number(FREE_ATTEMPTS)),
        (":max", number(MAX_ATTEMPTS)),
    ];
    Condition::new(ALLOWED, values)
}

/// How long an attempt must wait that was refused by the counts of this item; zero if they have expired.
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

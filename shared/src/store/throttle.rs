//! Throttling of password attempts. Each attempt is counted before the password is verified.
//!
//! | attempts | counted in |
//! |---|---|
//! | to log in | an item of the user name's [login key](LoginKey) |
//! | to log in from a known network | that item, and the network's entry in the user name's lock; the latter decides |
//! | within a session, at its agent's current password | the session |

use std::time::Duration;

use futures_util::future::join;
use serde::{Deserialize, Serialize};

use super::dynamodb::{
    Address, Condition, Item, Store, UpdateExpression, Write, element, number, read,
};
use super::fields::stored;
use super::key::{self, Key};
use super::login::NETWORKS;
use super::session::unexpired;
use super::stored;
use crate::domain::known_networks::NetworkHash;
use crate::domain::throttle::{MAX_ATTEMPTS, MAX_DELAY, RESET_AFTER, Throttle};
use crate::domain::username::LoginKey;
use crate::domain::{Error, Login, Session, Timestamp, Username};
use crate::patience::Tries;

stored! {
    /// A count of password attempts: an item of its own, or attributes of another item.
    #[derive(Serialize, Deserialize)]
    pub struct AttemptAttributes {
        attempts: u64 => Deleted,
        /// The next delay, in milliseconds, which doubles with each attempt. A float, as it outgrows any integer,
        /// though by then the maximum delay has long been in force.
        wait_ms: f64 => Deleted,
        next_at: f64 => Deleted,
        last_at: i64 => Deleted,
    }
}

impl AttemptAttributes {
    fn expiry(&self) -> i64 {
        self.last_at.saturating_add(millis(RESET_AFTER))
    }

    fn are_expired(&self, now: Timestamp) -> bool {
        self.expiry() <= now.millis()
    }

    /// How long another attempt must wait at `now`; zero if it need not.
    fn wait(&self, throttle: Throttle, now: Timestamp) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it saturates, and the maximum delay holds"
        )]
        let next = (self.next_at.ceil() as i64).min(self.last_at.saturating_add(millis(MAX_DELAY)));
        let until = if self.attempts < u64::from(throttle.free_attempts()) {
            0
        } else if self.attempts < MAX_ATTEMPTS {
            next.min(self.expiry())
        } else {
            self.expiry()
        };
        Duration::from_millis(u64::try_from(until.saturating_sub(now.millis())).unwrap_or_default())
    }
}

/// Result of counting an attempt.
enum Counted {
    /// The attempt was counted, and may be made. Holds the item as it is now.
    Yes(Item),
    /// The attempt was refused. Holds the item, the throttle that refuses the attempt, and how long to wait.
    No(Item, Throttle, Duration),
    /// Attempts like this one are not counted in this item, but elsewhere. Holds the item; `None` if it does not
    /// exist.
    NotHere(Option<Item>),
}

/// Place of a count of attempts: an item, or an element of a map in it.
struct Counter {
    throttle: Throttle,
    address: Address,
    /// Map and element that the count is in; `None` if it is among the item's own attributes.
    within: Option<(&'static str, String)>,
    /// Condition that the item must meet for the attempt to be counted in it; `None` if every item will do.
    condition: Option<Condition>,
}

impl Counter {
    fn of_username(login: LoginKey) -> Self {
        let address = key::throttle(&login.to_string()).address();
        Self { throttle: Throttle::Username, address, within: None, condition: None }
    }

    fn of_known_network(login: LoginKey, network: &NetworkHash, now: Timestamp) -> Self {
        let known = element(NETWORKS, network.as_str()) + ".known_until > :seconds";
        Self {
            throttle: Throttle::KnownNetwork,
            address: key::login(login).address(),
            within: Some((NETWORKS, network.as_str().to_owned())),
            condition: Some(Condition::new(&known, [(":seconds", number(now.seconds()))])),
        }
    }

    fn of_session(session: &Key<Session>, now: Timestamp) -> Self {
        Self {
            throttle: Throttle::Session,
            address: session.address(),
            within: None,
            condition: Some(unexpired(now)),
        }
    }

    /// Returns the update that counts an attempt and doubles the delay before the next one.
    fn next(&self, now: Timestamp) -> Result<UpdateExpression, Error> {
        self.update(now)?
            .increment("attempts")?
            .double("wait_ms", self.throttle.base_delay())?
            .set_after("next_at", now.millis(), "wait_ms")
    }

    /// Returns the update that counts the first attempt after others that have expired.
    fn first(&self, now: Timestamp) -> Result<UpdateExpression, Error> {
        self.update(now)?
            .set("attempts", 1)?
            .set("wait_ms", self.throttle.base_delay() * 2.0)?
            .set("next_at", now.millis())
    }

    fn update(&self, now: Timestamp) -> Result<UpdateExpression, Error> {
        let update = match &self.within {
            Some((map, name)) => UpdateExpression::within(map, name),
            None => UpdateExpression::default(),
        };
        let update = update.set("last_at", now.millis())?;
        match self.throttle {
            // The item has nothing else.
            Throttle::Username => update.set("expires_at", now.plus(RESET_AFTER).seconds()),
            Throttle::KnownNetwork | Throttle::Session => Ok(update),
        }
    }

    /// Returns the path of one of the count's attributes, for use in a condition.
    fn path(&self, name: &str) -> String {
        match &self.within {
            Some((map, within)) => format!("{}.{name}", element(map, within)),
            None => name.to_owned(),
        }
    }

    /// The condition that an attempt may be made: nothing is counted yet; or the count has not expired, and either the
    /// attempt is among the first ones, which are free of delay, or its wait is over and the maximum number of
    /// attempts is not reached.
    fn allowed(&self, now: Timestamp) -> Condition {
        let [attempts, next, last] = ["attempts", "next_at", "last_at"].map(|name| self.path(name));
        let allowed = format!(
            "attribute_not_exists({attempts}) OR ({last} > :day_ago AND ({attempts} < :free OR \
             ({attempts} < :max AND ({next} <= :at OR {last} <= :long_ago))))"
        );
        let values = [
            (":at", number(now.millis())),
            (":day_ago", number(now.millis() - millis(RESET_AFTER))),
            (":long_ago", number(now.millis() - millis(MAX_DELAY))),
            (":free", number(self.throttle.free_attempts())),
            (":max", number(MAX_ATTEMPTS)),
        ];
        self.here_and(Condition::new(&allowed, values))
    }

    /// The condition that no attempt was counted since `attempts` was read.
    fn unchanged(&self, attempts: &AttemptAttributes) -> Condition {
        let last = self.path("last_at") + " = :last";
        self.here_and(Condition::new(&last, [(":last", number(attempts.last_at))]))
    }

    fn here_and(&self, condition: Condition) -> Condition {
        match &self.condition {
            Some(here) => here.clone().and(condition),
            None => condition,
        }
    }

    /// Returns the count of attempts in `item`; `None` if none were counted.
    fn attempts(&self, item: &Item) -> Result<Option<AttemptAttributes>, Error> {
        let element = |item: &Item, name: &str| item.get(name)?.as_m().ok().cloned();
        let counts = match &self.within {
            Some((map, name)) => element(item, map).and_then(|map| element(&map, name)),
            None => Some(item.clone()),
        };
        counts.filter(|counts| counts.contains_key("attempts")).map(read).transpose()
    }
}

/// An attempt to log in that was counted, and may be made.
#[derive(Debug)]
pub struct LoginAttempt {
    /// The user name's login; `None` if nobody has the user name, or if only a name that looks like it is
    /// taken.
    pub login: Option<Login>,
    key: LoginKey,
    /// Whether the attempt was counted by user name. An attempt from a known network is made even if the count by user
    /// name is exhausted, as long as the network's own count allows it; it is then not counted by user name.
    is_counted: bool,
    /// Whether the attempt comes from a known network: one that somebody has logged in from with this user
    /// name.
    is_known: bool,
}

impl Store {
    /// Counts an attempt to log in with `username` from `network`, and reads the user name's login in the
    /// same round trip. [`Error::TooManyAttempts`] tells how long to wait.
    ///
    /// Each count is one atomic update, on the condition that the last wait is over, so that concurrent
    /// attempts are counted exactly. All attempts are counted by user name, and those from a known network
    /// also by network, in the user name's lock. From a known network, that network's count decides; from any
    /// other, the count by user name.
    pub async fn reserve_login(
        &self,
        username: &Username,
        network: &NetworkHash,
        now: Timestamp,
    ) -> Result<LoginAttempt, Error> {
        let key = username.login_key();
        let by_name = self.count_attempt(Counter::of_username(key), |_| Ok(true), now);
        let is_known =
            |lock: &Item| Ok(stored::read::<Login>(lock.clone())?.networks.has(network, now));
        let by_network =
            self.count_attempt(Counter::of_known_network(key, network, now), is_known, now);
        let (by_name, by_network) = join(by_name, by_network).await;
        let (by_name, by_network) = (by_name?, by_network?);
        let (lock, wait, is_known) = match by_network {
            Counted::Yes(lock) => (Some(lock), None, true),
            Counted::No(lock, throttle, wait) => (Some(lock), Some((throttle, wait)), true),
            Counted::NotHere(lock) => (lock, by_name.wait(), false),
        };
        if let Some((throttle, wait)) = wait {
            return Err(Error::TooManyAttempts(throttle, wait));
        }
        let login: Option<Login> = lock.map(stored::read).transpose()?;
        let login = login.filter(|found| found.username_digest == username.digest());
        Ok(LoginAttempt { login, key, is_counted: by_name.wait().is_none(), is_known })
    }

    /// Counts an attempt to give the agent's current password within a session, as sensitive changes require, in the
    /// way in which [`reserve_login`](Self::reserve_login) counts log-ins. A request with a made-up session token
    /// counts against no agent, because no session has that token.
    pub async fn reserve_attempt(
        &self,
        session: &Key<Session>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let counter = Counter::of_session(session, now);
        let is_valid = |session: &Item| {
            let session: Session = stored::read(session.clone())?;
            // To the second, as the condition asks.
            Ok(now.seconds() < session.tm_expire.seconds())
        };
        match self.count_attempt(counter, is_valid, now).await? {
            Counted::Yes(_) => Ok(()),
            Counted::No(_, throttle, wait) => Err(Error::TooManyAttempts(throttle, wait)),
            Counted::NotHere(_) => Err(Error::InvalidCredentials),
        }
    }

    /// Counts an attempt in the counter's item, if the stored item passes `is_here`, the check that the attempt
    /// belongs there.
    async fn count_attempt(
        &self,
        counter: Counter,
        is_here: impl Fn(&Item) -> Result<bool, Error>,
        now: Timestamp,
    ) -> Result<Counted, Error> {
        let (mut change, mut condition) = (counter.next(now)?, counter.allowed(now));
        let mut tries = Tries::new();
        loop {
            let found = match self.update(counter.address.clone(), &change, &condition).await? {
                Write::Written(item) => return Ok(Counted::Yes(item)),
                Write::Refused(found) => found,
            };
            let Some(item) = found else { return Ok(Counted::NotHere(None)) };
            if !is_here(&item)? {
                return Ok(Counted::NotHere(Some(item)));
            }
            let attempts = counter.attempts(&item)?;
            let expired = attempts.as_ref().filter(|attempts| attempts.are_expired(now));
            let wait = attempts.as_ref().map(|attempts| attempts.wait(counter.throttle, now));
            let wait = wait.filter(|wait| expired.is_none() && !wait.is_zero());
            if let Some(wait) = wait {
                return Ok(Counted::No(item, counter.throttle, wait));
            }
            if !tries.again() {
                return Ok(Counted::No(item, counter.throttle, Duration::from_secs(1)));
            }
            (change, condition) = match expired {
                Some(expired) => (counter.first(now)?, counter.unchanged(expired)),
                None => (counter.next(now)?, counter.allowed(now)),
            };
        }
    }

    /// Deletes the count of attempts by user name after a successful attempt. After an attempt from a known network, a
    /// count above the number of free attempts stays: somebody who guesses from another network, and has to wait, must
    /// go on waiting.
    pub async fn forget_attempts(&self, successful: &LoginAttempt) -> Result<(), Error> {
        let address = key::throttle(&successful.key.to_string()).address();
        if !successful.is_known {
            return self.delete(address).await;
        }
        if !successful.is_counted {
            return Ok(());
        }
        let free = [(":free", number(Throttle::Username.free_attempts()))];
        self.delete_if(address, &Condition::new("attempts <= :free", free)).await
    }

    /// Deletes a session's count of attempts at its agent's password after a successful attempt.
    pub async fn forget_attempts_of(&self, session: &Key<Session>) -> Result<(), Error> {
        let forgotten = without_attempts(UpdateExpression::default());
        self.update(session.address(), &forgotten, &Condition::present()).await.map(drop)
    }
}

impl Counted {
    /// Returns the throttle that refuses the attempt, and how long to wait; `None` if the attempt was not
    /// refused.
    const fn wait(&self) -> Option<(Throttle, Duration)> {
        match self {
            Self::No(_, throttle, wait) => Some((*throttle, *wait)),
            Self::Yes(_) | Self::NotHere(_) => None,
        }
    }
}

/// Adds to an update the removal of the attributes that count attempts, for an item that has other attributes too.
pub(super) fn without_attempts(update: UpdateExpression) -> UpdateExpression {
    update.remove(&["attempts", "wait_ms", "next_at", "last_at"])
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

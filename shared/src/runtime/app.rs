//! What most handlers work with.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::clock::Clock;
use super::{Build, config, sdk};
use crate::domain::event::EventType;
use crate::domain::idempotency::IdempotencyRecord;
use crate::domain::quota::{ExhaustedNetworks, Quota};
use crate::domain::webhook_target::Loopback;
use crate::domain::{Customer, Error, Event, Id, Timestamp};
use crate::http::Reply;
use crate::repeat::repeat;
use crate::store::Store;

/// The tables, the time, and chance.
#[derive(Debug)]
pub struct App {
    /// The tables.
    pub store: Store,
    /// Whether webhooks may go to the machine itself.
    pub loopback: Loopback,
    /// How much is answered.
    pub quotas: Quotas,
    clock: Clock,
    exhausted: Mutex<ExhaustedNetworks>,
    beside: Mutex<JoinSet<()>>,
}

/// How much is answered; what has no quota is not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// To one account.
    pub requests: Option<Quota>,
    /// To one network without a valid token.
    pub invalid_tokens: Option<Quota>,
}

impl Build for App {
    fn build() -> Result<Self, Error> {
        let client = aws_sdk_dynamodb::Client::from_conf(sdk::dynamodb_config()?);
        let store = Store::new(
            client,
            config::required("ACCOUNTS_TABLE")?,
            config::required("OUTBOX_TABLE")?,
            config::required("ERASURES_TABLE")?,
        );
        Ok(Self {
            loopback: config::loopback()?,
            quotas: config::quotas()?,
            ..Self::new(store, Clock::from_environment()?)
        })
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        self.store.connect().boxed()
    }

    fn repeat<'a>(
        &'a self,
        route: &'a str,
        done: IdempotencyRecord,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        repeat(self, route, done).boxed()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        let mut beside = mem::take(&mut *lock(&self.beside));
        async move { while beside.join_next().await.is_some() {} }.boxed()
    }
}

impl App {
    /// An app of these parts.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            loopback: Loopback::Refused,
            quotas: Quotas::default(),
            clock,
            exhausted: Mutex::default(),
            beside: Mutex::default(),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An id for something that is made at `now`.
    #[must_use]
    pub fn new_id<T>(&self, now: Timestamp) -> Id<T> {
        Id::new(now, random())
    }

    /// The random part of a token.
    #[must_use]
    pub fn new_secret(&self) -> [u8; 32] {
        random()
    }

    /// A number of 255, for waits that should not be alike.
    #[must_use]
    pub fn jitter(&self) -> u8 {
        let [jitter] = random();
        jitter
    }

    /// The networks that have used up their attempts, as far as this process knows.
    pub fn exhausted(&self) -> MutexGuard<'_, ExhaustedNetworks> {
        lock(&self.exhausted)
    }

    /// Does something beside the request that its answer does not depend on: should it fail, the log
    /// says so. It ends before the answer is sent, as Lambda may stop the process after that.
    pub fn beside(&self, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
        lock(&self.beside).spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(cause = error.cause(), "left undone");
            }
        });
    }

    /// Tells of something that happened at `now`.
    #[must_use]
    pub fn event(
        &self,
        event_type: EventType,
        customer: Id<Customer>,
        subjects: Vec<Uuid>,
        now: Timestamp,
    ) -> Event {
        Event { id: self.new_id(now), event_type, customer, subjects, time: now }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that nobody can guess.
#[expect(
    clippy::expect_used,
    reason = "without randomness there are no secrets: better to crash than to go on"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

//! What most handlers work with.

use uuid::Uuid;

use super::clock::Clock;
use super::{Build, config, sdk};
use crate::domain::event::What;
use crate::domain::{Customer, Error, Event, Id, Timestamp};
use crate::store::Store;

/// The tables, the time, and chance.
#[derive(Debug)]
pub struct App {
    /// The tables.
    pub store: Store,
    clock: Clock,
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
        Ok(Self { store, clock: Clock::from_environment()? })
    }
}

impl App {
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

    /// Tells of something that happened at `now`.
    #[must_use]
    pub fn event(
        &self,
        what: What,
        customer: Id<Customer>,
        subjects: Vec<Uuid>,
        now: Timestamp,
    ) -> Event {
        Event { id: self.new_id(now), what, customer, subjects, time: now }
    }
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

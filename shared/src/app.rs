//! Handler context: store, clock, randomness and settings.

use std::future::ready;
use std::mem;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::domain::brake::{Brake, Hour};
use crate::domain::caps::Caps;
use crate::domain::event::EventType;
use crate::domain::gate::Unverified;
use crate::domain::lifecycle::GRACE;
use crate::domain::network::ExhaustedNetworks;
use crate::domain::quota::Quotas;
use crate::domain::session::SessionLimits;
use crate::domain::webhook_target::TargetPolicy;
use crate::domain::{Actor, Customer, Error, Event, Id, Ticket, Timestamp};
use crate::platform::clock::Clock;
use crate::platform::log::{Cause, LogEntry};
use crate::platform::{config, sdk};
use crate::store::Store;

/// Handler context: what an endpoint works with. It has the store, the clock, randomness and the installation's
/// settings.
#[derive(Debug)]
pub struct App {
    /// The DynamoDB tables.
    pub store: Store,
    /// Which URIs webhooks may be sent to.
    pub targets: TargetPolicy,
    /// Whether accounts whose e-mail address was never verified may have resources (numbers, flows, …).
    pub unverified: Unverified,
    /// Whether the installation sends mail.
    pub sends_mail: bool,
    /// Version of the terms that people accept when they sign up; empty if the installation has configured
    /// none.
    pub terms_version: String,
    /// Time from freezing an account until its deletion is due.
    pub grace: Duration,
    /// How many agents and access keys an account may own.
    pub caps: Caps,
    /// Maximum number of sessions of an agent, and the time without use after which a session ends.
    pub sessions: SessionLimits,
    /// Rate limits of this deployment.
    pub quotas: Quotas,
    /// Maximum number of deletions by operators within an hour (the brake); `None` if there is no limit.
    pub brake: Option<Brake>,
    /// Whether an operator who deletes an account must send the digest of a plan: a count, made before, of
    /// what the deletion will remove.
    pub requires_plan: bool,
    clock: Clock,
    exhausted: Mutex<ExhaustedNetworks>,
    /// The latest hour in which operators are known to have used up their limit of deletions (the brake is
    /// on), in hours since 1970; 0 if there is none.
    braked: AtomicI64,
    beside: Mutex<JoinSet<()>>,
}

/// A handler's context: what the handler works with, such as store and clock. Built once per process.
///
/// The methods return boxed futures, so that those are compiled once and not in every function.
pub trait Build: Sized + Send + Sync + 'static {
    /// Builds the context from the environment.
    fn build() -> Result<Self, Error>;

    /// Prepares for the first request during Lambda's init phase, in which the function has a whole
    /// processor: opens the connections that the request would otherwise have to wait for. By default, does
    /// nothing.
    fn prepare(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    /// Waits for the background work that requests have started, such as by [`App::beside`].
    fn settle(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Empty context, for a handler that needs no store, clock or configuration.
#[derive(Debug)]
pub struct Nothing;

impl Build for Nothing {
    fn build() -> Result<Self, Error> {
        Ok(Self)
    }
}

/// Context of the handlers of the account pages, which read no table: the settings of the installation that
/// these pages show.
#[derive(Debug)]
pub struct Installation {
    /// Whether the installation sends mail.
    pub sends_mail: bool,
    /// Name of the app whose accounts these are.
    pub app_name: String,
    /// Name of the developer or company that offers the app.
    pub developer_name: String,
    /// URL where people get help; `None` if none is configured.
    pub support_url: Option<String>,
    /// Time from freezing an account until its deletion is due.
    pub grace: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
}

impl Build for Installation {
    fn build() -> Result<Self, Error> {
        let named = |name, unnamed: &str| config::optional(name).unwrap_or_else(|| unnamed.into());
        Ok(Self {
            sends_mail: config::mail_from().is_some(),
            app_name: named("APP_NAME", "this service"),
            developer_name: named("DEVELOPER_NAME", "the operator of this service"),
            support_url: config::optional("SUPPORT_URL"),
            grace: config::grace()?,
            event_retention: config::event_retention()?,
        })
    }
}

impl Installation {
    /// Refuses the request if the installation sends no mail.
    pub const fn require_mail(&self) -> Result<(), Error> {
        if self.sends_mail { Ok(()) } else { Err(Error::MailDisabled) }
    }
}

/// Context of the handler that serves the console page, which reads no table: whether the installation has
/// the console.
#[derive(Debug)]
pub struct ConsoleSwitch {
    is_on: bool,
}

impl Build for ConsoleSwitch {
    fn build() -> Result<Self, Error> {
        Ok(Self { is_on: config::console_enabled() })
    }
}

impl ConsoleSwitch {
    /// Refuses the request if the installation has no console, with the error for a route that does not
    /// exist.
    pub const fn require(&self) -> Result<(), Error> {
        if self.is_on { Ok(()) } else { Err(Error::RouteNotFound) }
    }
}

impl Build for App {
    fn build() -> Result<Self, Error> {
        let client = aws_sdk_dynamodb::Client::from_conf(sdk::dynamodb_config()?);
        let store = Store::new(
            client,
            config::required("ACCOUNTS_TABLE")?,
            config::required("OUTBOX_TABLE")?,
            config::required("ERASURES_TABLE")?,
        )
        .mailing(config::mail_from().is_some())
        .keeping_events_for(config::event_retention()?);
        Ok(Self {
            targets: config::targets()?,
            unverified: config::unverified()?,
            sends_mail: config::mail_from().is_some(),
            terms_version: config::optional("TERMS_VERSION").unwrap_or_default(),
            grace: config::grace()?,
            caps: config::caps()?,
            sessions: config::session_limits()?,
            quotas: config::quotas()?,
            brake: config::brake()?,
            requires_plan: config::requires_plan(),
            ..Self::new(store, Clock::from_environment()?)
        })
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        self.store.connect().boxed()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        let mut beside = mem::take(&mut *lock(&self.beside));
        async move { while beside.join_next().await.is_some() {} }.boxed()
    }
}

impl App {
    /// Returns a context with default settings: there are no rate limits, webhooks to loopback addresses are
    /// refused, and accounts may have resources without a verified address.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            targets: TargetPolicy::default(),
            unverified: Unverified::Admitted,
            sends_mail: false,
            terms_version: String::new(),
            grace: GRACE,
            caps: Caps::default(),
            sessions: SessionLimits::default(),
            quotas: Quotas::default(),
            brake: None,
            requires_plan: false,
            clock,
            exhausted: Mutex::default(),
            braked: AtomicI64::default(),
            beside: Mutex::default(),
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a new UUIDv7 with the time `now`.
    #[must_use]
    pub fn new_id<T>(&self, now: Timestamp) -> Id<T> {
        Id::new(now, random())
    }

    /// Returns 256 random bits for a token or a webhook secret.
    #[must_use]
    pub fn new_secret(&self) -> [u8; 32] {
        random()
    }

    /// Returns a new random ticket, by which its holder can follow an erasure.
    #[must_use]
    pub fn new_ticket(&self) -> Ticket {
        Ticket::new(random())
    }

    /// Returns a random byte, for retry jitter and for the sampling of requests.
    #[must_use]
    pub fn random_byte(&self) -> u8 {
        let [byte] = random();
        byte
    }

    /// Refuses the request if the installation sends no mail.
    pub const fn require_mail(&self) -> Result<(), Error> {
        if self.sends_mail { Ok(()) } else { Err(Error::MailDisabled) }
    }

    /// Locks and returns the networks that this process knows to have exhausted a rate limit.
    pub fn exhausted(&self) -> MutexGuard<'_, ExhaustedNetworks> {
        lock(&self.exhausted)
    }

    /// Whether this process knows that operators have used up their limit of deletions within `hour` (the
    /// brake is on). It can then refuse a deletion without a write.
    #[must_use]
    pub fn is_braked(&self, hour: Hour) -> bool {
        self.braked.load(Ordering::Relaxed) == hour.0
    }

    /// Remembers that operators have used up their limit of deletions within `hour` (the brake is on).
    pub fn remember_brake(&self, hour: Hour) {
        self.braked.store(hour.0, Ordering::Relaxed);
    }

    /// Runs `work` concurrently with the request. If it fails, the failure is logged, and the request is not
    /// affected. The response is sent only after `work` is done, because Lambda may freeze the process
    /// afterwards; a response of the API waits for a second at most.
    pub fn beside(&self, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
        lock(&self.beside).spawn(async move {
            if let Err(error) = work.await {
                LogEntry::BackgroundWriteFailed { cause: Cause(&error) }.log();
            }
        });
    }

    /// Returns a new event about `customer`, caused by `actor` at `now`.
    #[must_use]
    pub fn event(
        &self,
        event_type: EventType,
        customer: Id<Customer>,
        subjects: Vec<Uuid>,
        actor: Actor,
        now: Timestamp,
    ) -> Event {
        Event { id: self.new_id(now), event_type, customer, subjects, hold: None, actor, time: now }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns bytes from the system's cryptographic random source.
#[expect(
    clippy::expect_used,
    reason = "without randomness there are no secrets: better to crash than to go on"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_sdk_dynamodb::config::BehaviorVersion;

    use super::*;

    #[test]
    fn the_brake_is_known_to_be_on_within_its_hour_only() {
        let config = aws_sdk_dynamodb::Config::builder();
        let config = config.behavior_version(BehaviorVersion::latest()).build();
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        let store = Store::new(client, String::new(), String::new(), String::new());
        let app = App::new(store, Clock::showing(Arc::new(Mutex::new(Timestamp::MAX))));
        assert!(!app.is_braked(Hour(5)));
        app.remember_brake(Hour(5));
        assert!(app.is_braked(Hour(5)));
        assert!(!app.is_braked(Hour(4)) && !app.is_braked(Hour(6)));
    }
}

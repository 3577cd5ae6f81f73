//! Delivery of events to webhooks under faults: three in ten calls fail at every hop, the stream loses some
//! events, and the bus duplicates and reorders them. No event may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use axum::Router;
use axum::body::Bytes;
use axum::http::{self, HeaderMap};
use sam_local::Tables;
use serde_json::{Value, json};
use shared::app::App;
use shared::bus::{Publisher, publish_overdue};
use shared::domain::Actor;
use shared::domain::Login;
use shared::domain::customer::Profile;
use shared::domain::delivery::Lane;
use shared::domain::erasure::Reason;
use shared::domain::event::EventType;
use shared::domain::gate::Party;
use shared::domain::lifecycle::{Command, GRACE};
use shared::domain::value::{FromText as _, Metadata, PasswordHash, WebhookMethod, WebhookUri};
use shared::domain::webhook::WebhookSecret;
use shared::domain::{Customer, Error, FirstAdmin, Id, Registration, Timestamp, Username};
use shared::lifecycle::transition;
use shared::platform::{Clock, Deadline};
use shared::store::Store;
use shared::store::customer::NewCustomer;
use shared::store::key;
use shared::webhook::{Deliverer, Sender, deliver_due, deliver_one};
use standardwebhooks::Webhook;

use crate::bus;
use crate::state::State;
use crate::world::{ACCOUNTS, ERASURES, OUTBOX};

const ACCOUNTS_MADE: u8 = 5;

/// A deadline that no run reaches, in milliseconds since 1970: in the year 2100.
const NEVER: u64 = 4_102_444_800_000;

/// A seeded pseudo-random generator.
#[derive(Clone)]
struct Chance(Arc<Mutex<u64>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// Returns the next number: xorshift64 (Marsaglia, 2003).
    fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn is(&self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

type Arrivals = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Starts a receiver that refuses three in ten webhooks, but none more than five times. Returns its URL and what it
/// accepts.
async fn receiver(chance: Chance) -> (String, Arrivals) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let seen = Arrivals::default();
    let taken = Arc::clone(&seen);
    let refused: Arc<Mutex<BTreeMap<String, u8>>> = Arc::default();
    let receive = async move |headers: HeaderMap, body: Bytes| {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let mut refused = refused.lock().unwrap();
        let times = refused.entry(id).or_default();
        if *times < 5 && chance.is(30) {
            *times += 1;
            return http::StatusCode::SERVICE_UNAVAILABLE;
        }
        taken.lock().unwrap().push((headers, body));
        http::StatusCode::NO_CONTENT
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(receive)).into_future());
    (url, seen)
}

/// A bus that fails one call in ten, refuses two in ten entries of the other calls, and sometimes duplicates an entry.
#[derive(Clone)]
struct Bus {
    chance: Chance,
    /// Accepted events that have not yet reached the function that delivers webhooks.
    taken: Arc<Mutex<Vec<Value>>>,
    /// Ids of all events that the bus has ever accepted.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

impl HttpConnector for Bus {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        bus::answer(self.put(request.body().bytes().unwrap()))
    }
}

impl Bus {
    fn put(&self, body: &[u8]) -> (u16, Value) {
        if self.chance.is(10) {
            return (500, json!({"__type": "InternalException"}));
        }
        let body: Value = serde_json::from_slice(body).unwrap();
        let put = |entry: &Value| {
            if self.chance.is(20) {
                return json!({"ErrorCode": "ThrottlingException"});
            }
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            self.told.lock().unwrap().insert(detail["id"].as_str().unwrap().to_owned());
            for _ in 0..=u8::from(self.chance.is(10)) {
                self.taken.lock().unwrap().push(detail.clone());
            }
            json!({"EventId": detail["id"]})
        };
        let results: Vec<_> = body["Entries"].as_array().unwrap().iter().map(put).collect();
        (200, json!({"FailedEntryCount": 0, "Entries": results}))
    }
}

/// Returns the handler context of a function in a process of its own.
fn app(tables: &Tables, dial: &Arc<Mutex<Timestamp>>, function: &str) -> App {
    let process = tables.process(function, "0");
    let retries = RetryPartition::custom("delivery").token_bucket(TokenBucket::unlimited());
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(
            RetryConfig::standard()
                .with_initial_backoff(Duration::from_micros(1))
                .with_max_backoff(Duration::from_micros(1)),
        )
        .retry_partition(retries.build())
        .http_client(process.http_client());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let [accounts, outbox, erasures] = [ACCOUNTS, OUTBOX, ERASURES].map(str::to_owned);
    let store = Store::new(client, accounts, outbox, erasures);
    App::new(store, Clock::showing(Arc::clone(dial)))
}

/// The contexts of the functions that write, each with its own permissions.
struct Writers {
    create: App,
    freeze: App,
    recover: App,
    set: App,
}

impl Writers {
    fn new(tables: &Tables, dial: &Arc<Mutex<Timestamp>>) -> Self {
        let app = |function| app(tables, dial, function);
        Self {
            create: app("CustomerCreateFunction"),
            freeze: app("CustomerFreezeFunction"),
            recover: app("CustomerRecoverFunction"),
            set: app("CustomerMetadataUpdateFunction"),
        }
    }

    /// Returns the context of the function that executes `command`.
    fn of(&self, command: &Command) -> &App {
        match command {
            Command::Freeze(..) => &self.freeze,
            Command::Recover(_) => &self.recover,
            _ => &self.set,
        }
    }
}

/// Maximum number of attempts at one operation. Three in ten calls fail; an operation that still fails after this many
/// attempts is taken never to succeed.
const MAX_TRIES: u32 = 100;

async fn account(app: &App, number: u8, url: &str) -> Customer {
    let now = app.now();
    let username = Username::from_text(&format!("test{number}")).unwrap();
    let admin = FirstAdmin { id: Id::new(now, [100 + number; 10]), username };
    let profile = Profile {
        webhook_method: Some(WebhookMethod::Post),
        webhook_uri: Some(WebhookUri::from_text(url).unwrap()),
        ..Profile::default()
    };
    let secret = WebhookSecret::new([number; 32]);
    let Registration { customer, admin } =
        Customer::register(Id::new(now, [number; 10]), profile, secret, admin, now);
    let login = Login::new(customer.id, &admin, PasswordHash::stored(String::new()));
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation: None };
    let event =
        app.event(EventType::CustomerCreated, customer.id, Vec::new(), Actor::BOOTSTRAP, now);
    for _ in 0..MAX_TRIES {
        if app.store.insert_customer(&new, &event).await.is_ok() {
            return customer;
        }
    }
    panic!("account {number} could not be created");
}

/// Executes a random command on the account, and repeats it until it is known to have succeeded.
async fn change(writers: &Writers, customer: &Customer, chance: &Chance) -> Customer {
    let command = match (customer.status.is_live(), chance.next() % 4) {
        (true, 0) => Command::Freeze(Reason::Unregister, GRACE),
        (true, one) => {
            Command::SetMetadata(Metadata { rtp_debug: Some(one == 1) }, Party::Operator)
        }
        (false, _) => Command::Recover(Party::Operator),
    };
    let app = writers.of(&command);
    let mut current = customer.clone();
    for _ in 0..MAX_TRIES {
        let result = transition(app, Actor::BOOTSTRAP, current.clone(), &command).await;
        if let Ok((_, after)) = result {
            return after;
        }
        if let Some(now) = read(app, customer).await {
            // The call had succeeded, but its answer was lost.
            if matches!(result, Err(Error::StateInvalid(_))) {
                return now;
            }
            current = now;
        }
    }
    panic!("{command:?} never succeeds");
}

async fn read(app: &App, customer: &Customer) -> Option<Customer> {
    let key = key::customer(customer.id);
    app.store.get_items(&[key.untyped()]).await.ok()?.get(&key).ok()?
}

/// Checks the signature of each received event, and that each account's sequence numbers are unique and without a gap.
/// Returns the ids of the events.
fn hear(arrivals: &[(HeaderMap, Bytes)], customers: &[Customer]) -> BTreeSet<String> {
    let mut heard: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (headers, body) in arrivals {
        let event: Value = serde_json::from_slice(body).unwrap();
        let owner = event["data"]["customer_id"].as_str().unwrap().to_owned();
        let known = customers.iter().find(|one| one.id.to_string() == owner).unwrap();
        let secret = known.internals.webhook_secret.clone().unwrap_or(WebhookSecret::new([0; 32]));
        let header = |name: &str| headers[name].to_str().unwrap();
        let signed = Webhook::new(secret.expose())
            .unwrap()
            .sign(header("webhook-id"), header("webhook-timestamp").parse().unwrap(), body)
            .unwrap();
        assert_eq!(header("webhook-signature"), signed);
        let id = header("webhook-id").to_owned();
        let place = event["sequence"].as_u64().unwrap();
        let first = heard.entry(owner).or_default().entry(place).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "two events have the same sequence number");
        ids.insert(id);
    }
    for (owner, sequence) in &heard {
        let (last, _) = sequence.last_key_value().unwrap();
        assert_eq!(sequence.len() as u64, *last, "a gap in the sequence of {owner}");
    }
    ids
}

/// Returns the tables of the template without items, the time at which a test starts, and a clock set to that time.
fn empty() -> (Tables, Timestamp, Arc<Mutex<Timestamp>>) {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let tables = Tables::from_template(&template).expect("the template's tables");
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let dial = Arc::new(Mutex::new(start));
    (tables, start, dial)
}

/// Returns the delivery lane (one account's deliveries to one host) of a host and a numbered account.
fn lane(start: Timestamp, host: &str, account: u8) -> Lane {
    Lane { host: host.to_owned(), customer: Id::new(start, [account; 10]) }
}

/// Concurrent attempts are limited per lane (one account's deliveries to one host), and per host for all its lanes
/// together.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_limited_per_account_and_host_and_in_all_per_host() {
    let (tables, start, dial) = empty();
    let app = app(&tables, &dial, "WebhookDeliverFunction");
    let lane = |host, account| lane(start, host, account);
    let begin = async |lane: &Lane, now| app.store.begin_attempt(lane, now).await.unwrap();

    // One account uses up its own share of the host's limit, but not that of others.
    let mut attempts = Vec::new();
    for account in 0..8 {
        for _ in 0..5 {
            attempts.extend(begin(&lane("shared.example", account), start).await);
        }
        for _ in 0..50 {
            assert_eq!(begin(&lane("shared.example", account), start).await, None);
        }
    }
    assert_eq!(attempts.len(), 40);
    // All accounts together have used up the host's limit, which does not affect another host.
    let ninth = lane("shared.example", 8);
    for _ in 0..10 {
        assert_eq!(begin(&ninth, start).await, None);
    }
    assert!(begin(&lane("other.example", 8), start).await.is_some());
    let one = lane("shared.example", 0);
    app.store.end_attempt(&one, attempts[0]).await.unwrap();
    assert!(begin(&ninth, start).await.is_some(), "what was refused holds nothing");

    // Timeouts are recorded for the account that had them, and slow down no other.
    app.store.record_timeout(&one, start).await.unwrap();
    let next = start.plus(Duration::from_mins(1));
    assert!(begin(&one, next).await.unwrap().is_lane_slow);
    assert!(!begin(&ninth, next).await.unwrap().is_lane_slow);
    assert!(!begin(&one, next.plus(Duration::from_mins(1))).await.unwrap().is_lane_slow);
}

/// A lane (one account's deliveries to one host) may make a quarter of the attempts per minute that its host
/// may get: four lanes at their limit use up the host's limit.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_within_a_minute_are_limited() {
    let (tables, start, dial) = empty();
    let app = app(&tables, &dial, "WebhookDeliverFunction");
    let mut made = Vec::new();
    for account in 0..5 {
        let lane = lane(start, "hook.example", account);
        let mut count = 0;
        while let Some(attempt) = app.store.begin_attempt(&lane, start).await.unwrap() {
            app.store.end_attempt(&lane, attempt).await.unwrap();
            count += 1;
        }
        made.push(count);
    }
    assert_eq!(made, [600, 600, 600, 600, 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how many is for the caller to say")]
async fn every_event_is_delivered_at_least_once_under_faults() {
    let transitions: usize =
        std::env::var("TENURE_TRANSITIONS").map_or(400, |text| text.parse().expect("a number"));
    let chance = Chance::new(0x5eed);
    let (tables, _, dial) = empty();
    let on_bus: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (url, arrivals) = receiver(chance.clone()).await;
    let writers = Writers::new(&tables, &dial);
    let on_bus_ever = Arc::default();
    let bus =
        Bus { chance: chance.clone(), taken: Arc::clone(&on_bus), told: Arc::clone(&on_bus_ever) };
    let publisher = app(&tables, &dial, "OutboxPublishFunction");
    let bus = shared::bus::Bus::new(bus::client(bus), "bus".to_owned());
    let publisher = Publisher::new(publisher, bus);
    let deliverer = app(&tables, &dial, "WebhookDeliverFunction");
    let deliverer = Deliverer::new(deliverer, Sender::loopback_only());
    let faults = ["throttle", "internal_error", "conflict"];
    let fault = |(seed, fault)| json!({"fault": fault, "probability": 0.12, "seed": seed});
    tables.set_faults(&faults.iter().enumerate().map(fault).collect()).unwrap();
    tables.set_contention(Duration::from_millis(10));

    let mut customers = Vec::new();
    for number in 0..ACCOUNTS_MADE {
        customers.push(account(&writers.create, number, &url).await);
    }
    for step in 0..transitions {
        let which = step % customers.len();
        customers[which] = change(&writers, &customers[which], &chance).await;
    }

    // The stream delivers nine in ten, in random order.
    let told = || {
        let snapshot = tables.snapshot().unwrap();
        let ids = snapshot.items(OUTBOX).map(|item| item["id"]["S"].as_str().unwrap().to_owned());
        ids.collect::<BTreeSet<_>>()
    };
    let all = told();
    let mut brought: Vec<_> = all.iter().filter(|_| !chance.is(10)).collect();
    brought.sort_by_cached_key(|_| chance.next());
    for batch in brought.chunks(10) {
        let ids: Vec<_> = batch.iter().map(|id| Id::parse(id).unwrap()).collect();
        // Lambda retries a failed batch; here it is left to the schedule.
        if let Ok(events) = publisher.app.store.get_events(&ids).await {
            publisher.publish(&events).await;
        }
    }
    // The bus delivers in random order, then the schedules run.
    let mut minutes = 0;
    loop {
        let mut events = std::mem::take(&mut *on_bus.lock().unwrap());
        events.sort_by_cached_key(|_| chance.next());
        for event in events {
            let id = |name: &str| event[name].as_str().unwrap().to_owned();
            let waiting = (Id::parse(&id("id")).unwrap(), Id::parse(&id("customer_id")).unwrap());
            let _ = deliver_one(&deliverer, waiting).await;
        }
        let snapshot = tables.snapshot().unwrap();
        if snapshot.items(OUTBOX).all(|item| item["due_pk"].is_null()) {
            break;
        }
        let now = *dial.lock().unwrap();
        // Follows the retry schedule: minutes at first, hours later.
        let pass = match minutes {
            ..20 => 61,
            20..50 => 900,
            _ => 3_600,
        };
        *dial.lock().unwrap() = now.plus(Duration::from_secs(pass));
        minutes += 1;
        assert!(minutes < 200 + transitions / 10, "an event is never delivered");
        let _ = publish_overdue(&publisher, Deadline::at(NEVER)).await;
        let _ = deliver_due(&deliverer, Deadline::at(NEVER)).await;
    }

    let snapshot = tables.snapshot().unwrap();
    for item in snapshot.items(OUTBOX) {
        assert_eq!(item["delivery"]["S"], "delivered", "{item}");
    }
    for customer in &customers {
        State::new(tables.snapshot().unwrap(), &customer.id.to_string()).check_markers();
    }
    let arrivals = arrivals.lock().unwrap();
    let ids = hear(&arrivals, &customers);
    assert_eq!(ids, all, "each at least once");
    assert_eq!(*on_bus_ever.lock().unwrap(), all, "each on the bus at least once");
    println!(
        "{} events of {transitions} transitions, {} arrivals, {minutes} runs of the schedules",
        all.len(),
        arrivals.len()
    );
}

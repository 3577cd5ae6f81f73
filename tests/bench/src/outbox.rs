//! A long test of the functions that publish events and deliver them to webhooks: events of many accounts are
//! written at a steady rate, and the test measures how long the oldest of them waits in the outbox.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use aws_sdk_dynamodb::{Client, Config};
use axum::Router;
use axum::http::StatusCode;
use sam_local::{Kept, OWNER, Options, Stack};
use serde::Serialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::domain::customer::Profile;
use shared::domain::event::EventType;
use shared::domain::owned::Kind;
use shared::domain::webhook::WebhookSecret;
use shared::domain::{Actor, Customer, Event, Id, Timestamp};
use shared::platform::clock::Clock;
use shared::platform::http_client;
use shared::store::Store;
use shared::store::outbox::{OutboxEntry, OutboxQueue};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::client::Api;
use crate::contestants::Places;
use crate::report::{date, machine, percentile, save};
use crate::{Outbox, Result, say};

const TABLES: [&str; 3] = ["AccountsTable", "OutboxTable", "ErasuresTable"];
const PUBLISHER: &str = "OutboxPublishFunction";

/// Number of items in one `BatchWriteItem` call: DynamoDB's maximum.
const BATCH: u64 = 25;
const STEP: usize = 25;

/// Maximum number of concurrent `BatchWriteItem` calls.
const CONCURRENT_WRITES: usize = 16;

/// Number of accounts with a webhook.
const SUBSCRIBERS: u32 = 50;

/// Number of events per second that one receiver is planned for: an eighth of the limit of webhook requests
/// to one host.
const PER_RECEIVER: u64 = 5;

/// Age from which the scheduled publisher publishes an event in the outbox. Until then, the event is left to
/// the publisher that the table's stream invokes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Number of seconds that one row of the report covers.
const INTERVAL: usize = 10;

/// A sample, taken once a second.
#[derive(Clone, Copy, Serialize)]
struct Second {
    /// Number of events written since the start.
    written: u64,
    /// Age of the oldest event that is not yet published to the bus, in milliseconds.
    age_ms: u64,
    /// Time for which the oldest delivery has been overdue, in milliseconds.
    overdue_ms: u64,
    /// Processor time of the machine at the end of the second.
    processors: Processors,
}

/// Processor time since the machine started, in clock ticks.
#[derive(Clone, Copy, Default, Serialize)]
struct Processors {
    all: u64,
    idle: u64,
    /// Steal time: processor time that the host gave to other virtual machines.
    stolen: u64,
}

impl Processors {
    /// Reads `/proc/stat` (proc(5)).
    fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
        let times: Vec<u64> = times.map(str::parse).collect::<std::result::Result<_, _>>()?;
        let [_, _, _, idle, wait, _, _, stolen] = times[..] else {
            return Err("/proc/stat has another form".into());
        };
        Ok(Self { all: times.iter().sum(), idle: idle + wait, stolen })
    }

    /// Returns percentages of the processor time since `before`: used by this machine, and stolen by others
    /// on the host.
    fn shares_since(self, before: Self) -> (u64, u64) {
        let all = (self.all - before.all).max(1);
        let percent = |part: u64| 100 * part / all;
        let stolen = self.stolen - before.stolen;
        (percent(all.saturating_sub(self.idle - before.idle + stolen)), percent(stolen))
    }
}

struct Soak<'a> {
    arguments: &'a Outbox,
    app: App,
    client: Client,
    /// Accounts with a webhook.
    subscribers: Vec<Customer>,
}

/// Writes events, samples the outbox, and writes `outbox.md` and `outbox.json`.
pub(crate) async fn run(arguments: &Outbox, places: &Places) -> Result<()> {
    let options = Options {
        parameters: [("WebhookAllowLoopback".to_owned(), "true".to_owned())].into(),
        // As many as `cargo local` keeps: all events would take 4 GB of memory.
        kept: Kept { log_lines: 1_000, events: 10_000, ..Kept::ALL },
        ..local::options(places.root.join("template.yaml"), &places.release)
    };
    let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
    let arrivals = Arrivals::default();
    let subscribers = subscribe(&Api::new(stack.url()), arguments, &arrivals).await?;
    let client = client(&stack)?;
    let [accounts, outbox, erasures] = TABLES.map(str::to_owned);
    let clock = Clock::from_environment().map_err(|error| error.cause().to_owned())?;
    let app = App::new(Store::new(client.clone(), accounts, outbox, erasures), clock);
    let soak = Soak { arguments, app, client, subscribers };

    let started = Instant::now();
    let written = AtomicU64::new(0);
    let (writing, seconds) =
        tokio::join!(soak.write(started, &written), soak.sample(started, &written));
    writing?;
    let seconds = seconds?;
    let is_settled = stack.settle().await;
    let calls = stack.stats()["functions"][PUBLISHER].clone();
    let left = soak.oldest_unpublished().await?;
    stack.stop().await;

    let written = written.into_inner();
    let delays = arrivals.delays();
    let text = markdown(arguments, &seconds, written, &delays, is_settled && left.is_none());
    let document = json!({
        "rate": arguments.rate,
        "delivered": arguments.delivered,
        "seconds": seconds,
        "written": written,
        "deliveries": delays.len(),
        "publisher": calls,
    });
    save(&arguments.out, "outbox", document, &text)
}

impl Soak<'_> {
    /// Writes events at the rate and for the time that the command line asks for.
    async fn write(&self, started: Instant, written: &AtomicU64) -> Result<()> {
        let time = Duration::from_secs(self.arguments.seconds);
        let mut ticks = interval(Duration::from_millis(25));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        while started.elapsed() < time {
            ticks.tick().await;
            let elapsed = u64::try_from(started.elapsed().as_millis())?;
            let target = self.arguments.rate * elapsed / 1_000;
            for first in (written.load(Relaxed)..target.saturating_sub(BATCH)).step_by(STEP) {
                let items = self.batch(first)?;
                let request = self.client.batch_write_item().request_items(TABLES[1], items);
                calls.spawn(request.send());
                written.store(first + BATCH, Relaxed);
                if calls.len() >= CONCURRENT_WRITES
                    && let Some(answer) = calls.join_next().await
                {
                    answer??;
                }
            }
        }
        while let Some(answer) = calls.join_next().await {
            answer??;
        }
        Ok(())
    }

    fn batch(&self, first: u64) -> Result<Vec<WriteRequest>> {
        let put = |number| -> Result<WriteRequest> {
            let item = serde_dynamo::to_item(self.entry(number))?;
            let put = PutRequest::builder().set_item(Some(item)).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        (first..first + BATCH).map(put).collect()
    }

    /// Returns the event with this number. Of each second's events, the first `delivered` belong to accounts
    /// with a webhook, the others each to a new account without one.
    fn entry(&self, number: u64) -> OutboxEntry {
        let now = self.app.now();
        let is_delivered = number % self.arguments.rate < self.arguments.delivered;
        let index = usize::try_from(number).unwrap_or_default() % self.subscribers.len();
        let account = if is_delivered {
            self.subscribers[index].clone()
        } else {
            Customer::blank(self.app.new_id(now), now)
        };
        let event = Event {
            id: self.app.new_id(now),
            event_type: EventType::Created(Kind::Number),
            customer: account.id,
            subjects: vec![self.app.new_id::<Event>(now).uuid()],
            hold: None,
            actor: Actor::PURGE,
            time: now,
        };
        OutboxEntry::of(&event, &account)
    }

    /// Samples the outbox once a second.
    async fn sample(&self, started: Instant, written: &AtomicU64) -> Result<Vec<Second>> {
        let time = Duration::from_secs(self.arguments.seconds);
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        let mut seconds = Vec::new();
        while started.elapsed() < time {
            ticks.tick().await;
            let now = self.app.now();
            let age = |since: Option<Timestamp>| {
                since.map_or(0, |since| {
                    u64::try_from(since.until(now).as_millis()).unwrap_or(u64::MAX)
                })
            };
            let second = Second {
                written: written.load(Relaxed),
                age_ms: age(self.oldest_unpublished().await?),
                overdue_ms: age(self.oldest_undelivered().await?),
                processors: Processors::read()?,
            };
            if seconds.len() % INTERVAL == 0 {
                say(&format!("{:4} s: {} ms", seconds.len(), second.age_ms));
            }
            seconds.push(second);
        }
        Ok(seconds)
    }

    async fn oldest_unpublished(&self) -> Result<Option<Timestamp>> {
        let (store, until) = (&self.app.store, self.app.now().plus(PATIENCE));
        let page = store.list_unpublished(OutboxQueue::Publish.beginning(), until).await;
        Ok(page.map_err(|error| error.cause().to_owned())?.oldest)
    }

    async fn oldest_undelivered(&self) -> Result<Option<Timestamp>> {
        let (store, now) = (&self.app.store, self.app.now());
        let page = store.list_undelivered(OutboxQueue::Deliver.beginning(), now).await;
        Ok(page.map_err(|error| error.cause().to_owned())?.oldest)
    }
}

fn client(stack: &Stack) -> Result<Client> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(OWNER, "bench", None, None, "bench"))
        .endpoint_url(stack.database_url())
        .http_client(http_client().map_err(|error| error.cause().to_owned())?)
        .build();
    Ok(Client::from_conf(config))
}

/// Delay of each delivery, from the event to its arrival at a receiver, in milliseconds.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<f64>>>);

impl Arrivals {
    /// Starts a receiver and returns its URL.
    async fn listen(&self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let arrivals = self.clone();
        let receive = async move |body: String| {
            arrivals.add(&body);
            StatusCode::NO_CONTENT
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(receive)).into_future());
        Ok(url)
    }

    fn add(&self, body: &str) {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let time = event["timestamp"].as_str().and_then(Timestamp::parse);
        if event["type"] == "number_created"
            && let (Some(time), Ok(now)) = (time, crate::world::now())
        {
            lock(&self.0).push(time.until(now).as_secs_f64() * 1_000.0);
        }
    }

    fn delays(&self) -> Vec<f64> {
        let mut delays = lock(&self.0).clone();
        delays.sort_by(f64::total_cmp);
        delays
    }
}

/// Creates [`SUBSCRIBERS`] accounts with a webhook, and as many receivers as are needed for each receiver to
/// get about [`PER_RECEIVER`] events per second.
async fn subscribe(api: &Api, arguments: &Outbox, arrivals: &Arrivals) -> Result<Vec<Customer>> {
    let operator = api.log_in_as_operator().await?;
    let mut urls = Vec::new();
    for _ in 0..=arguments.delivered / PER_RECEIVER {
        urls.push(arrivals.listen().await?);
    }
    let now = crate::world::now()?;
    let mut subscribers = Vec::new();
    for (number, url) in (0..SUBSCRIBERS).zip(urls.iter().cycle()) {
        let password = "correct horse battery staple";
        let username = format!("soak{number}");
        let webhook = json!({"webhook_method": "POST", "webhook_uri": url});
        let profile: Profile = serde_json::from_value(webhook.clone())?;
        let mut body = webhook;
        body["username"] = username.into();
        body["password"] = password.into();
        let created = api.post("/v1.0/customers", &operator, &body).await?;
        let id = created["id"].as_str().and_then(Id::parse).ok_or("no id")?;
        let mut customer = Customer::blank(id, now).with(profile);
        customer.internals.webhook_secret = Some(WebhookSecret::new([0; 32]));
        subscribers.push(customer);
    }
    Ok(subscribers)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn markdown(
    arguments: &Outbox,
    seconds: &[Second],
    written: u64,
    delays: &[f64],
    is_empty: bool,
) -> String {
    let mut text = format!(
        "{}, {}; {} events per second, {} of them with a webhook.\n\n{written} events written; at the end, {}. \
         {} deliveries: p50 {:.0} ms after the event, p99 {:.0} ms.\n\n",
        date(),
        machine(),
        arguments.rate,
        arguments.delivered,
        if is_empty { "none is left in the outbox" } else { "some are left in the outbox" },
        delays.len(),
        percentile(delays, 50),
        percentile(delays, 99),
    );
    text += "| seconds | events per second | oldest unpublished, ms: median | maximum | oldest overdue delivery, ms \
             | processors used | stolen by the host |\n|---|--:|--:|--:|--:|--:|--:|\n";
    let mut before = 0;
    let mut processors = seconds.first().map(|first| first.processors).unwrap_or_default();
    for (index, chunk) in seconds.chunks(INTERVAL).enumerate() {
        let Some(last) = chunk.last() else { continue };
        let mut ages: Vec<u64> = chunk.iter().map(|second| second.age_ms).collect();
        ages.sort_unstable();
        let overdue = chunk.iter().map(|second| second.overdue_ms).max().unwrap_or_default();
        let (used, stolen) = last.processors.shares_since(processors);
        let _ = writeln!(
            text,
            "| {}–{} | {} | {} | {} | {overdue} | {used} % | {stolen} % |",
            index * INTERVAL,
            index * INTERVAL + chunk.len(),
            (last.written - before) / chunk.len() as u64,
            ages[ages.len() / 2],
            ages[ages.len() - 1],
        );
        (before, processors) = (last.written, last.processors);
    }
    text
}

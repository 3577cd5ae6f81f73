//! Runs `template.yaml` on this machine: the real function binaries, an embedded `DynamoDB`, no AWS.
//!
//! [`Stack::start`] reads the template and plays what surrounds the functions on AWS. Requests take
//! this way through the modules:
//!
//! ```text
//! client ─► gateway ─► lambda (processes, Runtime API) ─► binary
//!                        ▲   ▲                              │ AWS SDK
//!             schedules ─┘   ├── events (rules) ◄───────── endpoint ─► dynamodb
//!                            └── streams ◄──────── writes ────────────────┘
//! ```
//!
//! `control` looks at all of them, moves the `clock` and waits for `activity` to end. What is in the
//! template is in the stack; what is missing there is missing here.

mod activity;
mod bootstrap;
mod clock;
mod console;
mod control;
mod data;
mod dynamodb;
mod endpoint;
mod events;
mod gateway;
mod lambda;
mod schedules;
mod state;
mod stats;
mod streams;
mod template;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use activity::Activity;
use clock::Clock;
use console::Console;
use control::Control;
pub use data::Data;
use data::Held;
use dynamodb::DynamoDb;
use events::Events;
use gateway::Gateway;
use lambda::{Lambda, Surroundings, runtime_api};
use schedules::Schedules;
use stats::Stats;
use streams::{Doorbell, Stream};
use template::Template;

/// The region and the account the stack pretends to be in.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// Largest body the functions may send: the most a `DynamoDB` request or a Lambda answer may have.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long requests under way may take to end when the stack stops.
const GRACE: Duration = Duration::from_secs(2);

/// How often expired items are swept in real time.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// The directory with the functions' binaries.
    pub binaries: PathBuf,
    /// Where data is kept.
    pub data: Data,
    /// Whether kept data is removed first.
    pub reset: bool,
    /// The port to listen on; 0 takes any.
    pub port: u16,
    /// Whether what the functions and the stack say is shown on stderr.
    pub echo: bool,
}

impl Options {
    /// A quiet stack on any port that keeps nothing: what a test wants.
    #[must_use]
    pub fn in_memory(template: impl Into<PathBuf>, binaries: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            binaries: binaries.into(),
            data: Data::InMemory,
            reset: false,
            port: 0,
            echo: false,
        }
    }
}

/// Why a stack cannot start or do what it was asked, in words for people.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Something wrong at a place in the template.
    fn at(path: &str, complaint: impl fmt::Display) -> Self {
        Self(format!("{path}: {complaint}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A running stack. Dropping it ends it, and every process it started.
pub struct Stack {
    url: String,
    control: Arc<Control>,
    api: JoinHandle<()>,
    /// Each ends when its sender says so or is dropped: first the API, then the processes.
    closing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    background: JoinSet<()>,
    _held: Option<Held>,
}

impl Stack {
    /// Starts a stack; it is ready when this returns.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.port).await?;
        let url = format!("http://{}", address(&listener)?);
        let template = Template::read(&options.template)?;
        let held = match &options.data {
            Data::InMemory => None,
            Data::Directory(directory) => Some(Held::hold(directory, options.reset)?),
        };
        let directory = held.as_ref().map(Held::directory);

        let inside = listen(0).await?;
        let closing = watch::Sender::new(false);
        let stopping = watch::Sender::new(false);
        let clock = Arc::new(Clock::open(directory)?);
        let console = Arc::new(Console::new(options.echo));
        let activity = Activity::new();
        let ids = template
            .functions
            .iter()
            .map(|function| function.id.clone());
        let stats = Arc::new(Stats::new(ids));
        let surroundings = Surroundings {
            binaries: options.binaries,
            address: address(&inside)?,
            clock: Arc::clone(&clock),
            stats: Arc::clone(&stats),
            console: Arc::clone(&console),
            activity: Arc::clone(&activity),
            stopping: stopping.subscribe(),
        };
        let lambda = Lambda::new(template.functions, surroundings)?;
        let doorbells: Vec<_> = template
            .streams
            .iter()
            .map(|_| Doorbell::new(&activity))
            .collect();
        let dynamodb = DynamoDb::open(
            template.tables,
            directory,
            Arc::clone(&stats),
            doorbells.clone(),
        )?;
        let (rules, buses) = (template.rules, template.buses);
        let events = Events::new(buses, rules, Arc::clone(&lambda), Arc::clone(&clock));
        let schedules = Schedules::new(template.schedules, Arc::clone(&clock), Arc::clone(&lambda));
        let schedules = Arc::new(schedules);
        let gateway = Gateway::new(template.routes, Arc::clone(&lambda), Arc::clone(&clock));

        let mut background = JoinSet::new();
        let inside_routes = runtime_api::router(Arc::clone(&lambda))
            .merge(endpoint::router(Arc::clone(&dynamodb), Arc::clone(&events)))
            .layer(DefaultBodyLimit::max(MOST_BYTES));
        background.spawn(serve(inside, inside_routes, stopping.subscribe()));
        for (mapping, doorbell) in template.streams.into_iter().zip(doorbells) {
            let stream = Stream {
                file: directory.map(|directory| Stream::file(directory, &mapping)),
                mapping,
                doorbell,
                dynamodb: Arc::clone(&dynamodb),
                lambda: Arc::clone(&lambda),
                activity: Arc::clone(&activity),
                console: Arc::clone(&console),
            };
            background.spawn(stream.run());
        }
        background.spawn(Arc::clone(&schedules).run());
        background.spawn(sweep(Arc::clone(&dynamodb), Arc::clone(&clock)));

        if bootstrap::run(&lambda).await? {
            let (username, password) = (bootstrap::USERNAME, bootstrap::PASSWORD);
            console.say(&format!(
                "log in: curl {url}/auth/login -H 'content-type: application/json' \
                 -d '{{\"username\": \"{username}\", \"password\": \"{password}\"}}'"
            ));
        }
        let control = Arc::new(Control {
            lambda,
            dynamodb,
            events,
            schedules,
            clock,
            stats,
            activity,
            console,
        });
        let routes = control::router(Arc::clone(&control))
            .merge(Router::new().fallback(gateway::handle).with_state(gateway));
        let api = tokio::spawn(serve(listener, routes, closing.subscribe()));
        Ok(Self {
            url,
            control,
            api,
            closing,
            stopping,
            background,
            _held: held,
        })
    }

    /// Where the stack listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every line the functions wrote so far.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.control.console.lines()
    }

    /// What each function cost so far, as `GET /_local/stats` shows it.
    #[must_use]
    pub fn stats(&self) -> Value {
        self.control.stats.report()
    }

    /// Forgets what the functions cost so far.
    pub fn reset_stats(&self) {
        self.control.stats.reset();
    }

    /// Every event that reached a bus: `{"bus", "rules", "event"}`, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.control.events.seen()
    }

    /// Moves virtual time forward, as `POST /_local/clock` does.
    pub async fn advance_clock(&self, seconds: i64) -> Result<Value, Error> {
        self.control.advance(seconds).await
    }

    /// Waits until streams are drained and no asynchronous invocation runs; false if that takes
    /// more than half a minute.
    pub async fn settle(&self) -> bool {
        self.control.settle().await
    }

    /// Stops: requests under way end, then every process.
    pub async fn stop(mut self) {
        self.closing.send_replace(true);
        // Requests that take longer than this are cut off.
        let _ = tokio::time::timeout(GRACE, &mut self.api).await;
        self.stopping.send_replace(true);
        self.control.lambda.ended().await;
        self.background.shutdown().await;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.api.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener, Error> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::new(format!(
            "port {port} is in use; choose another with --port, or 0 for any"
        )),
        _ => Error::new(format!("cannot listen on port {port}: {error}")),
    };
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(failed)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::new(error.to_string()))
}

async fn serve(listener: TcpListener, routes: Router, mut end: watch::Receiver<bool>) {
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let signal = async move {
        // Also over when its sender is gone.
        let _ = end.wait_for(|end| *end).await;
    };
    // Serving never fails by itself: a connection that breaks is its own affair.
    let _ = axum::serve(listener, service)
        .with_graceful_shutdown(signal)
        .await;
}

async fn sweep(dynamodb: Arc<DynamoDb>, clock: Arc<Clock>) {
    let mut period = tokio::time::interval(SWEEP_PERIOD);
    loop {
        period.tick().await;
        // What could not be swept now is swept the next time.
        let _ = dynamodb.sweep(clock.now().as_second()).await;
    }
}

/// Takes a lock. What is behind the stack's locks stays usable if a holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

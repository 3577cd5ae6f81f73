//! A stack as a whole: putting its parts together, serving them, and ending them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, serve::ListenerExt};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    Data, Error,
    activity::Activity,
    bootstrap,
    clock::Clock,
    console::Console,
    control::{self, Control},
    data::Held,
    docs,
    dynamodb::DynamoDb,
    endpoint,
    events::Events,
    gateway::{self, Gateway},
    kms::Kms,
    lambda::{Lambda, Surroundings, runtime_api},
    permissions::Permissions,
    schedules::Schedules,
    stats::Stats,
    streams::{Doorbell, Stream},
    template::Template,
};

/// Largest body the functions may send: the most a `DynamoDB` request or a Lambda answer may have.
pub(crate) const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long requests under way may take to end when the stack stops.
const GRACE: Duration = Duration::from_secs(2);

/// What a table that is near takes to answer.
const LATENCY: Duration = Duration::from_millis(4);

/// How often expired items are swept in real time.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// The template's parameters that are not to be as by default, by name.
    pub parameters: BTreeMap<String, String>,
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
    /// How many lines of the functions' logs are kept, the last ones.
    pub log_lines: usize,
    /// How long the database holds back each answer. The embedded one answers in a fraction of a
    /// millisecond, a real table takes a few. Calls that a function makes side by side must be under way
    /// side by side here too, or else they would count as round trips in sequence.
    pub latency: Duration,
    /// The only host names that the functions can resolve when they send to the outside, and to which
    /// addresses. Whatever these are, functions of this stack connect to the machine itself only.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
}

impl Options {
    /// A quiet stack on any port that keeps nothing: what a test wants.
    #[must_use]
    pub fn in_memory(template: impl Into<PathBuf>, binaries: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            parameters: BTreeMap::new(),
            binaries: binaries.into(),
            data: Data::InMemory,
            reset: false,
            port: 0,
            echo: false,
            log_lines: usize::MAX,
            latency: LATENCY,
            hosts: BTreeMap::new(),
        }
    }
}

/// A running stack. Dropping it ends it, and every process it started.
pub struct Stack {
    url: String,
    database_url: String,
    routes: Vec<String>,
    control: Arc<Control>,
    api: JoinHandle<()>,
    /// Each ends its part when it becomes true or is dropped: first the API, then the processes.
    closing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    background: JoinSet<()>,
    _held: Option<Held>,
}

/// What the functions of a stack leave behind where others see it.
pub struct Sinks(Arc<Control>);

impl Sinks {
    /// Every line the functions wrote so far.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.0.console.lines()
    }

    /// Every event that reached a bus.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.0.events.seen()
    }

    /// Every event that was given up.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Value> {
        self.0.activity.dead_letters()
    }

    /// What the functions may do and did, as `GET /_local/permissions` shows it.
    #[must_use]
    pub fn permissions(&self) -> Value {
        self.0.permissions.report()
    }

    /// All items of the table with this logical id. Waits for the database on this thread.
    pub fn items(&self, table: &str) -> Result<Vec<Value>, Error> {
        let items = self.0.dynamodb.items_at_once(table);
        items.unwrap_or_else(|| Err(Error::new(format!("template.yaml has no table {table}"))))
    }
}

/// The parts of a stack that serve others.
struct Parts {
    control: Arc<Control>,
    gateway: Arc<Gateway>,
    kms: Arc<Kms>,
    streams: Vec<Stream>,
}

impl Stack {
    /// Starts a stack; it is ready when this returns.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.port).await?;
        let url = format!("http://{}", address(&listener)?);
        let template = Template::read(&options.template, &options.parameters)?;
        let docs = docs::router()?;
        let held = match &options.data {
            Data::InMemory => None,
            Data::Directory(directory) => Some(Held::hold(directory, options.reset)?),
        };
        let inside = listen(0).await?;
        let database_url = format!("http://{}", address(&inside)?);
        let stopping = watch::Sender::new(false);
        let clock = Arc::new(Clock::open(held.as_ref().map(Held::directory))?);
        let surroundings = Surroundings {
            binaries: options.binaries,
            address: address(&inside)?,
            hosts: json!(options.hosts).to_string(),
            clock,
            stats: Arc::new(Stats::new(template.functions.iter().map(|one| one.id.clone()))),
            console: Arc::new(Console::new(options.echo, options.log_lines)),
            activity: Activity::new(),
            stopping: stopping.subscribe(),
        };
        let directory = held.as_ref().map(Held::directory);
        let mut parts = Parts::assemble(template, surroundings, directory, options.latency)?;
        let background = parts.run(inside, stopping.subscribe());
        let Parts { control, gateway, .. } = parts;
        bootstrap(&control, &url).await?;
        let closing = watch::Sender::new(false);
        let routes = gateway.routes();
        let endpoints = control::router(Arc::clone(&control))
            .merge(docs)
            .merge(Router::new().fallback(gateway::handle).with_state(gateway));
        let api = tokio::spawn(serve(listener, endpoints, closing.subscribe()));
        Ok(Self {
            url,
            database_url,
            routes,
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

    /// Where the functions find DynamoDB and KMS: tables and keys are named by their logical ids. The
    /// access key says who calls: a function, by its logical id, or [`OWNER`](crate::OWNER).
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The routes of the API, such as `GET /pets/{id}` or `$default`.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// Logical ids of all tables.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        self.control.dynamodb.table_ids()
    }

    /// What the functions leave behind, to be looked at also when the stack has ended.
    #[must_use]
    pub fn sinks(&self) -> Sinks {
        Sinks(Arc::clone(&self.control))
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

impl Parts {
    fn assemble(
        template: Template,
        surroundings: Surroundings,
        directory: Option<&Path>,
        latency: Duration,
    ) -> Result<Self, Error> {
        let clock = Arc::clone(&surroundings.clock);
        let stats = Arc::clone(&surroundings.stats);
        let console = Arc::clone(&surroundings.console);
        let activity = Arc::clone(&surroundings.activity);
        let permissions = Permissions::new(&template.functions, Arc::clone(&console));
        let lambda = Lambda::new(template.functions, surroundings)?;
        let doorbells: Vec<_> = template.streams.iter().map(|_| Doorbell::new(&activity)).collect();
        let dynamodb = DynamoDb::open(
            template.tables,
            directory,
            Arc::clone(&stats),
            Arc::clone(&permissions),
            doorbells.clone(),
            latency,
        )?;
        let kms = Arc::new(Kms::open(template.keys, directory)?);
        let (buses, rules) = (template.buses, template.rules);
        let events = Events::new(buses, rules, Arc::clone(&lambda), Arc::clone(&clock));
        let resumed = directory.is_some();
        let schedules =
            Schedules::new(template.schedules, Arc::clone(&clock), Arc::clone(&lambda), resumed);
        let gateway = Gateway::new(template.routes, Arc::clone(&lambda), Arc::clone(&clock));
        let stream = |(mapping, doorbell)| Stream {
            file: directory.map(|directory| Stream::file(directory, &mapping)),
            mapping,
            doorbell,
            dynamodb: Arc::clone(&dynamodb),
            lambda: Arc::clone(&lambda),
            activity: Arc::clone(&activity),
            console: Arc::clone(&console),
        };
        let streams = template.streams.into_iter().zip(doorbells).map(stream).collect();
        let control = Control {
            lambda,
            dynamodb,
            events,
            schedules,
            clock,
            stats,
            permissions,
            activity,
            console,
        };
        Ok(Self { control: Arc::new(control), gateway, kms, streams })
    }

    /// Starts what works without being asked, and what the functions call.
    fn run(&mut self, inside: TcpListener, stopping: watch::Receiver<bool>) -> JoinSet<()> {
        let Control { lambda, dynamodb, events, schedules, clock, stats, permissions, .. } =
            &*self.control;
        let services = endpoint::Services {
            dynamodb: Arc::clone(dynamodb),
            events: Arc::clone(events),
            kms: Arc::clone(&self.kms),
            stats: Arc::clone(stats),
            permissions: Arc::clone(permissions),
            lambda: Arc::clone(lambda),
        };
        let routes = runtime_api::router(Arc::clone(lambda))
            .merge(endpoint::router(services))
            .layer(DefaultBodyLimit::max(MOST_BYTES));
        let mut background = JoinSet::new();
        background.spawn(serve(inside, routes, stopping));
        background.spawn(Arc::clone(schedules).run());
        background.spawn(sweep(Arc::clone(dynamodb), Arc::clone(clock)));
        for stream in self.streams.drain(..) {
            background.spawn(stream.run());
        }
        background
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.api.abort();
    }
}

/// Makes the first admin and says how to log in.
async fn bootstrap(control: &Control, url: &str) -> Result<(), Error> {
    if bootstrap::run(&control.lambda).await? {
        let (username, password) = (bootstrap::USERNAME, bootstrap::PASSWORD);
        control.console.say(&format!(
            "log in: curl {url}/auth/login -H 'content-type: application/json' \
             -d '{{\"username\": \"{username}\", \"password\": \"{password}\"}}'"
        ));
    }
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener, Error> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Error::new(format!("port {port} is in use; choose another with --port, or 0 for any"))
        }
        _ => Error::new(format!("cannot listen on port {port}: {error}")),
    };
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::new(error.to_string()))
}

async fn serve(listener: TcpListener, routes: Router, mut end: watch::Receiver<bool>) {
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let signal = async move {
        // Also over when its sender is gone.
        let _ = end.wait_for(|end| *end).await;
    };
    // Small answers must not wait for the acknowledgement of earlier ones.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    // Serving never fails by itself: a connection that breaks is its own affair.
    let _ = axum::serve(listener, service).with_graceful_shutdown(signal).await;
}

async fn sweep(dynamodb: Arc<DynamoDb>, clock: Arc<Clock>) {
    let mut period = tokio::time::interval(SWEEP_PERIOD);
    loop {
        period.tick().await;
        // What could not be swept now is swept the next time.
        let _ = dynamodb.sweep(clock.now().as_second()).await;
    }
}

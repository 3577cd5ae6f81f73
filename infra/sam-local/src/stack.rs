//! A running stack: assembles the emulated services, serves them, and stops them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, middleware, serve::ListenerExt};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    activity::{Activity, Doorbell},
    clock::Clock,
    console::Console,
    control::{self, Control},
    data::{Data, DataDirectory},
    dynamodb::DynamoDb,
    endpoint::{self, MAX_BYTES},
    error::Error,
    events::Events,
    gateway::{self, Gateway},
    host,
    iam::Permissions,
    kms::Kms,
    lambda::{Functions, Surroundings, runtime_api},
    options::{Invocation, Kept, Options},
    schedules::Schedules,
    ses::Ses,
    stats::Stats,
    streams::Stream,
    template::{self, Template},
};

/// Time that requests in progress have to finish when the stack stops.
const GRACE: Duration = Duration::from_secs(2);

/// Interval at which expired items are deleted. They are also deleted whenever virtual time is moved. The
/// interval is long because each deletion reads whole tables; DynamoDB itself may take days.
const SWEEP_PERIOD: Duration = Duration::from_hours(1);

/// A running stack. Dropping it ends the stack and every process that it started.
pub struct Stack {
    url: String,
    database_url: String,
    routes: Vec<String>,
    control: Arc<Control>,
    api: JoinHandle<()>,
    /// Stop signal of the API: it ends once the value is true or the sender is dropped. After that,
    /// `stopping` ends the function processes and the endpoint that they call.
    closing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    background: JoinSet<()>,
    _directory: Option<DataDirectory>,
}

/// Access to the output of a stack's functions (logs, events, dead letters, items) and to the permissions
/// that they used. It still works after the stack has ended.
pub struct Sinks(Arc<Control>);

impl Sinks {
    /// Returns the lines that the functions wrote so far.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.0.console.lines()
    }

    /// Returns the events that were put on a bus, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.0.events.seen()
    }

    /// Returns the dead letters, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Value> {
        self.0.activity.dead_letters()
    }

    /// Returns the permissions of the functions, as `GET /_local/permissions` shows them.
    #[must_use]
    pub fn permissions(&self) -> Value {
        self.0.permissions.report()
    }

    /// Returns all items of the table with this logical id. Blocks the calling thread.
    pub fn items(&self, table: &str) -> Result<Vec<Value>, Error> {
        let items = self.0.dynamodb.items_blocking(table);
        items.unwrap_or_else(|| Err(Error::new(format!("the template has no table {table}"))))
    }
}

/// The parts of a stack, assembled but not yet running.
struct Parts {
    control: Arc<Control>,
    gateway: Arc<Gateway>,
    kms: Arc<Kms>,
    streams: Vec<Stream>,
}

impl Stack {
    /// Starts a stack, which is ready when this returns.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listener = listen(options.port).await?;
        let url = format!("http://{}", address(&listener)?);
        let template = template::read(&options.template, &options.parameters)?;
        let directory = match &options.data {
            Data::InMemory => None,
            Data::Directory(path) => Some(DataDirectory::lock(path, options.reset)?),
        };
        let inside = listen(0).await?;
        let database_url = format!("http://{}", address(&inside)?);
        let stopping = watch::Sender::new(false);
        let path = directory.as_ref().map(DataDirectory::path);
        let functions = template.functions.iter().map(|one| one.id.clone());
        let surroundings = Surroundings {
            binaries: options.binaries,
            address: address(&inside)?,
            environment: options.environment,
            clock_variable: options.clock_variable,
            clock: Arc::new(Clock::open(path)?),
            stats: Arc::new(Stats::new(functions, options.log_fields)),
            console: Arc::new(Console::new(options.echo, options.kept.log_lines)),
            activity: Activity::new(options.kept.dead_letters),
            stopping: stopping.subscribe(),
        };
        report_unsupported(&template, &surroundings.console);
        let mut parts = Parts::assemble(template, surroundings, path, options.kept)?;
        let background = parts.run(inside, stopping.subscribe());
        let Parts { control, gateway, .. } = parts;
        control.dynamodb.set_latency(options.latency);
        control.dynamodb.set_contention(options.contention);
        for invocation in options.setup {
            set_up(&control.functions, invocation).await?;
        }
        let closing = watch::Sender::new(false);
        let routes = gateway.routes();
        let endpoints = control::router(Arc::clone(&control))
            .merge(options.routes)
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
            _directory: directory,
        })
    }

    /// Returns the URL at which the stack listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL at which DynamoDB, EventBridge, KMS and SES are called. The access key id in a call's
    /// credentials names the caller: a function by its logical id, or [`OWNER`](crate::OWNER).
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Returns the routes of the API, such as `GET /pets/{id}` or `$default`.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// Returns the logical ids of all tables.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        self.control.dynamodb.table_ids()
    }

    /// Returns access to the functions' output, which still works after the stack has ended.
    #[must_use]
    pub fn sinks(&self) -> Sinks {
        Sinks(Arc::clone(&self.control))
    }

    /// Returns the lines that the functions wrote so far.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.control.console.lines()
    }

    /// Returns the counters of the functions, as `GET /_local/stats` shows them.
    #[must_use]
    pub fn stats(&self) -> Value {
        self.control.stats.report()
    }

    /// Resets the counters of the functions.
    pub fn reset_stats(&self) {
        self.control.stats.reset();
    }

    /// Returns the events that were put on a bus, oldest first, as `{"bus", "rules", "event"}`; `rules` are
    /// the ids of the rules that matched.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.control.events.seen()
    }

    /// Returns a receiver of the events that are put on a bus from now on, each in the form that event
    /// patterns are matched against. A receiver that falls more than 1,024 events behind misses the oldest.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Value> {
        self.control.events.listen()
    }

    /// Returns the messages that were sent, as `GET /_local/mail` shows them.
    #[must_use]
    pub fn mail(&self) -> Vec<Value> {
        self.control.ses.sent()
    }

    /// Turns the echo of log lines on stderr on or off.
    pub fn set_echo(&self, echo: bool) {
        self.control.console.set_echo(echo);
    }

    /// From now on, keeps every transaction in flight for `time`; see [`Options::contention`].
    pub fn set_contention(&self, time: Duration) {
        self.control.dynamodb.set_contention(time);
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

    /// Stops the stack: waits up to two seconds for requests in progress, then ends every process.
    pub async fn stop(mut self) {
        self.closing.send_replace(true);
        // Requests that take longer than this are cut off.
        let _ = tokio::time::timeout(GRACE, &mut self.api).await;
        self.stopping.send_replace(true);
        self.control.functions.ended().await;
        self.background.shutdown().await;
    }
}

impl Parts {
    fn assemble(
        template: Template,
        surroundings: Surroundings,
        directory: Option<&Path>,
        kept: Kept,
    ) -> Result<Self, Error> {
        let clock = Arc::clone(&surroundings.clock);
        let stats = Arc::clone(&surroundings.stats);
        let console = Arc::clone(&surroundings.console);
        let activity = Arc::clone(&surroundings.activity);
        let permissions = Permissions::new(&template.functions, Arc::clone(&console));
        let functions = Functions::new(template.functions, surroundings)?;
        let doorbells: Vec<_> = template.streams.iter().map(|_| Doorbell::new(&activity)).collect();
        let dynamodb = DynamoDb::open(
            template.tables,
            directory,
            Arc::clone(&stats),
            Arc::clone(&permissions),
            doorbells.clone(),
        )?;
        let kms = Arc::new(Kms::open(template.keys, directory)?);
        let (buses, rules) = (template.buses, template.rules);
        let events =
            Events::new(buses, rules, Arc::clone(&functions), Arc::clone(&clock), kept.events);
        let resumed = directory.is_some();
        let schedules =
            Schedules::new(template.schedules, Arc::clone(&clock), Arc::clone(&functions), resumed);
        let (routes, cors) = (template.routes, template.cors);
        let gateway = Gateway::new(routes, cors, Arc::clone(&functions), Arc::clone(&clock));
        let stream = |(mapping, doorbell)| Stream {
            file: directory.map(|directory| Stream::file(directory, &mapping)),
            mapping,
            doorbell,
            dynamodb: Arc::clone(&dynamodb),
            functions: Arc::clone(&functions),
            activity: Arc::clone(&activity),
            console: Arc::clone(&console),
        };
        let streams = template.streams.into_iter().zip(doorbells).map(stream).collect();
        let ses = Ses::new(Arc::clone(&clock), kept.mail);
        let control = Control {
            functions,
            dynamodb,
            events,
            schedules,
            clock,
            stats,
            permissions,
            activity,
            console,
            ses,
        };
        Ok(Self { control: Arc::new(control), gateway, kms, streams })
    }

    /// Starts the background tasks: the endpoint that functions call, schedules, streams, and the deletion of
    /// expired items.
    fn run(&mut self, inside: TcpListener, stopping: watch::Receiver<bool>) -> JoinSet<()> {
        let Control {
            functions, dynamodb, events, schedules, clock, stats, permissions, ses, ..
        } = &*self.control;
        let services = endpoint::Services {
            dynamodb: Arc::clone(dynamodb),
            events: Arc::clone(events),
            kms: Arc::clone(&self.kms),
            ses: Arc::clone(ses),
            stats: Arc::clone(stats),
            permissions: Arc::clone(permissions),
            functions: Arc::clone(functions),
        };
        let routes = runtime_api::router(Arc::clone(functions))
            .merge(endpoint::router(services))
            .layer(DefaultBodyLimit::max(MAX_BYTES));
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

/// Makes an invocation of [`Options::setup`]. Does nothing if the template lacks the function.
async fn set_up(functions: &Arc<Functions>, invocation: Invocation) -> Result<(), Error> {
    let Invocation { function, payload } = invocation;
    if !functions.has(&function) {
        return Ok(());
    }
    let result = functions.invoke(&function, payload.to_string().into()).await;
    result.map(drop).map_err(|failure| {
        let payload = failure.payload();
        let why = payload["errorMessage"].as_str().unwrap_or_default();
        Error::new(format!("{function}, which sets the stack up, failed: {why}"))
    })
}

/// Lists on the console the parts of the template that have an effect on AWS but are not emulated.
fn report_unsupported(template: &Template, console: &Console) {
    if !template.unsupported.is_empty() {
        console.say(&format!("not supported here: {}", template.unsupported.join(", ")));
    }
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
    let routes = routes.layer(middleware::from_fn(host::refuse_others));
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let signal = async move {
        // A dropped sender ends it too.
        let _ = end.wait_for(|end| *end).await;
    };
    // No delay for small answers (Nagle's algorithm).
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    // Serving never fails: an error ends its connection only.
    let _ = axum::serve(listener, service).with_graceful_shutdown(signal).await;
}

async fn sweep(dynamodb: Arc<DynamoDb>, clock: Arc<Clock>) {
    let mut period = tokio::time::interval(SWEEP_PERIOD);
    loop {
        period.tick().await;
        // A failed sweep is repeated the next time.
        let _ = dynamodb.sweep(clock.now().as_second()).await;
    }
}

//! Emulates a template's tables without running its functions. An SDK in the same process calls the tables
//! through [`Process::http_client`], without a socket; other processes call them through [`Tables::router`],
//! wherever that is served.

use std::{
    collections::BTreeMap,
    fmt,
    future::pending,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
            http_client_fn,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    response::Response,
    routing::post,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    console::Console,
    dynamodb::{Answer, Copy, DynamoDb, Footprint, Phase, Reply},
    endpoint::{self, MAX_BYTES},
    error::Error,
    iam::{Caller, OWNER, Permissions},
    kms::Kms,
    stats::Stats,
    sync::lock,
    template,
};

/// The template's tables, in memory.
#[derive(Clone)]
pub struct Tables(Arc<Inner>);

struct Inner {
    dynamodb: Arc<DynamoDb>,
    permissions: Arc<Permissions>,
    stats: Arc<Stats>,
    /// Environment variables of each function, from the template.
    environments: BTreeMap<String, BTreeMap<String, String>>,
    /// KMS. Its calls are not held, and faults do not affect them.
    kms: Kms,
    calls: Mutex<Vec<Call>>,
    /// The gate at which calls wait until a test releases them; `None`: calls do not wait.
    gate: Mutex<Option<Gate>>,
}

/// The gate at which calls of `DynamoDB` wait until a test releases them.
#[derive(Clone)]
struct Gate {
    held: mpsc::UnboundedSender<Held>,
    /// Whether a transaction waits twice, once before each of its phases.
    has_phases: bool,
}

impl Gate {
    /// Hands the call to the test as a [`Held`], and waits until the test releases it. If the test has
    /// dropped its receiver of held calls, the call proceeds; if the test drops the [`Held`], the call never
    /// gets a reply.
    async fn wait(&self, call: &Call, phase: Phase) {
        let (release, released) = oneshot::channel();
        let held = Held { call: call.clone(), phase, release };
        if self.held.send(held).is_ok() && released.await.is_err() {
            pending::<()>().await;
        }
    }
}

/// A copy of all items of all tables.
pub struct Snapshot(Copy);

/// A stand-in for a function's process: it calls the tables from within this program, and a fault may kill it.
#[derive(Clone)]
pub struct Process {
    tables: Tables,
    function: String,
    id: String,
    killed: watch::Sender<bool>,
}

/// A call to `DynamoDB`.
#[derive(Clone)]
pub struct Call {
    /// Logical id of the calling function.
    pub function: String,
    /// Id of the calling process.
    pub process: String,
    /// The operation, such as `GetItem`.
    pub operation: String,
    body: Value,
}

/// A held call: it waits until the test [releases](Self::release) it. Dropping this leaves the caller waiting
/// for ever.
pub struct Held {
    /// The call that waits.
    pub call: Call,
    /// The point in the call at which it waits.
    phase: Phase,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Lets the call go on.
    pub fn release(self) {
        // Fails if the caller no longer waits.
        let _ = self.release.send(());
    }
}

impl Tables {
    /// Creates empty tables from the template at `path`. Their streams are left out, because nothing reads them here.
    pub fn from_template(path: &Path) -> Result<Self, Error> {
        let mut template = template::read(path, &BTreeMap::new())?;
        for table in &mut template.tables {
            if let Some(request) = table.request.as_object_mut() {
                request.remove("StreamSpecification");
            }
        }
        // Shows refusals by IAM.
        let console = Arc::new(Console::new(true, 0));
        let permissions = Permissions::new(&template.functions, console);
        let environments: BTreeMap<_, _> =
            template.functions.into_iter().map(|one| (one.id, one.environment)).collect();
        let counted = environments.keys().cloned().chain([OWNER.to_owned()]);
        let stats = Arc::new(Stats::new(counted, Vec::new()));
        let (may, counting) = (Arc::clone(&permissions), Arc::clone(&stats));
        let dynamodb = DynamoDb::open(template.tables, None, counting, may, Vec::new())?;
        let kms = Kms::open(template.keys, None)?;
        let (calls, gate) = (Mutex::default(), Mutex::default());
        let inner = Inner { dynamodb, permissions, stats, environments, kms, calls, gate };
        Ok(Self(Arc::new(inner)))
    }

    /// Returns the environment variables of the function with this logical id, from the template.
    #[must_use]
    pub fn environment(&self, function: &str) -> BTreeMap<String, String> {
        self.0.environments.get(function).cloned().unwrap_or_default()
    }

    /// Returns routes for calling `DynamoDB` and KMS over HTTP. The access key id in a call's credentials
    /// names the caller: a function by its logical id, or [`OWNER`]. Calls over HTTP are counted, and
    /// [`Tables::hold_calls`] does not hold them.
    pub fn router(&self) -> Router {
        let body = DefaultBodyLimit::max(MAX_BYTES);
        Router::new().route("/", post(call)).layer(body).with_state(self.clone())
    }

    /// Returns the counters of the calls over HTTP, as `GET /_local/stats` shows them.
    #[must_use]
    pub fn stats(&self) -> Value {
        self.0.stats.report()
    }

    /// Delays each reply over HTTP by `latency` from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.0.dynamodb.set_latency(latency);
    }

    /// Keeps every transaction in flight for `time` from now on; meanwhile other writers of its items are
    /// refused, as on AWS. Zero switches it off.
    pub fn set_contention(&self, time: Duration) {
        self.0.dynamodb.set_contention(time);
    }

    /// Returns a stand-in for a process of the function with this logical id; `id` becomes the process id.
    #[must_use]
    pub fn process(&self, function: &str, id: &str) -> Process {
        let (function, id) = (function.to_owned(), id.to_owned());
        Process { tables: self.clone(), function, id, killed: watch::Sender::new(false) }
    }

    /// Replaces the fault-injection rules, as `POST /_local/faults` does.
    pub fn set_faults(&self, rules: &Value) -> Result<(), Error> {
        self.0.dynamodb.set_faults(rules.to_string().as_bytes())
    }

    /// Returns for each fault-injection rule the number of calls that got its fault.
    #[must_use]
    pub fn hits(&self) -> Vec<u64> {
        let faults = self.0.dynamodb.faults();
        let hits = |fault: &Value| fault["hits"].as_u64().unwrap_or_default();
        faults.as_array().into_iter().flatten().map(hits).collect()
    }

    /// Returns the calls that were executed since `take_calls` was last called, in the order of execution. A
    /// transaction that is held by phase appears once per phase.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.0.calls))
    }

    /// Returns the [`Footprint`] of a held call: the data that it reads and writes, given the present content
    /// of the tables.
    #[must_use]
    pub fn footprint(&self, held: &Held) -> Footprint {
        let Held { call, phase, .. } = held;
        self.0.dynamodb.footprint(&call.operation, *phase, &call.body)
    }

    /// Whether the held call, if released now, would be refused or would leave entries of a batch
    /// unprocessed, because a transaction in flight has locked one of the call's items.
    #[must_use]
    pub fn is_locked(&self, Held { call, phase, .. }: &Held) -> bool {
        *phase != Phase::Commit && self.0.dynamodb.is_locked(&call.operation, &call.body)
    }

    /// From now on, holds every call until the test releases it; the returned receiver gets the held calls.
    /// Once the receiver is dropped, calls are no longer held.
    #[must_use]
    pub fn hold_calls(&self) -> mpsc::UnboundedReceiver<Held> {
        self.hold(false)
    }

    /// Holds calls as [`Tables::hold_calls`] does, but each transaction twice: before it locks its items, and before it
    /// writes and unlocks them. In between, other writers of these items are refused, as on AWS.
    #[must_use]
    pub fn hold_calls_by_phase(&self) -> mpsc::UnboundedReceiver<Held> {
        self.hold(true)
    }

    fn hold(&self, has_phases: bool) -> mpsc::UnboundedReceiver<Held> {
        let (sender, held) = mpsc::unbounded_channel();
        *lock(&self.0.gate) = Some(Gate { held: sender, has_phases });
        held
    }

    /// Returns a copy of all items of all tables.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.0.dynamodb.copy().map(Snapshot)
    }

    /// Imports items in `DynamoDB`'s JSON into the table with this name, without counting them.
    pub fn load(&self, table: &str, items: Vec<Value>) -> Result<(), Error> {
        self.0.dynamodb.load(table, items)
    }

    /// Restores all tables to the items of the snapshot. The fault-injection rules stay as they are.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.0.dynamodb.restore(&snapshot.0)
    }
}

async fn call(State(tables): State<Tables>, headers: HeaderMap, body: Bytes) -> Response {
    let Inner { dynamodb, permissions, kms, .. } = &*tables.0;
    match endpoint::read(&headers) {
        (caller, Some(("DynamoDB_20120810", operation))) => {
            match dynamodb.dispatch(caller, operation, body).await {
                Answer::Reply(reply) => endpoint::respond(reply, "application/x-amz-json-1.0"),
                // The caller is no process of this stack, so nothing can kill it.
                Answer::Lost | Answer::Crash => pending().await,
            }
        }
        (caller, Some(("TrentService", operation))) => {
            let reply = endpoint::answer_kms(kms, permissions, caller.as_ref(), operation, &body);
            endpoint::respond(reply, "application/x-amz-json-1.1")
        }
        _ => {
            let reply = endpoint::refusal(
                "UnknownOperationException",
                "only DynamoDB and KMS are emulated here",
            );
            endpoint::respond(reply, "application/x-amz-json-1.0")
        }
    }
}

impl Snapshot {
    /// Returns the items of the table with this name, in the order of their keys.
    pub fn items(&self, table: &str) -> impl Iterator<Item = &Value> {
        self.0.get(table).into_iter().flat_map(|items| items.values())
    }

    /// Returns the items of the table with this name, so that a test can change them before it restores the snapshot.
    pub fn items_mut(&mut self, table: &str) -> impl Iterator<Item = &mut Value> {
        self.0.get_mut(table).into_iter().flat_map(|items| items.values_mut())
    }

    /// Replaces the items of the table with this name by those of the snapshot `earlier`, as point-in-time recovery
    /// does.
    pub fn recover(&mut self, table: &str, earlier: &Self) {
        if let Some(items) = earlier.0.get(table) {
            self.0.insert(table.to_owned(), items.clone());
        }
    }
}

impl Process {
    /// Returns an HTTP client for the process's SDK, which calls the tables without a socket.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Connector(self.clone()));
        http_client_fn(move |_, _| connector.clone())
    }

    /// Runs `work` as this process. Returns `None` if an injected fault kills the process before `work` is
    /// done.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.killed.send_replace(false);
        let mut killed = self.killed.subscribe();
        tokio::select! {
            biased;
            // Cannot fail: `self` has the sender.
            _ = killed.wait_for(|killed| *killed) => None,
            done = work => Some(done),
        }
    }

    fn caller(&self) -> Caller {
        Caller { function: self.function.clone(), process: self.id.clone() }
    }

    async fn answer(&self, operation: String, body: Vec<u8>) -> Reply {
        let Inner { dynamodb, calls, gate, .. } = &*self.tables.0;
        let call = Call {
            function: self.function.clone(),
            process: self.id.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            operation,
        };
        let (caller, gate) = (self.caller(), lock(gate).clone());
        let answer = match gate {
            Some(gate) if gate.has_phases && call.operation == "TransactWriteItems" => {
                gate.wait(&call, Phase::Lock).await;
                let begun = dynamodb.begin(&caller, &body);
                lock(calls).push(call.clone());
                match begun {
                    Ok(begun) => {
                        gate.wait(&call, Phase::Commit).await;
                        let answer = dynamodb.commit(begun);
                        lock(calls).push(call);
                        answer
                    }
                    Err(refused) => refused,
                }
            }
            gate => {
                if let Some(gate) = gate {
                    gate.wait(&call, Phase::Whole).await;
                }
                let answer = dynamodb.answer(Some(&caller), &call.operation, &body).await;
                lock(calls).push(call);
                answer
            }
        };
        match answer {
            Answer::Reply(reply) => reply,
            Answer::Lost => pending().await,
            Answer::Crash => {
                self.killed.send_replace(true);
                pending().await
            }
        }
    }
}

struct Connector(Process);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.0.id)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let (service, operation) = target.split_once('.').unwrap_or_default();
        let (is_kms, operation) = (service == "TrentService", operation.to_owned());
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let process = self.0.clone();
        HttpConnectorFuture::new(async move {
            let Reply { status, body } = if is_kms {
                let Inner { kms, permissions, .. } = &*process.tables.0;
                let caller = process.caller();
                endpoint::answer_kms(kms, permissions, Some(&caller), &operation, &body)
            } else {
                process.answer(operation, body).await
            };
            let status = StatusCode::try_from(status)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            Ok(response)
        })
    }
}

//! The world of the proofs: tables in this process, a clock that stands still, and operations.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::{Client, Config};
use futures_util::future::LocalBoxFuture;
use lambda_http::RequestExt as _;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use sam_local::{Process, Tables};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::app::{App, Build};
use shared::asking::Asker;
use shared::bus::Publisher;
use shared::completion::Completer;
use shared::domain::{Error, Timestamp};
use shared::http::Reply;
use shared::mail::Mailer;
use shared::platform::{Clock, Deadline};
use shared::purge::Purger;
use shared::runtime::Endpoint;
use shared::signature::Signer;
use shared::store::Store;
use shared::webhook::{Deliverer, Sender};

use crate::bus::{self, Bus};
use crate::operations;
use crate::scene::{Scene, TIMEOUT};
use crate::state::{Counts, State};

pub(crate) const ACCOUNTS: &str = "AccountsTable";
pub(crate) const OUTBOX: &str = "OutboxTable";
pub(crate) const ERASURES: &str = "ErasuresTable";

/// Limit of the circuit breaker, in purges per hour: no proof reaches it.
const BREAKER: u64 = 1_000;

/// Time in which the schedule asks every awaited participant at least once.
const INTERVAL: Duration = Duration::from_hours(25);

/// Time until the deadline of a run that is not to be cut short: more than any run takes.
pub(crate) const ENDLESS: Duration = Duration::from_hours(24);

/// The context and process of a running function.
type Running = (&'static Parts, Process);

/// Tables, a bus, a clock, and the processes that use them.
pub(crate) struct World {
    pub(crate) tables: Tables,
    pub(crate) bus: Bus,
    dial: Arc<Mutex<Timestamp>>,
    /// Time that each run has until its deadline.
    pub(crate) time_left: Cell<Duration>,
    parts: RefCell<HashMap<(usize, &'static str), Running>>,
    /// States of erasures that [`Self::conclude`] has already led to the end.
    concluded: RefCell<BTreeSet<String>>,
}

/// The contexts that handlers in one process of a function work with, one of each type.
pub(crate) struct Parts {
    app: App,
    purger: Purger,
    asker: Asker,
    completer: Completer,
    publisher: Publisher,
    deliverer: Deliverer,
    mailer: Mailer,
}

/// A type of handler context, such as [`App`] or [`Purger`].
pub(crate) trait Part {
    fn of(parts: &'static Parts) -> &'static Self;
}

macro_rules! parts {
    ($($part:ident: $field:ident),+) => {$(
        impl Part for $part {
            fn of(parts: &'static Parts) -> &'static Self {
                &parts.$field
            }
        }
    )+};
}

parts! {
    App: app, Purger: purger, Asker: asker, Completer: completer, Publisher: publisher,
    Deliverer: deliverer, Mailer: mailer
}

/// The result of an operation, in the form of an HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    /// The header `Link`; empty if there is none.
    pub(crate) link: String,
    /// The header `ETag`; empty if there is none.
    pub(crate) etag: String,
    pub(crate) body: Value,
}

impl Answer {
    /// Returns the ticket in the header `Link`, by which an erasure can be followed; `None` if there is none.
    pub(crate) fn ticket(&self) -> Option<&str> {
        self.link.strip_prefix("</v1.0/erasures/")?.strip_suffix(">; rel=\"status\"")
    }

    /// Whether the answer has a ticket, by which the erasure can be followed, or is no success and needs
    /// none.
    pub(crate) fn can_be_followed(&self) -> bool {
        self.status != 200 || self.ticket().is_some()
    }

    /// Returns a text field of the body; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the number of rows of a list.
    pub(crate) fn rows(&self) -> usize {
        self.body["result"].as_array().map_or(0, Vec::len)
    }
}

type Work = LocalBoxFuture<'static, Answer>;

/// An operation: an endpoint with a request, or a function with an event.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// The name of the function's source file, without extension.
    pub(crate) function: &'static str,
    begin: Begin,
    effect: Effect,
    /// The status, beside 200, that a repetition after success may get.
    repeated: Option<u16>,
}

/// A function that starts an operation.
type Begin = Box<dyn Fn(&'static Parts, &Scene, Deadline) -> Work>;

/// A function that tells whether a state shows the effect of a success.
type Effect = Box<dyn Fn(&State, &Scene, &Answer) -> bool>;

impl World {
    pub(crate) fn new() -> Self {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let tables = Tables::from_template(&template).expect("the template's tables");
        let dial = Arc::new(Mutex::new(Timestamp::parse("2026-01-01T00:00:00Z").unwrap()));
        Self {
            tables,
            bus: Bus::default(),
            dial,
            time_left: Cell::new(ENDLESS),
            parts: RefCell::default(),
            concluded: RefCell::default(),
        }
    }

    /// Returns the context of `function` in process number `slot`, created at its first use.
    fn parts(&self, slot: usize, function: &'static str) -> (&'static Parts, Process) {
        let make = || {
            let process = self.tables.process(&logical_id(function), &slot.to_string());
            let client = Client::from_conf(config(&process));
            let app = || {
                let [accounts, outbox, erasures] = [ACCOUNTS, OUTBOX, ERASURES].map(str::to_owned);
                let store = Store::new(client.clone(), accounts, outbox, erasures);
                App::new(store, Clock::showing(Arc::clone(&self.dial)))
            };
            let kms = aws_sdk_kms::Client::from_conf(kms_config(&process));
            let signer = || Signer::new(kms.clone(), "ReceiptKey".to_owned());
            let bus = || shared::bus::Bus::new(bus::client(self.bus.clone()), "Bus".to_owned());
            let parts = Parts {
                app: app(),
                purger: Purger::new(app(), signer(), bus(), BREAKER),
                asker: Asker::new(Completer::new(app(), signer()), bus()),
                completer: Completer::new(app(), signer()),
                publisher: Publisher::new(app(), bus()),
                deliverer: Deliverer::new(app(), Sender::loopback_only()),
                mailer: Mailer::new(app(), ses_client(), Some("tenure@example.com".to_owned())),
            };
            (&*Box::leak(Box::new(parts)), process)
        };
        self.parts.borrow_mut().entry((slot, function)).or_insert_with(make).clone()
    }

    /// Resets tables and clock to `scene`, without faults.
    pub(crate) fn set(&self, scene: &Scene) {
        self.tables.set_faults(&json!([])).unwrap();
        self.bus.set_fault(None);
        self.tables.restore(&scene.snapshot).unwrap();
        let _ = self.tables.take_calls();
        self.set_time(scene.now);
    }

    /// Returns the state of the tables.
    pub(crate) fn state(&self, scene: &Scene) -> State {
        State::new(self.tables.snapshot().unwrap(), &scene.customer)
    }

    /// Purges the account if it is deleted, and checks the state and the ledger afterwards. `owned` is what it
    /// had when it was deleted.
    pub(crate) async fn purge(&self, scene: &Scene, start: &State, owned: &Counts) {
        if self.state(scene).status() == "deleted" {
            let answer = self.start(0, &operations::purge(), scene).await.expect("no crash");
            assert_eq!(answer.status, 200, "{}", answer.body);
            let state = self.state(scene);
            assert!(state.has("tm_purge"), "the purge does not end");
            state.check(start);
            if !start.has("tm_purge") {
                state.check_receipt(owned);
            }
        }
        self.conclude(scene, start).await;
    }

    /// Leads an erasure to its end: lets time pass until every awaited participant was asked again and has answered.
    /// Checks that the erasure is then complete, with a final receipt, and that nobody is asked any more. An account
    /// that a restore has brought back is first erased again. Does nothing if there are no participants or no erasure,
    /// or if the same state was led to its end before.
    pub(crate) async fn conclude(&self, scene: &Scene, start: &State) {
        let state = self.state(scene);
        let place = format!("{} {}", self.now(), state.place());
        let is_erased = !state.rounds.row.is_null();
        if !start.rounds.has_participants
            || !is_erased
            || !self.concluded.borrow_mut().insert(place)
        {
            return;
        }
        if state.status() != "deleted" {
            self.run(&operations::replay(), scene, start).await;
        }
        self.run(&operations::purge(), scene, start).await;
        let awaited = self.state(scene).rounds.awaited();
        let asked = self.ask_after(INTERVAL, scene, start).await;
        assert!(asked.is_superset(&awaited), "awaited are {awaited:?}, asked {asked:?}");
        for name in awaited {
            self.run(&operations::answer_of(name), scene, start).await;
        }
        // One run completes the erasure, another closes the parts that were looked at before that. No
        // deadline is later.
        for _ in 0..2 {
            let asked = self.ask_after(TIMEOUT, scene, start).await;
            assert!(asked.is_empty(), "{asked:?} asked after they have answered");
        }
        self.state(scene).rounds.check_end();
    }

    /// Lets some time pass, and runs the schedule that asks participants. Returns the participants that it asks, after
    /// checking that each may be asked.
    async fn ask_after(&self, time: Duration, scene: &Scene, start: &State) -> BTreeSet<String> {
        self.set_time(self.now().plus(time));
        let _ = self.bus.take_questions();
        let before = self.state(scene);
        self.run(&operations::ask(), scene, start).await;
        let (open, round) = (before.rounds.open(self.now()), before.rounds.round());
        let asked = self.bus.take_questions().into_iter().map(|question| {
            assert_eq!((&question.customer, question.round), (&scene.customer, round));
            question.participant
        });
        let asked: BTreeSet<_> = asked.collect();
        assert!(open.is_superset(&asked), "open are {open:?}, asked {asked:?}");
        asked
    }

    /// Runs an operation, which must succeed.
    async fn run(&self, operation: &Operation, scene: &Scene, start: &State) {
        let answer = self.start(0, operation, scene).await.expect("no crash");
        let state = self.state(scene);
        state.check(start);
        assert!(operation.has_converged(&answer, scene, &state), "{}: {answer:?}", operation.name);
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.dial.lock().unwrap()
    }

    pub(crate) fn set_time(&self, now: Timestamp) {
        *self.dial.lock().unwrap() = now;
    }

    /// Runs `operation` in process number `slot`; returns `None` if a fault killed the process.
    pub(crate) fn start(
        &self,
        slot: usize,
        operation: &Operation,
        scene: &Scene,
    ) -> LocalBoxFuture<'static, Option<Answer>> {
        let (parts, process) = self.parts(slot, operation.function);
        let deadline = Deadline::within(self.time_left.get());
        let work = (operation.begin)(parts, scene, deadline);
        Box::pin(async move { process.run(work).await })
    }
}

impl Operation {
    /// Sets the effect that a success must have.
    pub(crate) fn effect(self, effect: impl Fn(&State, &Scene, &Answer) -> bool + 'static) -> Self {
        Self { effect: Box::new(effect), ..self }
    }

    /// Sets the status, beside 200, that a repetition after success may get.
    pub(crate) fn repeated(self, status: u16) -> Self {
        Self { repeated: Some(status), ..self }
    }

    /// Whether `answer` is truthful: not a success, or a success whose effect `state` shows.
    pub(crate) fn is_true(&self, answer: &Answer, scene: &Scene, state: &State) -> bool {
        answer.status != 200 || (self.effect)(state, scene, answer)
    }

    /// Whether `answer` and `state` are those of a completed operation, possibly a repeated one.
    pub(crate) fn has_converged(&self, answer: &Answer, scene: &Scene, state: &State) -> bool {
        (answer.status == 200 || self.repeated == Some(answer.status))
            && (self.effect)(state, scene, answer)
    }
}

/// Returns an SDK configuration like that of `platform/sdk.rs` for calls of `process`: unsigned, and with unlimited
/// retry tokens, so that runs do not affect each other.
fn config(process: &Process) -> Config {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(2));
    let retries = RetryPartition::custom("proof").token_bucket(TokenBucket::unlimited()).build();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard())
        .retry_partition(retries)
        .http_client(process.http_client())
        .build()
}

fn kms_config(process: &Process) -> aws_sdk_kms::Config {
    aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(process.http_client())
        .build()
}

/// Returns a client of SES that reaches nothing.
fn ses_client() -> aws_sdk_sesv2::Client {
    let config = aws_sdk_sesv2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .endpoint_url("http://127.0.0.1:9")
        .build();
    aws_sdk_sesv2::Client::from_conf(config)
}

/// Returns the logical id in template.yaml of the function whose source file has this name.
fn logical_id(file: &str) -> String {
    let words = file.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Function"
}

/// Returns an operation that sends a request to an endpoint.
pub(crate) fn endpoint<P: Part + Build>(
    name: &'static str,
    function: &'static str,
    endpoint: fn() -> Endpoint<P>,
    request: impl Fn(&Scene) -> Sent + 'static,
) -> Operation {
    let begin = move |parts, scene: &Scene, _| -> Work {
        let endpoint = endpoint();
        let request = endpoint.request(request(scene).request());
        Box::pin(async move {
            let context = P::of(parts);
            let answer = answer(endpoint.answer(context, request).await);
            // Background work of a request ends before its answer is sent.
            context.settle().await;
            answer
        })
    };
    Operation {
        name,
        function,
        begin: Box::new(begin),
        effect: Box::new(|_, _, _| true),
        repeated: None,
    }
}

/// Returns an operation that invokes a function with an event.
pub(crate) fn event<P, H, E, R, F>(
    name: &'static str,
    function: &'static str,
    handle: H,
    event: impl Fn(&Scene) -> Value + 'static,
) -> Operation
where
    P: Part + 'static,
    H: Fn(&'static P, E, Deadline) -> F + Copy + 'static,
    E: DeserializeOwned + 'static,
    R: Serialize,
    F: Future<Output = Result<R, Error>> + 'static,
{
    let begin = move |parts, scene: &Scene, deadline| -> Work {
        let event = serde_json::from_value(event(scene)).expect("an event");
        Box::pin(async move {
            match handle(P::of(parts), event, deadline).await {
                Ok(done) => Answer {
                    status: 200,
                    retry_after: false,
                    link: String::new(),
                    etag: String::new(),
                    body: json!(done),
                },
                Err(error) => answer(Err(error)),
            }
        })
    };
    Operation {
        name,
        function,
        begin: Box::new(begin),
        effect: Box::new(|_, _, _| true),
        repeated: None,
    }
}

/// Converts the result of an endpoint into the answer that a client gets, as the deployed function does.
fn answer(outcome: Result<Reply, Error>) -> Answer {
    let reply = outcome.unwrap_or_else(|error| Reply::error(&error, "proof"));
    let response = reply.into_response("proof", false, &[]);
    let header = |name: &str| {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    Answer {
        status: response.status().as_u16(),
        retry_after: response.headers().contains_key("retry-after"),
        link: header("link"),
        etag: header("etag"),
        body: serde_json::from_slice(response.body()).expect("JSON"),
    }
}

/// The API's host that requests come to.
pub(crate) const HOST: &str = "a1.execute-api.us-east-1.amazonaws.com";

/// A request to an endpoint.
pub(crate) struct Sent {
    token: Option<String>,
    /// The idempotency key of a POST.
    key: Option<&'static str>,
    /// The header `If-Match`; empty if there is none.
    if_match: String,
    /// Path parameters.
    path: HashMap<String, Vec<String>>,
    query: String,
    body: Value,
}

pub(crate) fn sent(token: &str) -> Sent {
    Sent { token: Some(token.to_owned()), ..without_token(Value::Null) }
}

pub(crate) fn without_token(body: Value) -> Sent {
    Sent {
        token: None,
        key: None,
        if_match: String::new(),
        query: String::new(),
        path: HashMap::new(),
        body,
    }
}

impl Sent {
    pub(crate) fn id(self, id: &str) -> Self {
        self.path("id", id)
    }

    pub(crate) fn kind(self, kind: &str) -> Self {
        self.path("kind", kind)
    }

    pub(crate) fn name(self, name: &str) -> Self {
        self.path("name", name)
    }

    pub(crate) fn ticket(self, ticket: &str) -> Self {
        self.path("ticket", ticket)
    }

    fn path(mut self, name: &str, value: &str) -> Self {
        self.path.insert(name.to_owned(), vec![value.to_owned()]);
        self
    }

    pub(crate) fn query(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    pub(crate) fn body(self, body: Value) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn if_match(self, tag: &str) -> Self {
        Self { if_match: tag.to_owned(), ..self }
    }

    /// Turns the request into a POST with this idempotency key.
    pub(crate) fn once(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    fn request(self) -> lambda_http::Request {
        let uri = format!("https://localhost/?{}", self.query);
        let mut request = lambda_http::http::Request::builder().uri(uri);
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !self.if_match.is_empty() {
            request = request.header("if-match", self.if_match);
        }
        if let Some(key) = self.key {
            request = request.method("POST").header("idempotency-key", key);
        }
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        let request = request.header("content-type", "application/json").body(body.into()).unwrap();
        let mut context = ApiGatewayV2httpRequestContext::default();
        context.domain_name = Some(HOST.to_owned());
        let context = RequestContext::ApiGatewayV2(context);
        request.with_path_parameters(self.path).with_request_context(context)
    }
}

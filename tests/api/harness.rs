//! The test harness: starts a local stack for each test, and is its HTTP client.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use http::{HeaderMap, Request, request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sam_local::{Options, Stack};
use serde::Serialize;
use serde_json::{Value, json};
use shared::platform::http_client;

use crate::canaries::Canaries;
use crate::customer;
use crate::openapi;
use crate::permissions::UsedPermissions;

pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The password of the local stack's project admin.
pub(crate) const OPERATORS_PASSWORD: &str = local::PASSWORD;
/// A second loopback address to send requests from. The service sees it as a network that no user has logged
/// in from.
pub(crate) const STRANGER: [u8; 4] = [127, 0, 0, 66];
const DAY: i64 = 24 * 60 * 60;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn options() -> Options {
    let binaries = Path::new(env!("CARGO_BIN_EXE_auth_login"));
    local::options(root().join("template.yaml"), binaries.parent().unwrap())
}

/// Returns options for the real template with mail on. `parameters` are template parameters to set in
/// addition to those of [`options`].
pub(crate) fn mailing_with<const N: usize>(parameters: [(&str, &str); N]) -> Options {
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut options = options();
    options.parameters.extend(parameters);
    options
}

/// Returns options for the real template with this template parameter as the only one set, and mail off.
pub(crate) fn options_with(name: &str, value: &str) -> Options {
    Options { parameters: [(name.to_owned(), value.to_owned())].into(), ..options() }
}

/// Returns options for the real template without limits on requests, deletions and mail, for tests that count
/// writes or send many requests.
pub(crate) fn uncounted() -> Options {
    let quotas = [
        "RequestsPerMinute",
        "InvalidTokensPerMinute",
        "DeletionsPerHour",
        "MailsPerAddressPerHour",
        "MailRequestsPerNetworkPerHour",
    ];
    let parameters = quotas.map(|name| (name.to_owned(), "0".to_owned())).into();
    Options { parameters, ..options() }
}

/// Returns options for the real template with exact quotas: every request is counted instead of a sample. For
/// tests that count database calls.
pub(crate) fn counted() -> Options {
    options_with("ExactQuota", "true")
}

/// Adds latency to database calls, so that concurrent calls overlap even on a busy machine.
pub(crate) fn slow(options: Options) -> Options {
    Options { latency: Duration::from_millis(200), ..options }
}

/// Makes each transaction lock its items for 10 ms, much as DynamoDB does: transactions of other writers are
/// refused meanwhile.
pub(crate) fn contended(options: Options) -> Options {
    Options { contention: Duration::from_millis(10), ..options }
}

/// Removes all latency, for tests with thousands of calls.
pub(crate) fn quick(options: Options) -> Options {
    Options { latency: Duration::ZERO, ..options }
}

/// An edited copy of the real template.
pub(crate) struct Template(tempfile::NamedTempFile);

impl Template {
    /// Returns the real template as text.
    pub(crate) fn text() -> String {
        std::fs::read_to_string(root().join("template.yaml")).unwrap()
    }

    /// Returns the name of the binary that serves each route; routes are written like `GET /v1.0/me`.
    pub(crate) fn functions() -> BTreeMap<String, String> {
        let mut functions = BTreeMap::new();
        for function in Self::text().split("Type: AWS::Serverless::Function").skip(1) {
            let function = function.split("\n\n").next().unwrap();
            let after = |label: &str, text: &str| {
                let rest = text.split(label).nth(1)?;
                Some(rest.trim_start_matches('"').split(['"', '}', ',']).next()?.to_owned())
            };
            let binary = after("Binary: ", function).unwrap();
            for event in function.split("Type: HttpApi").skip(1) {
                // A path with braces is quoted in the template.
                let Some(method) = after("Method: ", event) else { continue };
                let path = event.split("Path: ").nth(1).unwrap();
                let path = path.strip_prefix('"').map_or_else(
                    || path.split('}').next().unwrap(),
                    |quoted| quoted.split('"').next().unwrap(),
                );
                functions.insert(format!("{method} {path}"), binary.clone());
            }
        }
        functions
    }

    /// Returns a copy of the real template, edited by `edit`; fails if `edit` changes nothing.
    pub(crate) fn edited(edit: impl FnOnce(String) -> String) -> Self {
        let (before, file) = (Self::text(), tempfile::NamedTempFile::with_suffix(".yaml").unwrap());
        let after = edit(before.clone());
        assert_ne!(after, before, "the edit found nothing to change");
        std::fs::write(file.path(), after).unwrap();
        Self(file)
    }

    pub(crate) fn options(&self) -> Options {
        Options { template: self.0.path().into(), ..options() }
    }
}

/// A running local stack and an HTTP client for it. When it is dropped, its output is searched for leaked
/// data ([`Canaries`]).
pub(crate) struct Tenure {
    canaries: Canaries,
    _record: Option<UsedPermissions>,
    pub(crate) stack: Stack,
    client: Client<HttpConnector, Full<Bytes>>,
    database: OnceLock<aws_sdk_dynamodb::Client>,
}

/// A request under construction.
pub(crate) struct Call {
    head: request::Builder,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self { head: self.head.header(name, value), ..self }
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        self.header("content-type", "application/json").body(serde_json::to_vec(body).unwrap())
    }
}

/// A response. `body` is `text` parsed as JSON; `Null` if it is not JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// An account's id, and the token of a session of its admin.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Answer {
    /// Returns the body; fails unless the status is 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// Returns the `reason` of an error response. Fails if the response has another status than `status`, or
    /// if the error object is incomplete.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.text);
        let error = self.body["error"].as_object().expect("an envelope");
        for field in ["status", "reason", "message", "request_id"] {
            let text = error[field].as_str().expect("text");
            assert!(!text.is_empty(), "{field} is empty in {}", self.text);
        }
        assert_eq!(self.headers["x-request-id"], error["request_id"].as_str().unwrap());
        assert_eq!(self.headers["cache-control"], "no-store");
        error["reason"].as_str().unwrap()
    }

    /// Returns the ticket in the `Link` header, with which an unregistration can be followed; fails if there
    /// is none.
    #[track_caller]
    pub(crate) fn ticket(&self) -> String {
        ticket_of(&self.headers).unwrap_or_else(|| panic!("no ticket: {self:?}"))
    }

    /// Returns the `message` of an error response; empty for a success.
    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// Returns the ticket (the token that follows an erasure) in the `Link` header of a response; `None` if there
/// is none.
pub(crate) fn ticket_of(headers: &HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().ok()?;
    let target = link.strip_suffix(">; rel=\"status\"")?;
    Some(target.strip_prefix("</v1.0/erasures/")?.to_owned())
}

impl Tenure {
    pub(crate) async fn start() -> Self {
        Self::start_with(options()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let stack = Stack::start(options.clone()).await.expect("the stack starts");
        let canaries = Canaries::new(stack.sinks());
        let record = UsedPermissions::of(stack.sinks(), &options);
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { canaries, _record: record, stack, client, database: OnceLock::new() }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Call {
        let head = Request::builder().method(method).uri(format!("{}{path}", self.stack.url()));
        Call { head, body: Vec::new() }
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        self.send_by(&self.client, call).await
    }

    /// Sends a request from another network than usual: from a loopback address such as [`STRANGER`].
    pub(crate) async fn send_from(&self, network: [u8; 4], call: Call) -> Answer {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(network.into()));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        self.send_by(&client, call).await
    }

    async fn send_by(&self, client: &Client<HttpConnector, Full<Bytes>>, call: Call) -> Answer {
        let request = call.head.body(call.body).expect("a request");
        self.canaries.sent(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let request = request.map(Full::from);
        let (head, body) = client.request(request).await.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.into()).expect("text");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        if head.status.is_server_error() {
            // Captured: shown only if the test fails.
            println!("{}: {text}\n{}", head.status, self.stack.logs().join("\n"));
        }
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, text, body };
        self.canaries.answered(&answer);
        openapi::check(self.stack.routes(), &method, &path, &answer);
        answer
    }

    /// Sends a request with a bearer token.
    pub(crate) async fn call(&self, token: &str, method: &str, path: &str) -> Answer {
        self.send(self.request(method, path).bearer(token)).await
    }

    /// Makes the next transaction of each of these functions fail once, as if it conflicted with another
    /// transaction.
    pub(crate) async fn meet_others(&self, functions: &[&str]) {
        let conflict = |function| json!({"fault": "conflict", "function": function, "operation": "TransactWriteItems", "nth": 1});
        let rules: Vec<_> = functions.iter().map(conflict).collect();
        self.send(self.request("POST", "/_local/faults").json(&rules)).await.ok();
    }

    /// Sends a request with a bearer token and a JSON body.
    pub(crate) async fn call_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        self.send(self.request(method, path).bearer(token).json(&body)).await
    }

    pub(crate) async fn try_login(&self, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        self.send(self.request("POST", "/auth/login").json(&body)).await
    }

    /// Tries to log in from another network: see [`Self::send_from`].
    pub(crate) async fn try_login_from(
        &self,
        network: [u8; 4],
        username: &str,
        password: &str,
    ) -> Answer {
        let body = json!({"username": username, "password": password});
        self.send_from(network, self.request("POST", "/auth/login").json(&body)).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> String {
        let answer = self.try_login(username, password).await.ok();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Whether a session's token is accepted.
    pub(crate) async fn is_valid(&self, token: &str) -> bool {
        let answer = self.call(token, "GET", "/v1.0/me").await;
        if answer.status == 200 {
            return true;
        }
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
        false
    }

    /// Logs in as the project admin; returns the session's token.
    pub(crate) async fn admin(&self) -> String {
        self.login("admin@localhost", OPERATORS_PASSWORD).await
    }

    /// Creates an account with all fields set, and logs in as its admin.
    pub(crate) async fn account(&self, admin: &str, username: &str) -> Account {
        let body = new_customer(username);
        let created = self.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
        let token = self.login(username, PASSWORD).await;
        Account { id: created["id"].as_str().unwrap().to_owned(), token }
    }

    /// Creates an access key that lasts a day; returns its token.
    pub(crate) async fn access_key(&self, token: &str) -> String {
        let key =
            self.call_with(token, "POST", "/v1.0/accesskeys", json!({"expire": 86_400})).await.ok();
        key["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn unregister(&self, token: &str, body: Value) -> Answer {
        self.call_with(token, "POST", "/auth/unregister", body).await
    }

    /// Waits until all background work is done; returns the messages sent to an address, oldest first.
    pub(crate) async fn mail_to(&self, address: &str) -> Vec<Value> {
        assert!(self.stack.settle().await, "the stack does not settle");
        let to = json!([address]);
        self.stack.mail().into_iter().filter(|message| message["to"] == to).collect()
    }

    /// Returns the token in the link of the last message to an address.
    pub(crate) async fn mailed_token(&self, address: &str) -> String {
        let mail = self.mail_to(address).await;
        let text = mail.last().expect("a message")["text"].as_str().unwrap().to_owned();
        let token = text.split("#token=").nth(1).unwrap_or_else(|| panic!("no link: {text}"));
        token.split(['&', '\n']).next().unwrap().to_owned()
    }

    /// Sends a `POST` request with a JSON body and without credentials.
    pub(crate) async fn ask(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    /// Returns all items of a table, sorted.
    pub(crate) async fn items(&self, table: &str) -> Vec<Value> {
        let answer = self.send(self.request("GET", &format!("/_local/tables/{table}"))).await.ok();
        let mut items = answer["items"].as_array().unwrap().clone();
        items.sort_by_key(ToString::to_string);
        items
    }

    /// Returns the sort keys of the items in an account's partition.
    pub(crate) async fn partition(&self, id: &str) -> Vec<String> {
        let query = self.database().query().table_name("AccountsTable").consistent_read(true);
        let query = query
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("CUSTOMER#{id}")))
            .projection_expression("sk");
        let items: Vec<_> = query.into_paginator().items().send().try_collect().await.unwrap();
        items.iter().map(|item| item["sk"].as_s().unwrap().clone()).collect()
    }

    /// Returns a client for the stack's tables that no permissions limit.
    pub(crate) fn database(&self) -> &aws_sdk_dynamodb::Client {
        self.database.get_or_init(|| {
            let config = aws_sdk_dynamodb::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new(
                    sam_local::OWNER,
                    "test",
                    None,
                    None,
                    "test",
                ))
                .endpoint_url(self.stack.database_url())
                .http_client(http_client().unwrap())
                .build();
            aws_sdk_dynamodb::Client::from_conf(config)
        })
    }

    /// Returns the items of the accounts table without the data that refused requests may change as well:
    /// counters of log-in attempts and requests, and the time at which a key or session was last used.
    pub(crate) async fn accounts(&self) -> Vec<Value> {
        assert!(self.stack.settle().await, "the stack does not settle");
        let items = self.items("AccountsTable").await;
        let is_count = |item: &Value| {
            let pk = item["pk"]["S"].as_str().unwrap();
            ["THROTTLE#", "REQUESTS#", "NETWORK#", "HOST#"].iter().any(|kind| pk.starts_with(kind))
        };
        let mut items: Vec<_> = items.into_iter().filter(|item| !is_count(item)).collect();
        for item in &mut items {
            for name in ["tm_last_use", "attempts", "wait_ms", "next_at", "last_at"] {
                item.as_object_mut().unwrap().remove(name);
            }
        }
        items.sort_by_key(ToString::to_string);
        items
    }

    /// Moves the clock forward, once all events are published: events that are still unpublished would expire
    /// in the outbox and be lost.
    pub(crate) async fn advance_days(&self, days: i64) -> Value {
        assert!(self.stack.settle().await, "the stack does not settle");
        self.stack.advance_clock(days * DAY).await.expect("the clock moves")
    }

    /// Returns how many events of this type about an account have reached the event bus.
    pub(crate) async fn count_events(&self, id: &str, name: &str) -> usize {
        self.events_of(id).await.iter().filter(|event| *event == name).count()
    }

    /// Returns the stack's virtual time.
    pub(crate) async fn now(&self) -> jiff::Timestamp {
        let clock = self.send(self.request("GET", "/_local/clock")).await.ok();
        clock["now"].as_str().unwrap().parse().unwrap()
    }

    /// Returns the types of the events about an account that have reached the event bus, oldest first.
    pub(crate) async fn events_of(&self, id: &str) -> Vec<String> {
        assert!(self.stack.settle().await, "the stack does not settle");
        let events = self.stack.events();
        let own = events.iter().filter(|seen| seen["event"]["detail"]["customer_id"] == *id);
        own.map(|seen| seen["event"]["detail-type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Returns the body that creates a customer: see [`customer::new_customer`].
pub(crate) fn new_customer(username: &str) -> Value {
    customer::new_customer(username, PASSWORD)
}

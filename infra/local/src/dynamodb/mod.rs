//! `DynamoDB`: a thin layer in front of an embedded emulator that counts who asked for what, and lets
//! calls go wrong if it is told to.
//!
//! Every call, over HTTP or not, goes through [`DynamoDb::answer`].

mod faults;
mod hostile;
mod replica;
mod request;
pub(crate) mod tables;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Error, lock,
    permissions::{Denied, Permissions},
    stats::Stats,
    streams::Doorbell,
    template,
};
use faults::Faults;
use replica::Replica;
pub use request::Footprint;
use request::{Place, Request};

/// The template's tables.
pub(crate) struct DynamoDb {
    database: Database,
    tables: Vec<template::Table>,
    stats: Arc<Stats>,
    permissions: Arc<Permissions>,
    /// Rung after every write.
    doorbells: Vec<Arc<Doorbell>>,
    /// See [`Options::latency`](crate::Options).
    latency: Mutex<Duration>,
    faults: Mutex<Faults>,
}

/// Who makes a call, as its credentials tell.
pub(crate) struct Caller {
    pub(crate) function: String,
    pub(crate) process: String,
}

/// What comes of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    /// Nothing: the answer gets lost.
    Lost,
    /// Nothing: the calling process is to die now.
    Crash,
}

/// An answer as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Which capacity an operation consumes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Read,
    Write,
}

impl DynamoDb {
    /// Opens the database in `directory`, or one in memory, and makes the tables it lacks.
    pub(crate) fn open(
        tables: Vec<template::Table>,
        directory: Option<&Path>,
        stats: Arc<Stats>,
        permissions: Arc<Permissions>,
        doorbells: Vec<Arc<Doorbell>>,
        latency: Duration,
    ) -> Result<Arc<Self>, Error> {
        let opened = match directory {
            Some(directory) => Database::new(&directory.join("tables.db").to_string_lossy()),
            None => Database::memory(),
        };
        let database =
            opened.map_err(|error| Error::new(format!("cannot open the database: {error}")))?;
        tables::create(&database, &tables)?;
        let (latency, faults) = (Mutex::new(latency), Mutex::default());
        Ok(Arc::new(Self { database, tables, stats, permissions, doorbells, latency, faults }))
    }

    /// Answers one call: `operation` is its name, `body` its request in JSON.
    pub(crate) async fn dispatch(
        self: &Arc<Self>,
        caller: Option<Caller>,
        operation: &str,
        body: Bytes,
    ) -> Answer {
        let counted = caller.as_ref().map(|Caller { function, process }| {
            self.stats.begin_call(function, process, operation)
        });
        let (this, operation) = (Arc::clone(self), operation.to_owned());
        let work = move || this.answer(caller.as_ref(), &operation, &body);
        let answer = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            let error = DynoxideError::InternalServerError(error.to_string());
            Answer::Reply(Reply::error(&error))
        });
        if counted.is_some() {
            let latency = *lock(&self.latency);
            tokio::time::sleep(latency).await;
        }
        answer
    }

    /// Answers one call, if the caller may make it, or does not, as the faults have it.
    pub(crate) fn answer(&self, caller: Option<&Caller>, operation: &str, body: &[u8]) -> Answer {
        let Ok(body @ Value::Object(_)) = serde_json::from_slice(body) else {
            let error = DynoxideError::SerializationException(String::new());
            return Answer::Reply(Reply::error(&error));
        };
        let function = caller.map(|caller| caller.function.as_str());
        let request = Request { operation, body: &body, tables: &self.tables };
        if let Err(denied) = self.permissions.check(caller, &request.accesses()) {
            return Answer::Reply(Reply::denied(denied));
        }
        let strike = lock(&self.faults).strike(function, &request);
        let carry_out = |body: Value| self.metered(function, operation, body);
        match strike {
            Some(strike) => hostile::suffer(&strike, request, carry_out),
            None => Answer::Reply(Reply::from(carry_out(body))),
        }
    }

    /// Executes and counts the capacity; the response shows it only if asked to.
    fn metered(
        &self,
        function: Option<&str>,
        operation: &str,
        mut request: Value,
    ) -> Result<Value, DynoxideError> {
        let asked = request["ReturnConsumedCapacity"].take();
        request["ReturnConsumedCapacity"] = json!("INDEXES");
        let mut response = execute(&self.database, operation, &request)?;
        let axis = axis(operation);
        let capacity =
            response.as_object_mut().and_then(|answer| answer.remove("ConsumedCapacity"));
        let capacity = capacity.unwrap_or_default();
        let (read, written) = consumed(&capacity, axis);
        let by_place = if written > 0.0 { by_place(&capacity) } else { Vec::new() };
        match asked.as_str() {
            _ if capacity.is_null() => {}
            Some("INDEXES") => response["ConsumedCapacity"] = capacity,
            Some("TOTAL") => response["ConsumedCapacity"] = total(capacity),
            _ => {}
        }
        if let Some(function) = function {
            self.stats.count(function, |counters| {
                counters.dynamodb.rcu += read;
                counters.dynamodb.wcu += written;
                for (place, units) in by_place {
                    *counters.dynamodb.written.entry(place).or_default() += units;
                }
            });
        }
        if axis == Axis::Write {
            self.after_write(&Request { operation, body: &request, tables: &self.tables });
        }
        Ok(response)
    }

    fn after_write(&self, request: &Request<'_>) {
        let replicas = lock(&self.faults).replicas();
        for replica in replicas {
            lock(&replica).learn(&self.database, &request.written());
        }
        self.doorbells.iter().for_each(|doorbell| doorbell.ring());
    }

    /// Holds back each answer for so long from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    /// Replaces the faults; `rules` is a list in JSON.
    pub(crate) fn set_faults(&self, rules: &[u8]) -> Result<(), Error> {
        let rules = faults::parse(rules, &self.stats.functions(), &self.table_ids())?;
        let copy = || Replica::of(&self.database, &self.tables);
        lock(&self.faults).set(rules, copy)
    }

    /// The faults, each with how many calls it fitted and struck.
    pub(crate) fn faults(&self) -> Value {
        lock(&self.faults).report()
    }

    /// Executes without counting: the stack's own reads.
    pub(crate) async fn blocking(
        self: &Arc<Self>,
        operation: &str,
        request: Value,
    ) -> Result<Value, DynoxideError> {
        let (this, operation) = (Arc::clone(self), operation.to_owned());
        let work = move || execute(&this.database, &operation, &request);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(DynoxideError::InternalServerError(error.to_string())))
    }

    /// All items of the table with this logical id.
    pub(crate) async fn items(self: &Arc<Self>, id: &str) -> Option<Result<Vec<Value>, Error>> {
        let name = self.tables.iter().find(|table| table.id == id)?.name.clone();
        let this = Arc::clone(self);
        let scan = move || tables::scan(&this.database, json!({"TableName": name}));
        Some(join(tokio::task::spawn_blocking(scan).await))
    }

    /// The same for whoever cannot wait: no other call is answered meanwhile on this thread.
    pub(crate) fn items_at_once(&self, id: &str) -> Option<Result<Vec<Value>, Error>> {
        let name = self.tables.iter().find(|table| table.id == id)?.name.clone();
        let items = tables::scan(&self.database, json!({"TableName": name}));
        Some(items.map_err(|error| Error::new(error.to_string())))
    }

    /// What a call reads and writes, as the tables are now.
    pub(crate) fn footprint(&self, operation: &str, body: &Value) -> Footprint {
        let item_at = |place: &Place| {
            let get = json!({"TableName": place.table, "Key": place.key, "ConsistentRead": true});
            execute(&self.database, "GetItem", &get).map(|mut found| found["Item"].take())
        };
        let request = Request { operation, body, tables: &self.tables };
        request.footprint(|place| item_at(place).unwrap_or_default())
    }

    /// All items of all tables, by table.
    pub(crate) fn copy(&self) -> Result<tables::Copy, Error> {
        tables::copy(&self.database, &self.tables)
    }

    /// Makes the items of all tables those of `copy`.
    pub(crate) fn restore(&self, copy: &tables::Copy) -> Result<(), Error> {
        tables::restore(&self.database, &self.tables, copy)
    }

    /// Puts items into the table of this name, many at once; no stream hears of them.
    pub(crate) fn load(&self, table: &str, items: Vec<Value>) -> Result<(), Error> {
        tables::load(&self.database, table, items)
    }

    /// Deletes what expired before `now`, in seconds since 1970; gives the number of items.
    pub(crate) async fn sweep(self: &Arc<Self>, now: i64) -> Result<usize, Error> {
        let this = Arc::clone(self);
        let sweep = move || tables::sweep(&this.database, &this.tables, now);
        let swept = join(tokio::task::spawn_blocking(sweep).await)?;
        self.doorbells.iter().for_each(|doorbell| doorbell.ring());
        Ok(swept)
    }

    /// Logical ids of all tables.
    pub(crate) fn table_ids(&self) -> Vec<&str> {
        self.tables.iter().map(|table| table.id.as_str()).collect()
    }
}

impl Reply {
    fn error(error: &DynoxideError) -> Self {
        Self { status: error.status_code(), body: error.to_json() }
    }

    fn denied(Denied(kind, message): Denied) -> Self {
        let kind = format!("com.amazon.coral.service#{kind}");
        Self { status: 400, body: json!({"__type": kind, "message": message}).to_string() }
    }
}

impl From<Result<Value, DynoxideError>> for Reply {
    fn from(outcome: Result<Value, DynoxideError>) -> Self {
        match outcome {
            Ok(response) => Self { status: 200, body: response.to_string() },
            Err(error) => Self::error(&error),
        }
    }
}

fn execute(database: &Database, operation: &str, request: &Value) -> Result<Value, DynoxideError> {
    match operation {
        "BatchGetItem" => run(request, |r| database.batch_get_item(r)),
        "BatchWriteItem" => run(request, |r| database.batch_write_item(r)),
        "DeleteItem" => run(request, |r| database.delete_item(r)),
        "DescribeTable" => run(request, |r| database.describe_table(r)),
        "GetItem" => run(request, |r| database.get_item(r)),
        "GetRecords" => run(request, |r| database.get_records(r)),
        "GetShardIterator" => run(request, |r| database.get_shard_iterator(r)),
        "ListTables" => run(request, |r| database.list_tables(r)),
        "PutItem" => run(request, |r| database.put_item(r)),
        "Query" => run(request, |r| database.query(r)),
        "Scan" => run(request, |r| database.scan(r)),
        "TransactGetItems" => run(request, |r| database.transact_get_items(r)),
        "TransactWriteItems" => run(request, |r| database.transact_write_items(r)),
        "UpdateItem" => run(request, |r| database.update_item(r)),
        _ => Err(DynoxideError::ValidationException(format!(
            "the local stack does not play {operation}"
        ))),
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    request: &Value,
    operation: impl FnOnce(I) -> dynoxide::Result<O>,
) -> Result<Value, DynoxideError> {
    let request =
        serde_json::from_str(&request.to_string()).map_err(|e| refusal(&e.to_string()))?;
    serde_json::to_value(operation(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The error for a request that does not fit its type: the emulator marks in the message what
/// `DynamoDB` would call it.
fn refusal(message: &str) -> DynoxideError {
    let message = message.split(" at line ").next().unwrap_or_default();
    match message.split_once(':') {
        Some(("VALIDATION" | "VALIDATION_REQUEST", rest)) => {
            DynoxideError::ValidationException(rest.into())
        }
        Some(("SERIALIZATION", rest)) => DynoxideError::SerializationException(rest.into()),
        _ => DynoxideError::ValidationException(message.into()),
    }
}

fn axis(operation: &str) -> Axis {
    match operation {
        "BatchWriteItem" | "DeleteItem" | "PutItem" | "TransactWriteItems" | "UpdateItem" => {
            Axis::Write
        }
        _ => Axis::Read,
    }
}

/// Units read and written. Only transactions tell the two apart; of the rest, the operation does.
fn consumed(capacity: &Value, axis: Axis) -> (f64, f64) {
    if let Some(tables) = capacity.as_array() {
        let units = tables.iter().map(|table| consumed(table, axis));
        return units.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    }
    let units = |key: &str| capacity[key].as_f64();
    match (units("ReadCapacityUnits"), units("WriteCapacityUnits"), axis) {
        (None, None, Axis::Read) => (units("CapacityUnits").unwrap_or_default(), 0.0),
        (None, None, Axis::Write) => (0.0, units("CapacityUnits").unwrap_or_default()),
        (read, written, _) => (read.unwrap_or_default(), written.unwrap_or_default()),
    }
}

/// Units by table, and by index.
fn by_place(capacity: &Value) -> Vec<(String, f64)> {
    if let Some(tables) = capacity.as_array() {
        return tables.iter().flat_map(by_place).collect();
    }
    let units = |detail: &Value| detail["CapacityUnits"].as_f64().unwrap_or_default();
    let table = capacity["TableName"].as_str().unwrap_or_default();
    let indexes = capacity["GlobalSecondaryIndexes"].as_object().into_iter().flatten();
    let indexes = indexes.map(|(name, detail)| (format!("{table}/{name}"), units(detail)));
    indexes.chain([(table.to_owned(), units(&capacity["Table"]))]).collect()
}

/// The capacity without its details.
fn total(mut capacity: Value) -> Value {
    let tables: Vec<&mut Value> = match &mut capacity {
        Value::Array(tables) => tables.iter_mut().collect(),
        table => vec![table],
    };
    for table in tables.into_iter().filter_map(Value::as_object_mut) {
        table.retain(|name, _| !["Table", "GlobalSecondaryIndexes"].contains(&name.as_str()));
    }
    capacity
}

fn join<T>(done: Result<Result<T, DynoxideError>, tokio::task::JoinError>) -> Result<T, Error> {
    done.map_err(|error| Error::new(error.to_string()))?
        .map_err(|error| Error::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Caller, DynamoDb};
    use crate::{permissions::Permissions, stats::Stats, template};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn open() -> (Arc<DynamoDb>, Arc<Stats>) {
        let table = template::Table {
            id: "Table".into(),
            name: "Table".into(),
            request: json!({
                "TableName": "Table",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            }),
            ttl_attribute: Some("expires_at".into()),
        };
        let stats = Arc::new(Stats::new(["Fn".to_owned()].into_iter()));
        let permissions = Permissions::of("Fn", &["GetItem", "PutItem"], &["Table"]);
        let dynamodb = DynamoDb::open(
            vec![table],
            None,
            Arc::clone(&stats),
            permissions,
            Vec::new(),
            std::time::Duration::ZERO,
        );
        (dynamodb.unwrap(), stats)
    }

    async fn call(dynamodb: &Arc<DynamoDb>, operation: &str, body: Value) -> (u16, Value) {
        let caller = Caller { function: "Fn".into(), process: "1".into() };
        let answer = dynamodb.dispatch(Some(caller), operation, body.to_string().into()).await;
        let super::Answer::Reply(reply) = answer else { panic!("no answer to {operation}") };
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    #[tokio::test]
    async fn counts_calls_and_keeps_capacity_out_of_the_answer() {
        let (dynamodb, stats) = open();
        let item = json!({"pk": {"S": "a"}});
        let put = json!({"TableName": "Table", "Item": item});
        let get = json!({"TableName": "Table", "Key": item, "ConsistentRead": true});
        let transaction = json!({"TransactItems": [{"Put": put}]});
        assert_eq!(call(&dynamodb, "PutItem", put).await, (200, json!({})));
        assert_eq!(call(&dynamodb, "GetItem", get).await, (200, json!({"Item": item})));
        assert_eq!(call(&dynamodb, "TransactWriteItems", transaction).await, (200, json!({})));
        assert_eq!(
            stats.report()["functions"]["Fn"]["dynamodb"],
            json!({
                "calls": {"GetItem": 1, "PutItem": 1, "TransactWriteItems": 1},
                "rcu": 1.0,
                "wcu": 3.0,
                "written": {"Table": 3.0},
                "steps": 3,
            })
        );
    }

    #[tokio::test]
    async fn answers_errors_as_dynamodb_does() {
        let (dynamodb, _) = open();
        let put = json!({
            "TableName": "Table",
            "Item": {"pk": {"S": "a"}},
            "ConditionExpression": "attribute_exists(pk)",
        });
        let (status, body) = call(&dynamodb, "PutItem", put.clone()).await;
        assert_eq!(status, 400);
        assert!(body["__type"].as_str().unwrap().ends_with("#ConditionalCheckFailedException"));
        let (_, body) =
            call(&dynamodb, "TransactWriteItems", json!({"TransactItems": [{"Put": put}]})).await;
        assert_eq!(body["CancellationReasons"][0]["Code"], "ConditionalCheckFailed");
        let (status, body) = call(&dynamodb, "GetItem", json!({"TableName": "Table"})).await;
        assert_eq!(status, 400);
        assert!(body["__type"].as_str().unwrap().ends_with("#ValidationException"), "{body}");
        let (status, _) = call(&dynamodb, "DropEverything", json!({})).await;
        assert_eq!(status, 400);
    }

    /// Each call, and the action that is missing when nothing but its name and `GetItem` is granted.
    #[tokio::test]
    async fn refuses_what_is_not_granted() {
        let (dynamodb, _) = open();
        let item = json!({"pk": {"S": "a"}});
        let at = |table: &str| json!({"TableName": table, "Key": item});
        let legs = |kind: &str| json!({"TransactItems": [{"Put": {"TableName": "Table", "Item": item}}, {kind: at("Table")}]});
        for (operation, request, missing) in [
            ("GetItem", at("Table"), None),
            (
                "GetItem",
                at("Other"),
                Some(
                    "dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/Other ",
                ),
            ),
            ("DeleteItem", at("Table"), Some("dynamodb:DeleteItem")),
            ("UpdateItem", at("Table"), Some("dynamodb:UpdateItem")),
            ("Scan", json!({"TableName": "Table"}), Some("dynamodb:Scan")),
            (
                "Query",
                json!({"TableName": "Table", "IndexName": "due"}),
                Some(
                    "dynamodb:Query on resource: arn:aws:dynamodb:us-east-1:000000000000:table/Table/index/due ",
                ),
            ),
            (
                "BatchGetItem",
                json!({"RequestItems": {"Table": {"Keys": [item]}}}),
                Some("dynamodb:BatchGetItem"),
            ),
            (
                "BatchWriteItem",
                json!({"RequestItems": {"Table": [{"PutRequest": {"Item": item}}]}}),
                Some("dynamodb:BatchWriteItem"),
            ),
            ("TransactWriteItems", legs("ConditionCheck"), Some("dynamodb:ConditionCheckItem")),
            ("TransactWriteItems", legs("Delete"), Some("dynamodb:DeleteItem")),
            ("TransactWriteItems", legs("Update"), Some("dynamodb:UpdateItem")),
            ("TransactGetItems", json!({"TransactItems": [{"Get": at("Table")}]}), None),
        ] {
            let (status, body) = call(&dynamodb, operation, request).await;
            let message = body["message"].as_str().unwrap_or_default();
            match missing {
                None => assert_eq!(status, 200, "{operation}: {body}"),
                Some(missing) => {
                    assert!(
                        message.contains(&format!("to perform: {missing}")),
                        "{operation}: {body}"
                    );
                    assert!(body["__type"].as_str().unwrap().ends_with("#AccessDeniedException"));
                }
            }
        }
        // A transaction that is refused for one leg has done nothing.
        assert_eq!(dynamodb.items("Table").await.unwrap().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn only_functions_and_the_owner_are_known() {
        let (dynamodb, _) = open();
        let get = json!({"TableName": "Table", "Key": {"pk": {"S": "a"}}}).to_string();
        for (caller, kind) in [
            (Some("Stranger"), Some("#UnrecognizedClientException")),
            (None, Some("#MissingAuthenticationTokenException")),
            (Some(crate::OWNER), None),
        ] {
            let caller =
                caller.map(|function| Caller { function: function.into(), process: "1".into() });
            let answer = dynamodb.answer(caller.as_ref(), "GetItem", get.as_bytes());
            let super::Answer::Reply(reply) = answer else { panic!("no answer") };
            match kind {
                Some(kind) => assert!(reply.body.contains(kind), "{}", reply.body),
                None => assert_eq!(reply.status, 200),
            }
        }
    }

    #[tokio::test]
    async fn sweeps_what_expired() {
        let (dynamodb, _) = open();
        for (pk, expires_at) in [("old", "100"), ("new", "5000")] {
            let item = json!({"pk": {"S": pk}, "expires_at": {"N": expires_at}});
            call(&dynamodb, "PutItem", json!({"TableName": "Table", "Item": item})).await;
        }
        assert_eq!(dynamodb.sweep(1_000).await.unwrap(), 1);
        let items = dynamodb.items("Table").await.unwrap().unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0]["pk"]["S"], "new");
    }
}

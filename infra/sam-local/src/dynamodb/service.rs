//! The emulated `DynamoDB`: checks each call, locks the items of transactions, executes the call, and counts
//! the capacity that it consumes.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};

use super::{
    batch,
    capacity::{self, Axis},
    execute::execute,
    faults::{self, Faults, Strike},
    footprint::Footprint,
    holds::{Hold, Holds},
    inject::inject,
    key_condition, projection,
    replica::Replica,
    reply::{Answer, Reply},
    request::{ItemKey, Request},
    storage,
};
use crate::{
    activity::Doorbell,
    error::Error,
    iam::{Caller, Permissions},
    stats::Stats,
    sync::lock,
    template::Table,
};

/// Maximum number of records kept in the streams of all tables together.
const STREAM_RECORDS: usize = 100_000;

/// The stack's `DynamoDB`: the template's tables in an embedded emulator (Dynoxide), with permission checks,
/// counters, transaction locks and injected faults.
pub(crate) struct DynamoDb {
    database: Database,
    tables: Vec<Table>,
    stats: Arc<Stats>,
    permissions: Arc<Permissions>,
    /// One [`Doorbell`] per table stream. Every write to any table rings all of them, so that each stream
    /// looks for new records.
    doorbells: Vec<Arc<Doorbell>>,
    /// Delay of each reply over HTTP.
    latency: Mutex<Duration>,
    /// Time for which every transaction stays in flight with its items locked. If zero, a transaction
    /// executes at once.
    contention: Mutex<Duration>,
    holds: Arc<Holds>,
    faults: Mutex<Faults>,
}

/// The point at which a call waits when a test [holds calls](crate::Tables::hold_calls).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// Before a call that is executed in one step.
    Whole,
    /// Before a transaction's first phase, in which it locks its items.
    Lock,
    /// Before a transaction's second phase, in which it writes its items and unlocks them.
    Commit,
}

/// A call that was checked and accepted, but not yet executed.
pub(crate) struct Admitted {
    function: Option<String>,
    operation: String,
    body: Value,
    strike: Option<Strike>,
    /// For a transaction that stays in flight: its locks, and the time in flight.
    hold: Option<(Hold, Duration)>,
}

impl DynamoDb {
    /// Opens the database in `directory`, or one in memory, and creates the tables that do not exist yet.
    pub(crate) fn open(
        tables: Vec<Table>,
        directory: Option<&Path>,
        stats: Arc<Stats>,
        permissions: Arc<Permissions>,
        doorbells: Vec<Arc<Doorbell>>,
    ) -> Result<Arc<Self>, Error> {
        let opened = match directory {
            Some(directory) => Database::new(&directory.join("tables.db").to_string_lossy()),
            None => Database::memory(),
        };
        let database =
            opened.map_err(|error| Error::new(format!("cannot open the database: {error}")))?;
        storage::create(&database, &tables)?;
        if tables.iter().any(|table| table.request["StreamSpecification"].is_object()) {
            storage::prepare_streams(&database, STREAM_RECORDS)?;
        }
        Ok(Arc::new(Self {
            database,
            tables,
            stats,
            permissions,
            doorbells,
            latency: Mutex::default(),
            contention: Mutex::default(),
            holds: Arc::default(),
            faults: Mutex::default(),
        }))
    }

    /// Handles a call over HTTP: counts it, and delays the reply by the configured latency. The call is
    /// executed even if the client disconnects.
    pub(crate) async fn dispatch(
        self: &Arc<Self>,
        caller: Option<Caller>,
        operation: &str,
        body: Bytes,
    ) -> Answer {
        let counted = caller.as_ref().map(|Caller { function, process }| {
            self.stats.begin_call(function, process, operation)
        });
        let latency = counted.as_ref().map_or(Duration::ZERO, |_| *lock(&self.latency));
        let (this, operation) = (Arc::clone(self), operation.to_owned());
        let work = tokio::spawn(async move {
            let admitted = this.admit(caller.as_ref(), &operation, &body, Duration::ZERO)?;
            admitted.in_flight().await;
            tokio::task::spawn_blocking(move || this.carry_out(admitted)).await.map_err(failed)
        });
        let answer = work.await.map_err(failed).flatten().unwrap_or_else(|answer| answer);
        tokio::time::sleep(latency).await;
        answer
    }

    /// Handles a call that is made within this process, on the current task and without added latency.
    pub(crate) async fn answer(
        &self,
        caller: Option<&Caller>,
        operation: &str,
        body: &[u8],
    ) -> Answer {
        match self.admit(caller, operation, body, Duration::ZERO) {
            Ok(admitted) => {
                admitted.in_flight().await;
                self.carry_out(admitted)
            }
            Err(answer) => answer,
        }
    }

    /// Begins a transaction that is made within this process: locks its items until [`DynamoDb::commit`]. If
    /// the transaction is refused at this point, returns the error response as `Err`.
    pub(crate) fn begin(&self, caller: &Caller, body: &[u8]) -> Result<Admitted, Answer> {
        self.admit(Some(caller), "TransactWriteItems", body, Duration::MAX)
    }

    /// Commits a transaction that [`DynamoDb::begin`] has begun.
    pub(crate) fn commit(&self, begun: Admitted) -> Answer {
        self.carry_out(begun)
    }

    /// Whether a transaction in flight has locked one of the call's items. If so, the call would now be
    /// refused, or would leave entries of its batch unprocessed.
    pub(crate) fn is_locked(&self, operation: &str, body: &Value) -> bool {
        let request = Request { operation, body, tables: &self.tables };
        self.holds.check(&request).is_err()
            || self.holds.withhold(operation, &mut body.clone(), &self.tables) != json!({})
    }

    /// Accepts a call: checks the caller's permission, selects the fault to inject, if any, and locks the
    /// items of a transaction that is to stay in flight. The time in flight is the longest of three: the one
    /// set by a fault rule, the contention time, and `at_least`. If the call is refused here, returns the
    /// response as `Err`.
    fn admit(
        &self,
        caller: Option<&Caller>,
        operation: &str,
        body: &[u8],
        at_least: Duration,
    ) -> Result<Admitted, Answer> {
        let Ok(body @ Value::Object(_)) = serde_json::from_slice(body) else {
            let error = DynoxideError::SerializationException(String::new());
            return Err(Answer::Reply(Reply::error(&error)));
        };
        let function = caller.map(|caller| caller.function.as_str());
        let request = Request { operation, body: &body, tables: &self.tables };
        self.permissions
            .check(caller, &request.accesses())
            .map_err(|denied| Answer::Reply(Reply::denied(denied)))?;
        let mut faults = lock(&self.faults);
        let strike = faults.strike(function, &request);
        let is_refused = strike.as_ref().is_some_and(|strike| strike.fault.refuses());
        let time = faults.hold(function, &request).unwrap_or_default();
        drop(faults);
        let time = time.max(*lock(&self.contention)).max(at_least);
        let is_held = operation == "TransactWriteItems" && !time.is_zero() && !is_refused;
        let hold = is_held.then(|| self.holds.hold(&request)).transpose().map_err(Answer::Reply)?;
        Ok(Admitted {
            function: function.map(str::to_owned),
            operation: operation.to_owned(),
            hold: hold.map(|hold| (hold, time)),
            body,
            strike,
        })
    }

    /// Executes an accepted call, injecting its fault if there is one, and then unlocks the items of a
    /// transaction.
    fn carry_out(&self, admitted: Admitted) -> Answer {
        let Admitted { function, operation, mut body, strike, hold } = admitted;
        if hold.is_none() {
            let request = Request { operation: &operation, body: &body, tables: &self.tables };
            if let Err(refused) = self.holds.check(&request) {
                return Answer::Reply(refused);
            }
        }
        let withheld = self.holds.withhold(&operation, &mut body, &self.tables);
        let execute = |body: Value| {
            let is_empty = withheld != json!({}) && batch::size(&operation, &body) == 0;
            let mut response = if is_empty {
                json!({})
            } else {
                self.metered(function.as_deref(), &operation, body)?
            };
            batch::add_unprocessed(&operation, &mut response, withheld);
            Ok(response)
        };
        match strike {
            Some(strike) => {
                let request = Request { operation: &operation, body: &body, tables: &self.tables };
                inject(&strike, request, execute)
            }
            None => Answer::Reply(Reply::from(execute(body))),
        }
    }

    /// Executes a call and counts its capacity, which the response shows only if the request asks for it.
    fn metered(
        &self,
        function: Option<&str>,
        operation: &str,
        mut body: Value,
    ) -> Result<Value, DynoxideError> {
        let request = Request { operation, body: &body, tables: &self.tables };
        projection::check(&request)?;
        key_condition::check(&request)?;
        let asked = body["ReturnConsumedCapacity"].take();
        body["ReturnConsumedCapacity"] = json!("INDEXES");
        let mut response = execute(&self.database, operation, &body)?;
        let axis = Axis::of(operation);
        let capacity =
            response.as_object_mut().and_then(|answer| answer.remove("ConsumedCapacity"));
        let capacity = capacity.unwrap_or_default();
        self.count(function, &capacity, axis);
        match asked.as_str() {
            _ if capacity.is_null() => {}
            Some("INDEXES") => response["ConsumedCapacity"] = capacity,
            Some("TOTAL") => response["ConsumedCapacity"] = capacity::total(capacity),
            _ => {}
        }
        if axis == Axis::Write {
            self.after_write(&Request { operation, body: &body, tables: &self.tables });
        }
        Ok(response)
    }

    fn count(&self, function: Option<&str>, capacity: &Value, axis: Axis) {
        let Some(function) = function else { return };
        let (read, written) = capacity::consumed(capacity, axis);
        self.stats.count(function, |counters| {
            counters.dynamodb.rcu += read;
            counters.dynamodb.wcu += written;
            if written > 0.0 {
                for (place, units) in capacity::by_table_and_index(capacity) {
                    *counters.dynamodb.written.entry(place).or_default() += units;
                }
            }
        });
    }

    fn after_write(&self, request: &Request<'_>) {
        let replicas = lock(&self.faults).replicas();
        for replica in replicas {
            lock(&replica).learn(&self.database, &request.written());
        }
        self.ring();
    }

    fn ring(&self) {
        self.doorbells.iter().for_each(|doorbell| doorbell.ring());
    }

    /// Delays each reply over HTTP by `latency` from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    /// From now on, keeps every transaction in flight for `time`, with its items locked.
    pub(crate) fn set_contention(&self, time: Duration) {
        *lock(&self.contention) = time;
    }

    /// Replaces the fault-injection rules with `rules`, a list in JSON.
    pub(crate) fn set_faults(&self, rules: &[u8]) -> Result<(), Error> {
        let rules = faults::parse(rules, &self.stats.functions(), &self.table_ids())?;
        let copy = || Replica::of(&self.database, &self.tables);
        lock(&self.faults).set(rules, copy)
    }

    /// Returns the fault-injection rules in JSON, each with its counters `seen` (calls that met the rule's
    /// conditions) and `hits` (calls that got the fault).
    pub(crate) fn faults(&self) -> Value {
        lock(&self.faults).report()
    }

    /// Executes a call that the stack itself makes. Such a call is neither counted nor blocked by locked
    /// items.
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

    /// Returns all items of the table with this logical id; `None` if there is no such table.
    pub(crate) async fn items(self: &Arc<Self>, id: &str) -> Option<Result<Vec<Value>, Error>> {
        let name = self.tables.iter().find(|table| table.id == id)?.name.clone();
        let this = Arc::clone(self);
        let scan = move || storage::scan(&this.database, json!({"TableName": name}));
        Some(join(tokio::task::spawn_blocking(scan).await))
    }

    /// Returns all items of the table with this logical id, like [`DynamoDb::items`], but needs no async
    /// runtime and blocks the calling thread.
    pub(crate) fn items_blocking(&self, id: &str) -> Option<Result<Vec<Value>, Error>> {
        let name = self.tables.iter().find(|table| table.id == id)?.name.clone();
        let items = storage::scan(&self.database, json!({"TableName": name}));
        Some(items.map_err(|error| Error::new(error.to_string())))
    }

    /// Returns the [`Footprint`] of a call, or of one phase of it: the data that it reads and writes, given
    /// the present content of the tables.
    pub(crate) fn footprint(&self, operation: &str, phase: Phase, body: &Value) -> Footprint {
        let item_at = |key: &ItemKey| {
            let get = json!({"TableName": key.table, "Key": key.key, "ConsistentRead": true});
            execute(&self.database, "GetItem", &get).map(|mut found| found["Item"].take())
        };
        let request = Request { operation, body, tables: &self.tables };
        let item_at = |key: &ItemKey| item_at(key).unwrap_or_default();
        match phase {
            Phase::Whole => Footprint::of(&request, item_at),
            Phase::Lock => Footprint::of_lock(&request),
            Phase::Commit => Footprint::of_commit(&request, item_at),
        }
    }

    /// Returns a copy of all items of all tables.
    pub(crate) fn copy(&self) -> Result<storage::Copy, Error> {
        storage::copy(&self.database, &self.tables)
    }

    /// Restores all tables to the items in `copy`.
    pub(crate) fn restore(&self, copy: &storage::Copy) -> Result<(), Error> {
        storage::restore(&self.database, &self.tables, copy)
    }

    /// Imports items into the table with this name. They appear in no stream.
    pub(crate) fn load(&self, table: &str, items: Vec<Value>) -> Result<(), Error> {
        storage::load(&self.database, table, items)
    }

    /// Deletes the items that have expired by `now` (seconds since 1970), and returns their number.
    pub(crate) async fn sweep(self: &Arc<Self>, now: i64) -> Result<usize, Error> {
        let this = Arc::clone(self);
        let sweep = move || storage::sweep(&this.database, &this.tables, now);
        let swept = join(tokio::task::spawn_blocking(sweep).await)?;
        self.ring();
        Ok(swept)
    }

    /// Returns the logical ids of all tables.
    pub(crate) fn table_ids(&self) -> Vec<&str> {
        self.tables.iter().map(|table| table.id.as_str()).collect()
    }
}

impl Admitted {
    /// Waits while the transaction is to stay in flight. Returns at once for any other call.
    async fn in_flight(&self) {
        if let Some((_, time)) = self.hold {
            tokio::time::sleep(time).await;
        }
    }
}

/// Returns the error response to a call whose task panicked.
fn failed(error: tokio::task::JoinError) -> Answer {
    Answer::Reply(Reply::error(&DynoxideError::InternalServerError(error.to_string())))
}

fn join<T>(done: Result<Result<T, DynoxideError>, tokio::task::JoinError>) -> Result<T, Error> {
    done.map_err(|error| Error::new(error.to_string()))?
        .map_err(|error| Error::new(error.to_string()))
}

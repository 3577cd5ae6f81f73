//! The model of a template: the resources that the local stack emulates, with all intrinsic functions
//! evaluated.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{cors::Cors, pattern::Pattern, policy::Statement, schedule::Expression};

/// The resources of a template that the stack emulates.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) functions: Vec<Function>,
    pub(crate) routes: Vec<Route>,
    /// CORS configuration of the HTTP API; `None`: pages of other origins cannot read its responses.
    pub(crate) cors: Option<Cors>,
    pub(crate) tables: Vec<Table>,
    pub(crate) keys: Vec<Key>,
    /// Names of the event buses, without `default`.
    pub(crate) buses: Vec<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) streams: Vec<StreamMapping>,
    /// Paths of the parts of the template that have an effect on AWS but are not emulated.
    pub(crate) unsupported: Vec<String>,
}

/// A Lambda function; its name is its logical id.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) id: String,
    /// File name of the function's executable.
    pub(crate) binary: String,
    pub(crate) handler: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) memory_mb: i64,
    pub(crate) log_format: String,
    pub(crate) log_level: Option<String>,
    /// Reserved concurrency; `None`: not limited.
    pub(crate) concurrency: Option<usize>,
    /// Maximum number of retries of a failed asynchronous invocation.
    pub(crate) async_retries: u32,
    /// Statements of the function's policies.
    pub(crate) statements: Vec<Statement>,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// HTTP method, such as `GET`, or `ANY`.
    pub(crate) method: String,
    /// Path, such as `/pets/{id}`, or `$default`.
    pub(crate) path: String,
    /// Logical id of the function that handles the route.
    pub(crate) function: String,
}

/// A table, with the `CreateTable` request that creates it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) request: Value,
    pub(crate) ttl_attribute: Option<String>,
}

impl Table {
    /// Returns the description of the secondary index with this name, and whether it is a global one.
    pub(crate) fn index(&self, name: &str) -> Option<(&Value, bool)> {
        let find = |kind: &str| {
            self.request[kind].as_array()?.iter().find(|index| index["IndexName"] == name)
        };
        let global = find("GlobalSecondaryIndexes").map(|index| (index, true));
        global.or_else(|| find("LocalSecondaryIndexes").map(|index| (index, false)))
    }
}

/// Returns the names of the key attributes in the description of a table or an index, partition key first.
pub(crate) fn key_names(described: &Value) -> impl Iterator<Item = &str> {
    let keys = described["KeySchema"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["AttributeName"].as_str())
}

/// A KMS key; its key id is its logical id.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) spec: String,
    pub(crate) usage: String,
}

/// An event rule: events of `bus` that match `pattern` go to `functions`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) bus: String,
    pub(crate) pattern: Pattern,
    pub(crate) functions: Vec<String>,
}

/// A schedule that invokes a function.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) expression: Expression,
    pub(crate) function: String,
    /// Payload of the invocation; `None`: the event that EventBridge sends by default.
    pub(crate) input: Option<Value>,
    /// Whether the schedule belongs to EventBridge Scheduler (`ScheduleV2`); otherwise it belongs to an event
    /// rule.
    pub(crate) scheduler: bool,
}

/// An event source mapping: records of a table's stream go to a function.
#[derive(Debug)]
pub(crate) struct StreamMapping {
    pub(crate) id: String,
    pub(crate) table: String,
    pub(crate) stream_arn: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    /// Maximum number of batches that are delivered concurrently. Two concurrent batches never have records
    /// of the same item.
    pub(crate) parallelization: usize,
    /// Maximum number of retries of a failed batch; `None`: it is retried until it succeeds.
    pub(crate) retries: Option<u32>,
    pub(crate) bisect: bool,
    pub(crate) reports_failures: bool,
    /// Patterns of the records to deliver: a record must match at least one. Without patterns, all records are
    /// delivered.
    pub(crate) filters: Vec<Pattern>,
    /// ARN of the dead-letter queue.
    pub(crate) dead_letters: Option<String>,
}

//! A copy of the tables that lags behind, for eventually consistent reads.

use std::collections::VecDeque;

use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};

use super::{execute::execute, request::ItemKey, storage};
use crate::{error::Error, template::Table};

/// Maximum number of writes that a copy can lag behind.
pub(super) const MAX_WRITES: usize = 10_000;

/// A copy of the tables, and the latest writes, which are not yet applied to it.
pub(super) struct Replica {
    database: Database,
    behind: VecDeque<Vec<(ItemKey, Value)>>,
}

impl Replica {
    /// Returns a copy of the present content of `original`.
    pub(super) fn of(original: &Database, tables: &[Table]) -> Result<Self, Error> {
        let failed = |error: DynoxideError| Error::new(error.to_string());
        let database = Database::memory().map_err(failed)?;
        storage::create(&database, tables)?;
        for table in tables {
            let name = &table.name;
            for item in storage::scan(original, json!({"TableName": name})).map_err(failed)? {
                execute(&database, "PutItem", &json!({"TableName": name, "Item": item}))
                    .map_err(failed)?;
            }
        }
        Ok(Self { database, behind: VecDeque::new() })
    }

    /// Queues a write that was just made in `original`: the new content of the items at `keys`.
    pub(super) fn learn(&mut self, original: &Database, keys: &[ItemKey]) {
        let now_at = |key: &ItemKey| {
            let get = json!({"TableName": key.table, "Key": key.key, "ConsistentRead": true});
            let mut found = execute(original, "GetItem", &get).ok()?;
            Some((key.clone(), found["Item"].take()))
        };
        self.behind.push_back(keys.iter().filter_map(now_at).collect());
        // No rule reads further back. If a write cannot be applied, the next query fails, too.
        let _ = self.catch_up(MAX_WRITES);
    }

    /// Executes a query on the tables as they were `writes` writes ago.
    pub(super) fn query(&mut self, query: &Value, writes: usize) -> Result<Value, DynoxideError> {
        self.catch_up(writes)?;
        execute(&self.database, "Query", query)
    }

    /// Applies all queued writes except the latest `writes`.
    fn catch_up(&mut self, writes: usize) -> Result<(), DynoxideError> {
        while self.behind.len() > writes {
            for (key, item) in self.behind.front().into_iter().flatten() {
                self.apply(key, item)?;
            }
            self.behind.pop_front();
        }
        Ok(())
    }

    fn apply(&self, key: &ItemKey, item: &Value) -> Result<(), DynoxideError> {
        let table = &key.table;
        let done = if item.is_null() {
            execute(&self.database, "DeleteItem", &json!({"TableName": table, "Key": key.key}))
        } else {
            execute(&self.database, "PutItem", &json!({"TableName": table, "Item": item}))
        };
        done.map(drop)
    }
}

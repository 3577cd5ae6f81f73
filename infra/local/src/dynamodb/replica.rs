//! A copy of the tables that lags behind: what a real index, or a read that need not be consistent,
//! may show.

use std::collections::VecDeque;

use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};

use super::{execute, request::Place, tables};
use crate::{Error, template};

/// The copy, and the writes that it has not seen.
pub(super) struct Replica {
    database: Database,
    behind: VecDeque<Vec<(Place, Value)>>,
}

impl Replica {
    /// A copy of `original` as it is.
    pub(super) fn of(original: &Database, tables: &[template::Table]) -> Result<Self, Error> {
        let failed = |error: DynoxideError| Error::new(error.to_string());
        let database = Database::memory().map_err(failed)?;
        tables::create(&database, tables)?;
        for table in tables {
            let name = &table.name;
            for item in tables::scan(original, json!({"TableName": name})).map_err(failed)? {
                execute(&database, "PutItem", &json!({"TableName": name, "Item": item}))
                    .map_err(failed)?;
            }
        }
        Ok(Self { database, behind: VecDeque::new() })
    }

    /// Learns of a write, by what is at `places` in `original` after it.
    pub(super) fn learn(&mut self, original: &Database, places: &[Place]) {
        let now_at = |place: &Place| {
            let get = json!({"TableName": place.table, "Key": place.key, "ConsistentRead": true});
            let mut found = execute(original, "GetItem", &get).ok()?;
            Some((place.clone(), found["Item"].take()))
        };
        self.behind.push_back(places.iter().filter_map(now_at).collect());
    }

    /// Answers a query as it would have been answered `writes` writes ago.
    pub(super) fn query(&mut self, query: &Value, writes: usize) -> Result<Value, DynoxideError> {
        while self.behind.len() > writes {
            for (place, item) in self.behind.pop_front().into_iter().flatten() {
                self.apply(&place, &item)?;
            }
        }
        execute(&self.database, "Query", query)
    }

    fn apply(&self, place: &Place, item: &Value) -> Result<(), DynoxideError> {
        let table = &place.table;
        let done = if item.is_null() {
            execute(&self.database, "DeleteItem", &json!({"TableName": table, "Key": place.key}))
        } else {
            execute(&self.database, "PutItem", &json!({"TableName": table, "Item": item}))
        };
        done.map(drop)
    }
}

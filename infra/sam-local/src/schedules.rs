//! Runs the template's scheduled functions, by virtual time.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    aws::{ACCOUNT, REGION, arn},
    clock::{Clock, unique_id},
    error::Error,
    lambda::Functions,
    sync::lock,
    template,
};

/// Interval at which due schedules are looked for.
const TICK: Duration = Duration::from_millis(500);

/// The template's schedules, and the next due time of each.
pub(crate) struct Schedules {
    by_id: BTreeMap<String, template::Schedule>,
    due: Mutex<BTreeMap<String, Timestamp>>,
    clock: Arc<Clock>,
    functions: Arc<Functions>,
}

impl Schedules {
    pub(crate) fn new(
        schedules: Vec<template::Schedule>,
        clock: Arc<Clock>,
        functions: Arc<Functions>,
        resumed: bool,
    ) -> Arc<Self> {
        let by_id: BTreeMap<_, _> =
            schedules.into_iter().map(|schedule| (schedule.id.clone(), schedule)).collect();
        let now = clock.now();
        // A stack with kept data may have missed due times while it was down, so all are due at once.
        let next = |schedule: &template::Schedule| {
            if resumed { Some(now) } else { schedule.expression.next_after(now) }
        };
        let due = by_id.iter().filter_map(|(id, one)| Some((id.clone(), next(one)?))).collect();
        let due = Mutex::new(due);
        Arc::new(Self { by_id, due, clock, functions })
    }

    /// Invokes the functions of due schedules, for as long as the stack runs.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            for id in self.take_due(SignedDuration::ZERO).unwrap_or_default() {
                let schedule = &self.by_id[&id];
                self.functions.invoke_later(&schedule.function, self.event(schedule), &id);
            }
        }
    }

    /// Moves virtual time forward by `by`, awaits `before_firing`, and then runs every schedule that is due,
    /// once each. Returns the functions' results by schedule id.
    pub(crate) async fn advance(
        &self,
        by: SignedDuration,
        before_firing: impl AsyncFnOnce(),
    ) -> Result<BTreeMap<String, Value>, Error> {
        let due = self.take_due(by)?;
        before_firing().await;
        let mut results = BTreeMap::new();
        for id in due {
            if let Some(result) = self.fire(&id).await {
                results.insert(id, result);
            }
        }
        Ok(results)
    }

    /// Runs a schedule now and returns the function's result; `None` if there is no such schedule.
    pub(crate) async fn fire(&self, id: &str) -> Option<Value> {
        let schedule = self.by_id.get(id)?;
        let answer = self.functions.invoke(&schedule.function, self.event(schedule)).await;
        Some(match answer {
            Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
            Err(failure) => failure.payload(),
        })
    }

    /// Returns the logical ids of all schedules.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.by_id.keys().map(String::as_str).collect()
    }

    /// Moves virtual time forward by `advance`, and returns the ids of the schedules that have become due. A
    /// lock prevents `run` and `advance` from both taking the same schedule.
    fn take_due(&self, advance: SignedDuration) -> Result<Vec<String>, Error> {
        let mut times = lock(&self.due);
        let now = self.clock.advance(advance)?;
        let due: Vec<_> =
            times.iter().filter(|(_, time)| **time <= now).map(|(id, _)| id.clone()).collect();
        for id in &due {
            match self.by_id[id].expression.next_after(now) {
                Some(next) => times.insert(id.clone(), next),
                None => times.remove(id),
            };
        }
        Ok(due)
    }

    fn event(&self, schedule: &template::Schedule) -> Bytes {
        let (source, resource, detail) = if schedule.scheduler {
            (
                "aws.scheduler",
                arn("scheduler", &format!("schedule/default/{}", schedule.id)),
                json!("{}"),
            )
        } else {
            ("aws.events", arn("events", &format!("rule/{}", schedule.id)), json!({}))
        };
        let usual = || {
            json!({
                "version": "0",
                "id": unique_id(),
                "detail-type": "Scheduled Event",
                "source": source,
                "account": ACCOUNT,
                "time": self.clock.now_to_the_second(),
                "region": REGION,
                "resources": [resource],
                "detail": detail,
            })
        };
        let event = schedule.input.clone().unwrap_or_else(usual);
        event.to_string().into()
    }
}

//! Scheduled functions, in virtual time.

pub(crate) mod expression;

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    ACCOUNT, Error, REGION,
    clock::{Clock, unique_id},
    lambda::Lambda,
    lock, template,
};
pub(crate) use expression::Expression;

/// How often the schedules look at the clock.
const TICK: Duration = Duration::from_millis(500);

/// The template's schedules and when each is due next.
pub(crate) struct Schedules {
    by_id: BTreeMap<String, template::Schedule>,
    due: Mutex<BTreeMap<String, Timestamp>>,
    clock: Arc<Clock>,
    lambda: Arc<Lambda>,
}

impl Schedules {
    pub(crate) fn new(
        schedules: Vec<template::Schedule>,
        clock: Arc<Clock>,
        lambda: Arc<Lambda>,
        resumed: bool,
    ) -> Arc<Self> {
        let by_id: BTreeMap<_, _> =
            schedules.into_iter().map(|schedule| (schedule.id.clone(), schedule)).collect();
        let now = clock.now();
        // What came due while a stack with data was down is due when it is up again.
        let next = |schedule: &template::Schedule| {
            if resumed { Some(now) } else { schedule.expression.next_after(now) }
        };
        let due = by_id.iter().filter_map(|(id, one)| Some((id.clone(), next(one)?))).collect();
        let due = Mutex::new(due);
        Arc::new(Self { by_id, due, clock, lambda })
    }

    /// Calls the functions as their times come, for as long as the stack runs.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            for id in self.take_due(SignedDuration::ZERO).unwrap_or_default() {
                let schedule = &self.by_id[&id];
                self.lambda.invoke_later(&schedule.function, self.event(schedule), &id);
            }
        }
    }

    /// Moves the clock, then calls what became due, each once; gives the functions' results.
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

    /// Calls the function of a schedule now; gives its result. `None`: there is no such schedule.
    pub(crate) async fn fire(&self, id: &str) -> Option<Value> {
        let schedule = self.by_id.get(id)?;
        let answer = self.lambda.invoke(&schedule.function, self.event(schedule)).await;
        Some(match answer {
            Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
            Err(failure) => failure.payload(),
        })
    }

    /// Names of all schedules.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.by_id.keys().map(String::as_str).collect()
    }

    /// The schedules that are due once the clock has moved, each to be called exactly once:
    /// the lock keeps `run` and `advance` from both taking one.
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
            ("aws.scheduler", format!("scheduler:{REGION}:{ACCOUNT}:schedule/default"), json!("{}"))
        } else {
            ("aws.events", format!("events:{REGION}:{ACCOUNT}:rule"), json!({}))
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
                "resources": [format!("arn:aws:{resource}/{}", schedule.id)],
                "detail": detail,
            })
        };
        let event = schedule.input.clone().unwrap_or_else(usual);
        event.to_string().into()
    }
}

//! Virtual time: the machine's clock plus an offset that only grows.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{error::Error, state, sync::lock};

/// The stack's clock. Its offset survives a restart if the stack keeps its data.
pub(crate) struct Clock {
    offset: Mutex<SignedDuration>,
    file: Option<PathBuf>,
}

impl Clock {
    /// Returns a clock that keeps its offset in `directory`, if there is one.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, Error> {
        let file = directory.map(|directory| directory.join("clock.json"));
        let saved = file.as_deref().map(state::read).transpose()?.unwrap_or_default();
        let seconds = saved["offset_seconds"].as_i64().unwrap_or_default();
        Ok(Self { offset: Mutex::new(SignedDuration::from_secs(seconds)), file })
    }

    /// Returns virtual time.
    pub(crate) fn now(&self) -> Timestamp {
        real_now() + *lock(&self.offset)
    }

    /// Returns virtual time in whole seconds, as AWS events carry it: `2026-11-20T10:07:30Z`.
    pub(crate) fn now_to_the_second(&self) -> String {
        let now = self.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
    }

    /// Returns the number of seconds by which virtual time is ahead of the machine's clock.
    pub(crate) fn offset_seconds(&self) -> i64 {
        lock(&self.offset).as_secs()
    }

    /// Moves virtual time forward by `by`, and returns it. Fails if `by` is negative, or if virtual
    /// time would pass the year 9999.
    pub(crate) fn advance(&self, by: SignedDuration) -> Result<Timestamp, Error> {
        let mut offset = lock(&self.offset);
        let moved = offset.checked_add(by).filter(|_| !by.is_negative());
        let now = moved.and_then(|moved| real_now().checked_add(moved).ok());
        let (Some(moved), Some(now)) = (moved, now) else {
            return Err(Error::new("the clock moves forward only, and not past the year 9999"));
        };
        if moved != *offset {
            *offset = moved;
            if let Some(file) = &self.file {
                state::write(file, &json!({"offset_seconds": moved.as_secs()}))?;
            }
        }
        Ok(now)
    }
}

/// Returns the time of the machine's clock, by which a function measures its deadline.
#[expect(clippy::disallowed_methods, reason = "the one place where the local stack reads time")]
pub(crate) fn real_now() -> Timestamp {
    Timestamp::now()
}

/// Returns a new request id for the gateway, in the form of API Gateway's ids: `JKJaXmPLvHcESHA=`.
pub(crate) fn gateway_request_id() -> String {
    let id = uuid::Uuid::new_v7(timestamp());
    // The first bytes, which are the time, are left out.
    URL_SAFE.encode(&id.as_bytes()[5..])
}

/// Returns a new id for an invocation, an event or a process: a `UUIDv7`.
pub(crate) fn unique_id() -> String {
    uuid::Uuid::new_v7(timestamp()).to_string()
}

fn timestamp() -> uuid::Timestamp {
    let now = real_now();
    let seconds = now.as_second().unsigned_abs();
    let nanoseconds = now.subsec_nanosecond().unsigned_abs();
    uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds)
}

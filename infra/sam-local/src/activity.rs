//! Background work of the stack: counts the work in progress, wakes streams, and keeps dead letters.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::{history::History, sync::lock};

/// Counts background work and keeps dead letters.
pub(crate) struct Activity {
    running: watch::Sender<usize>,
    dead_letters: History<Value>,
}

/// An RAII guard for a piece of background work: the work counts as running until the guard is dropped.
pub(crate) struct Busy(Arc<Activity>);

/// Wakes a stream after a write. The stack counts as busy from a call of [`ring`](Self::ring) until the
/// stream has delivered its records.
pub(crate) struct Doorbell {
    activity: Arc<Activity>,
    busy: Mutex<Option<Busy>>,
    bell: Notify,
}

impl Activity {
    /// Returns an `Activity` in which no work is running. It keeps the latest `kept` dead letters.
    pub(crate) fn new(kept: usize) -> Arc<Self> {
        Arc::new(Self { running: watch::Sender::new(0), dead_letters: History::new(kept) })
    }

    /// Counts a piece of background work as running until the returned guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.running.send_modify(|running| *running += 1);
        Busy(Arc::clone(self))
    }

    /// Waits until no background work is running.
    pub(crate) async fn settled(&self) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// Keeps a dead letter: an event that is not tried again, its `cause` (such as a rule), the function
    /// that failed, and the last failure.
    pub(crate) fn give_up(&self, cause: &str, function: &str, event: &Value, reason: &Value) {
        self.dead_letters.push(json!({
            "cause": cause,
            "function": function,
            "event": event,
            "reason": reason,
        }));
    }

    /// Returns the dead letters, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        self.dead_letters.entries()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

impl Doorbell {
    pub(crate) fn new(activity: &Arc<Activity>) -> Arc<Self> {
        let activity = Arc::clone(activity);
        Arc::new(Self { activity, busy: Mutex::default(), bell: Notify::new() })
    }

    pub(crate) fn ring(&self) {
        lock(&self.busy).get_or_insert_with(|| self.activity.begin());
        self.bell.notify_one();
    }

    /// Waits for the next [`ring`](Self::ring). The stack counts as busy until the returned guard is dropped;
    /// `None` if an earlier call has taken the guard of this ring.
    pub(crate) async fn rung(&self) -> Option<Busy> {
        self.bell.notified().await;
        lock(&self.busy).take()
    }
}

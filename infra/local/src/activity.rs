//! Work nobody waits for: how much of it is under way, and what was given up.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::lock;

/// Counts background work and keeps what failed for good.
pub(crate) struct Activity {
    running: watch::Sender<usize>,
    dead_letters: Mutex<Vec<Value>>,
}

/// A piece of background work; it is over when this is dropped.
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { running: watch::Sender::new(0), dead_letters: Mutex::default() })
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.running.send_modify(|running| *running += 1);
        Busy(Arc::clone(self))
    }

    /// Waits until nothing is under way.
    pub(crate) async fn settled(&self) {
        // The sender is ours, so waiting cannot fail.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// Records what will not be tried again: the event, whom it was for, and why.
    pub(crate) fn give_up(&self, cause: &str, function: &str, event: &Value, reason: &Value) {
        lock(&self.dead_letters).push(json!({
            "cause": cause,
            "function": function,
            "event": event,
            "reason": reason,
        }));
    }

    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        lock(&self.dead_letters).clone()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

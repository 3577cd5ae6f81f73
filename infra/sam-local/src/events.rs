//! `EventBridge`: event buses and their rules.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::{
    aws::{ACCOUNT, REGION, arn},
    clock::{Clock, unique_id},
    history::History,
    iam::Access,
    lambda::Functions,
    template::Rule,
};

/// Maximum number of entries in one `PutEvents`.
const MAX_ENTRIES: usize = 10;

/// Number of events by which a receiver of [`Events::listen`] may lag behind. Beyond it, the receiver misses
/// the oldest events.
const MAX_BEHIND: usize = 1_024;

/// The template's buses and rules.
pub(crate) struct Events {
    buses: BTreeSet<String>,
    rules: Vec<Rule>,
    functions: Arc<Functions>,
    clock: Arc<Clock>,
    seen: History<Value>,
    heard: broadcast::Sender<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
    /// Time of the event, in seconds since 1970.
    time: Option<f64>,
    #[serde(default)]
    resources: Vec<String>,
}

/// The refusal of an entry of `PutEvents`: error code and message, as in the call's response.
struct Refusal(&'static str, String);

/// Returns the actions on event buses for which the caller of `PutEvents` with this body needs permission.
pub(crate) fn accesses(body: &[u8]) -> Vec<Access<'static>> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = request["Entries"].as_array().into_iter().flatten();
    let access = |entry: &Value| {
        let bus = bus_name(entry["EventBusName"].as_str());
        let resource = arn("events", &format!("event-bus/{bus}"));
        Access { action: "events:PutEvents".to_owned(), resource, partitions: Vec::new() }
    };
    entries.map(access).collect()
}

/// Returns the bus name from the `EventBusName` of an entry, which may be a name or an ARN; `default` if
/// there is none.
fn bus_name(bus: Option<&str>) -> &str {
    bus.unwrap_or("default").rsplit("event-bus/").next().unwrap_or_default()
}

impl Events {
    pub(crate) fn new(
        buses: Vec<String>,
        rules: Vec<Rule>,
        functions: Arc<Functions>,
        clock: Arc<Clock>,
        kept: usize,
    ) -> Arc<Self> {
        let buses = buses.into_iter().chain(["default".to_owned()]).collect();
        let (seen, heard) = (History::new(kept), broadcast::Sender::new(MAX_BEHIND));
        Arc::new(Self { buses, rules, functions, clock, seen, heard })
    }

    /// Returns the events that were put on any bus, oldest first, as `{"bus", "rules", "event"}`; `rules` are
    /// the ids of the rules that matched.
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.entries()
    }

    /// Returns a receiver of the events that are put on any bus from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Value> {
        self.heard.subscribe()
    }

    /// Handles `PutEvents`: returns the response, with a result for each entry. Fails with a message if the
    /// request is malformed.
    pub(crate) fn put(&self, body: &[u8]) -> Result<Value, String> {
        let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if request.entries.is_empty() || request.entries.len() > MAX_ENTRIES {
            return Err(format!("PutEvents takes 1 to {MAX_ENTRIES} entries"));
        }
        let results: Vec<_> = request.entries.iter().map(|entry| self.put_one(entry)).collect();
        let failed = results.iter().filter(|result| result.is_err()).count();
        let entries: Vec<_> = results
            .into_iter()
            .map(|result| match result {
                Ok(id) => json!({"EventId": id}),
                Err(Refusal(code, message)) => json!({"ErrorCode": code, "ErrorMessage": message}),
            })
            .collect();
        Ok(json!({"FailedEntryCount": failed, "Entries": entries}))
    }

    /// Puts an event of an AWS service on the default bus.
    pub(crate) fn put_of_service(&self, source: &str, detail_type: &str, detail: &Value) {
        let event = Self::event(source, detail_type, detail, self.clock.now_to_the_second(), &[]);
        self.route("default", &event);
    }

    fn put_one(&self, entry: &Entry) -> Result<String, Refusal> {
        let bus = bus_name(entry.event_bus_name.as_deref());
        if !self.buses.contains(bus) {
            let message = format!("Event bus {bus} does not exist.");
            return Err(Refusal("ResourceNotFoundException", message));
        }
        let event = self.envelope(entry)?;
        self.route(bus, &event);
        Ok(event["id"].as_str().unwrap_or_default().to_owned())
    }

    fn envelope(&self, entry: &Entry) -> Result<Value, Refusal> {
        let missing = |name: &str| Refusal("InvalidArgument", format!("{name} is required."));
        let source = entry.source.as_deref().ok_or_else(|| missing("Source"))?;
        let detail_type = entry.detail_type.as_deref().ok_or_else(|| missing("DetailType"))?;
        let detail = entry.detail.as_deref().ok_or_else(|| missing("Detail"))?;
        let Ok(detail @ Value::Object(_)) = serde_json::from_str(detail) else {
            return Err(Refusal("MalformedDetail", "Detail is malformed.".into()));
        };
        let time = entry.time().unwrap_or_else(|| self.clock.now_to_the_second());
        Ok(Self::event(source, detail_type, &detail, time, &entry.resources))
    }

    fn event(
        source: &str,
        detail_type: &str,
        detail: &Value,
        time: String,
        resources: &[String],
    ) -> Value {
        json!({
            "version": "0",
            "id": unique_id(),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": time,
            "region": REGION,
            "resources": resources,
            "detail": detail,
        })
    }

    fn route(&self, bus: &str, event: &Value) {
        let matches = |rule: &&Rule| rule.bus == bus && rule.pattern.matches(event);
        let rules: Vec<_> = self.rules.iter().filter(matches).collect();
        for rule in &rules {
            for function in &rule.functions {
                self.functions.invoke_later(function, event.to_string().into(), &rule.id);
            }
        }
        let rules: Vec<_> = rules.iter().map(|rule| &rule.id).collect();
        let seen = json!({"bus": bus, "rules": rules, "event": event});
        self.seen.push(seen);
        // Fails if nobody listens.
        let _ = self.heard.send(event.clone());
    }
}

impl Entry {
    fn time(&self) -> Option<String> {
        #[expect(clippy::cast_possible_truncation, reason = "EventBridge times are whole seconds")]
        let seconds = self.time?.floor() as i64;
        Timestamp::from_second(seconds).ok().map(|time| time.to_string())
    }
}

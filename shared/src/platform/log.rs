//! The log: one JSON object per line, with fields of one list and no others.
//!
//! Whatever else an event carries is dropped, whoever logs it: a careless line in this repository loses
//! a field and not a secret, and so does one in a library. A message that is not in the list may have
//! been put together from anything, so it gives way to the place where it was said.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Every field there is. None is personal; `cause` is the text of an
/// [internal error](crate::domain::Error::cause), which holds nothing that a client sent.
const FIELDS: [&str; 10] = [
    "at",
    "cause",
    "count",
    "customer_id",
    "duration_ms",
    "hashes",
    "reason",
    "request_id",
    "route",
    "status",
];

/// Every message there is.
const MESSAGES: [&str; 8] = [
    "cannot start",
    "event failed",
    "left undone",
    "panic",
    "purge failed",
    "request",
    "request failed",
    "unknown things",
];

/// No text is longer.
const LONGEST: usize = 512;

/// Where this library's own events come from; those of others have fields that mean something else.
const OURS: &str = "shared";

/// Sends the log of this process to standard error.
pub(crate) fn start() {
    let lines = Lines(std::io::stderr).with_filter(LevelFilter::INFO);
    // Fails only if there is a log already.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

struct Lines<W>(W);

#[derive(Serialize)]
struct Line {
    timestamp: String,
    level: &'static str,
    #[serde(flatten)]
    fields: BTreeMap<&'static str, Value>,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        if metadata.target().split("::").next() == Some(OURS) {
            event.record(&mut fields);
        }
        if !fields.0.contains_key("message") {
            let line = metadata.line().unwrap_or_default();
            let place = || Value::String(format!("{}:{line}", metadata.target()));
            fields.0.entry("at").or_insert_with(place);
        }
        let mut timestamp = String::new();
        // A line without a time is better than none.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let line = Line { timestamp, level: metadata.level().as_str(), fields: fields.0 };
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            // There is no other place to complain.
            let _ = self.0.make_writer().write_all(&line);
        }
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        if FIELDS.contains(&field.name()) {
            self.0.insert(field.name(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.chars().take(LONGEST).collect::<String>());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            if let Some(known) = MESSAGES.into_iter().find(|known| *known == text) {
                self.0.insert("message", known.into());
            }
        } else {
            self.record_str(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Value {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = Lines(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        line.as_object_mut().unwrap().remove("timestamp");
        line
    }

    #[test]
    fn known_fields_and_messages_are_shown() {
        let line = logged(|| tracing::info!(route = "GET /", status = 200_u64, "request"));
        let expected = r#"{"level":"INFO","message":"request","route":"GET /","status":200}"#;
        assert_eq!(line, serde_json::from_str::<Value>(expected).unwrap());
    }

    #[test]
    fn careless_lines_lose_what_they_should_not_say() {
        let email = "ann@example.com";
        for line in [
            logged(|| tracing::info!(email, "request")),
            logged(|| tracing::info!(who = ?email, "request")),
            logged(|| tracing::warn!("{email} wrote")),
            logged(|| tracing::error!(target: "hyper::proto", cause = email, "request")),
            logged(|| tracing::error!(target: "shared_by_others", cause = email, "request")),
        ] {
            assert!(!line.to_string().contains("ann"), "{line}");
        }
        let line = logged(|| tracing::warn!("{email} wrote"));
        assert!(
            line["at"].as_str().unwrap().starts_with("shared::platform::log::tests:"),
            "{line}"
        );
        let line = logged(|| tracing::error!(target: "hyper::proto", cause = email, "request"));
        assert!(line["at"].as_str().unwrap().starts_with("hyper::proto:"), "{line}");
    }

    #[test]
    fn no_text_makes_a_line_of_its_own_or_a_long_one() {
        let cause = format!("\n{{\"level\":\"ERROR\"}}\u{1b}[31m{}", "x".repeat(1_000_000));
        let line = logged(|| tracing::error!(cause, "request failed"));
        assert_eq!(line["cause"].as_str().unwrap(), &cause[..LONGEST]);
        assert_eq!(line["level"], "ERROR");
    }
}

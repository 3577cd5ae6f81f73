//! The log: one JSON object per line on standard error.
//!
//! What this crate logs is a [`LogEntry`], so a message or field that is not declared here does not compile.
//! `tracing` events of libraries may contain anything, so only their level and source location are logged.

use serde::{Serialize, Serializer};
use tracing::{Event as LibraryEvent, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::clock::Clock;
use crate::domain::{Actor, Customer, Error, Event, Id};

/// Maximum length of a text, in characters.
const MAX_TEXT: usize = 512;

/// Every message that this crate logs, with its fields. None of the fields is personal data.
#[derive(Serialize)]
#[serde(tag = "message")]
pub(crate) enum LogEntry<'a> {
    /// A function cannot start, because it cannot build its handler context.
    #[serde(rename = "cannot start")]
    CannotStart {
        /// The cause: a setting that is missing or malformed.
        cause: Cause<'a>,
    },
    /// A request was answered.
    #[serde(rename = "request")]
    Request {
        /// The gateway's id of the request, which its access log and the answer have too.
        request_id: &'a str,
        /// The client's own id of the request: up to 64 letters, digits, `-` and `_`.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_request_id: Option<&'a str>,
        /// The gateway's route key.
        route: &'a str,
        /// Who sent the request; `None` if nobody was authenticated.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<&'a Actor>,
        /// The HTTP status.
        status: u16,
        /// The error's reason; empty on success.
        reason: &'a str,
        /// Time from the function's call to its answer, in milliseconds.
        duration_ms: u64,
        /// Number of password hashes that the request computed. Hashing is what password-guessing attacks
        /// cost the service.
        hashes: u64,
    },
    /// An authenticated caller lacks the permission that the request needs.
    #[serde(rename = "authorization_denied")]
    AuthorizationDenied {
        /// The request's id.
        request_id: &'a str,
        /// The gateway's route key.
        route: &'a str,
        /// Actor that sent the request.
        actor: &'a Actor,
    },
    /// A request was answered with 500 or 503.
    #[serde(rename = "request failed")]
    RequestFailed {
        /// The request's id.
        request_id: &'a str,
        /// The error.
        cause: Cause<'a>,
    },
    /// A function that is not called by the API failed.
    #[serde(rename = "event failed")]
    EventFailed {
        /// Lambda's id of the invocation.
        request_id: &'a str,
        /// The error.
        cause: Cause<'a>,
    },
    /// A function panicked.
    #[serde(rename = "panic")]
    Panic {
        /// Source location. The panic's own message is not logged, because it may contain anything.
        at: &'a str,
    },
    /// A background write failed: a write that runs beside a request and that the request does not depend on.
    #[serde(rename = "background write failed")]
    BackgroundWriteFailed {
        /// The error.
        cause: Cause<'a>,
    },
    /// A request could not be counted against a rate limit, and was admitted.
    #[serde(rename = "request not counted")]
    RequestNotCounted {
        /// The error.
        cause: Cause<'a>,
    },
    /// A batch of events could not be published to the event bus; the DynamoDB stream or the scheduled run
    /// tries again.
    #[serde(rename = "events not published")]
    EventsNotPublished {
        /// Number of events in the batch.
        count: usize,
        /// The error.
        cause: Cause<'a>,
    },
    /// A published event could not be removed from the queue of unpublished events; it will be published once
    /// more.
    #[serde(rename = "event not dequeued")]
    EventNotDequeued {
        /// The event.
        event_id: Id<Event>,
        /// The error.
        cause: Cause<'a>,
    },
    /// The list of due webhook deliveries could not be read to its end; the next run reads the rest.
    #[serde(rename = "due deliveries not listed")]
    DueDeliveriesNotListed {
        /// The error.
        cause: Cause<'a>,
    },
    /// Events that are due for delivery to webhooks could not be read; the next run reads them.
    #[serde(rename = "due events not read")]
    DueEventsNotRead {
        /// The error.
        cause: Cause<'a>,
    },
    /// An attempt to deliver an event to a webhook failed on the side of this service, not of the receiver.
    #[serde(rename = "delivery failed")]
    DeliveryFailed {
        /// The event.
        event_id: Id<Event>,
        /// The account.
        customer_id: Id<Customer>,
        /// The error.
        cause: Cause<'a>,
    },
    /// A mail could not be read, sent or removed from the queue; a later run tries again, unless no attempts
    /// are left.
    #[serde(rename = "mail not sent")]
    MailNotSent {
        /// The error.
        cause: Cause<'a>,
    },
    /// A participant that an erasure waits for has not answered by its deadline.
    #[serde(rename = "participant overdue")]
    ParticipantOverdue {
        /// The account.
        customer_id: Id<Customer>,
        /// The participant's name.
        participant: &'a str,
    },
    /// The record of a participant's part in an erasure could not be read or written; the next run tries
    /// again.
    #[serde(rename = "participant failed")]
    ParticipantFailed {
        /// The account.
        customer_id: Id<Customer>,
        /// The participant's name.
        participant: &'a str,
        /// The error.
        cause: Cause<'a>,
    },
    /// An account could not be purged; the next run tries again.
    #[serde(rename = "purge failed")]
    PurgeFailed {
        /// The account.
        customer_id: Id<Customer>,
        /// The error.
        cause: Cause<'a>,
    },
    /// The purge found items of a kind that it does not know. It keeps them and quarantines the account: the
    /// purge of the account does not finish.
    #[serde(rename = "unknown items")]
    UnknownItems {
        /// The account.
        customer_id: Id<Customer>,
        /// Number of items of an unknown kind.
        count: u64,
    },
}

/// Cause of a failure: the text of an [internal error](Error::cause), which holds nothing that a client sent.
pub(crate) struct Cause<'a>(pub(crate) &'a Error);

impl Serialize for Cause<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(shortened(self.0.cause()))
    }
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Error,
    Warn,
    Info,
}

impl LogEntry<'_> {
    /// Writes the entry to standard error.
    pub(crate) fn log(&self) {
        write(&mut std::io::stderr(), self.level(), self);
    }

    const fn level(&self) -> Level {
        match self {
            Self::Request { .. } => Level::Info,
            Self::AuthorizationDenied { .. }
            | Self::BackgroundWriteFailed { .. }
            | Self::RequestNotCounted { .. }
            | Self::ParticipantOverdue { .. }
            | Self::EventNotDequeued { .. } => Level::Warn,
            Self::CannotStart { .. }
            | Self::RequestFailed { .. }
            | Self::EventFailed { .. }
            | Self::Panic { .. }
            | Self::EventsNotPublished { .. }
            | Self::DueDeliveriesNotListed { .. }
            | Self::DueEventsNotRead { .. }
            | Self::DeliveryFailed { .. }
            | Self::MailNotSent { .. }
            | Self::ParticipantFailed { .. }
            | Self::PurgeFailed { .. }
            | Self::UnknownItems { .. } => Level::Error,
        }
    }
}

#[derive(Serialize)]
struct Line<L, F> {
    timestamp: String,
    level: L,
    #[serde(flatten)]
    fields: F,
}

fn write(to: &mut impl std::io::Write, level: impl Serialize, fields: impl Serialize) {
    let timestamp = Clock::system().now().to_string();
    if let Ok(mut line) = serde_json::to_vec(&Line { timestamp, level, fields }) {
        line.push(b'\n');
        // There is no other place to complain.
        let _ = to.write_all(&line);
    }
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| &text[..end])
}

/// Starts logging the `tracing` events of libraries.
pub(crate) fn start() {
    let libraries = Libraries(std::io::stderr).with_filter(LevelFilter::INFO);
    // Fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(libraries));
}

/// Logs events of libraries, without their fields.
struct Libraries<W>(W);

#[derive(Serialize)]
struct Place {
    at: String,
}

impl<S, W> Layer<S> for Libraries<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &LibraryEvent<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let line = metadata.line().unwrap_or_default();
        let place = Place { at: format!("{}:{line}", metadata.target()) };
        write(&mut self.0.make_writer(), metadata.level().as_str(), place);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

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

    impl Kept {
        /// The one line that was written, without its time.
        fn line(&self) -> Value {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
            let mut line: Value = serde_json::from_str(&text).unwrap();
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
            line.as_object_mut().unwrap().remove("timestamp");
            line
        }
    }

    fn logged(entry: &LogEntry<'_>) -> Value {
        let mut kept = Kept::default();
        write(&mut kept, entry.level(), entry);
        kept.line()
    }

    #[test]
    fn an_entry_is_a_line_of_json_with_its_message_and_fields() {
        let error = Error::Unavailable("DynamoDB: timeout".to_owned());
        let event_id = Id::from_uuid(uuid::Uuid::from_u128(1));
        let customer_id = Id::from_uuid(uuid::Uuid::from_u128(2));
        let line =
            logged(&LogEntry::DeliveryFailed { event_id, customer_id, cause: Cause(&error) });
        let expected = serde_json::json!({
            "level": "ERROR",
            "message": "delivery failed",
            "event_id": "00000000-0000-0000-0000-000000000001",
            "customer_id": "00000000-0000-0000-0000-000000000002",
            "cause": "DynamoDB: timeout",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_long_cause_with_line_breaks_is_one_short_line() {
        let cause = format!("\n{{\"level\":\"ERROR\"}}\u{1b}[31mä{}", "x".repeat(1_000_000));
        let error = Error::Internal(cause.clone());
        let line = logged(&LogEntry::CannotStart { cause: Cause(&error) });
        let expected: String = cause.chars().take(MAX_TEXT).collect();
        assert_eq!(line["cause"].as_str().unwrap(), expected);
    }

    #[test]
    fn library_events_lose_message_and_fields() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = Libraries(move || writer.clone());
        let email = "ann@example.com";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::error!(target: "hyper::proto", cause = email, "{email} wrote");
        });
        let line = kept.line();
        assert!(line["at"].as_str().unwrap().starts_with("hyper::proto:"), "{line}");
        assert_eq!(line.as_object().unwrap().len(), 2, "{line}");
    }
}

//! Access to the tables.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_types::body::SdkBody;

use super::value::Item;

/// Access to the three DynamoDB tables: accounts, outbox and erasures.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    accounts: String,
    outbox: String,
    erasures: String,
    /// Whether the installation sends mail: only then do transactions put notices and mail intents into the outbox.
    pub(super) mailing: bool,
    event_retention: Duration,
}

/// Default time for which events are kept: 90 days.
const EVENT_RETENTION: Duration = Duration::from_hours(90 * 24);

/// One of the three DynamoDB tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Accounts,
    Outbox,
    Erasures,
}

/// An item's table and key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) table: Table,
    pub(crate) key: Item,
}

impl Store {
    /// Returns access to the tables with these names, for an installation that sends no mail.
    #[must_use]
    pub const fn new(client: Client, accounts: String, outbox: String, erasures: String) -> Self {
        let event_retention = EVENT_RETENTION;
        Self { client, accounts, outbox, erasures, mailing: false, event_retention }
    }

    /// Returns the store with mail enabled or disabled: only if `mailing` do transactions write notices and mail
    /// intents.
    #[must_use]
    pub fn mailing(self, mailing: bool) -> Self {
        Self { mailing, ..self }
    }

    /// Returns a store that keeps events for `retention`.
    #[must_use]
    pub fn keeping_events_for(self, retention: Duration) -> Self {
        Self { event_retention: retention, ..self }
    }

    /// How long events are kept.
    pub(in crate::store) const fn event_retention(&self) -> Duration {
        self.event_retention
    }

    pub(super) fn name(&self, table: Table) -> &str {
        match table {
            Table::Accounts => &self.accounts,
            Table::Outbox => &self.outbox,
            Table::Erasures => &self.erasures,
        }
    }

    /// Starts a query of a table, which the caller completes.
    pub(in crate::store) fn query(&self, table: Table) -> QueryFluentBuilder {
        self.client.query().table_name(self.name(table))
    }

    /// Opens a connection, so that the first request need not wait for it. Sends `GET /`, which DynamoDB
    /// answers to anybody: it needs no permission and consumes no capacity. A failure is ignored, as the
    /// first request will run into it.
    pub async fn connect(&self) {
        let ask = self.client.batch_get_item().customize().mutate_request(|request| {
            // GET is a method: this cannot fail.
            let _ = request.set_method("GET");
            for header in ["content-length", "content-type", "x-amz-target"] {
                request.headers_mut().remove(header);
            }
            *request.body_mut() = SdkBody::empty();
        });
        let once = Config::builder().retry_config(RetryConfig::disabled());
        // The SDK cannot parse the response, since it is not that of an operation; the error is ignored.
        let _ = ask.config_override(once).send().await;
    }
}

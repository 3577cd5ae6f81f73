//! Data that an account's overview shows in addition to the account's item and its row in the ledger: the latest log-in
//! and the number of failing deliveries. Each is read as one page of a query.

use serde::Deserialize;

use super::dynamodb::{Store, Table, page, string};
use super::key;
use super::outbox::OutboxEntry;
use crate::domain::delivery::DeliveryState;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id, Timestamp};

/// Maximum number of sessions that are read to find the latest log-in. They are not sorted by time.
const SESSIONS: i32 = 1_000;

/// Maximum number of deliveries, newest first, that are read to count the failing ones.
const DELIVERIES: i32 = 100;

impl Store {
    /// Returns the time at which the newest session of an account was opened; `None` if it has none. The last log-in
    /// may have been later, as ended sessions are gone, and as only 1,000 sessions are read.
    pub async fn get_latest_login(
        &self,
        customer: Id<Customer>,
    ) -> Result<Option<Timestamp>, Error> {
        #[derive(Deserialize)]
        struct Row {
            tm_create: Timestamp,
        }

        let query = self
            .query(Table::Accounts)
            .key_condition_expression("pk = :pk AND begins_with(sk, :kind)")
            .projection_expression("tm_create")
            .expression_attribute_values(":pk", string(key::partition(customer)))
            .expression_attribute_values(":kind", string(Kind::Session.prefix()))
            .limit(SESSIONS);
        let (sessions, _) = page::<Row>(query).await?;
        Ok(sessions.into_iter().map(|session| session.tm_create).max())
    }

    /// Returns how many of the 100 newest webhook deliveries of an account have failed for good, or are pending after a
    /// failed attempt.
    pub async fn count_failing_deliveries(&self, customer: Id<Customer>) -> Result<u64, Error> {
        let query = self
            .query(Table::Outbox)
            .index_name("log")
            .scan_index_forward(false)
            .key_condition_expression("log_pk = :log")
            .expression_attribute_values(":log", string(key::partition(customer)))
            .limit(DELIVERIES);
        let (events, _) = page::<OutboxEntry>(query).await?;
        let is_failing = |event: &&OutboxEntry| match event.delivery {
            Some(DeliveryState::Failed | DeliveryState::Gone) => true,
            Some(DeliveryState::Pending) => event.outcome.is_some(),
            Some(DeliveryState::Delivered | DeliveryState::Discarded) | None => false,
        };
        Ok(events.iter().filter(is_failing).count() as u64)
    }
}

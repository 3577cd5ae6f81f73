//! Counts of requests against quotas. A request is one atomic update on the condition that the quota is not used up, so
//! that any number at once is counted exactly.

use std::time::Duration;

use super::dynamodb::{Condition, Store, UpdateExpression, Write, internal, number};
use super::key;
use crate::domain::network::Source;
use crate::domain::quota::{Quota, QuotaStatus};
use crate::domain::{Error, Timestamp};

const COUNT: &str = "requests";

/// How long a request waits for its count. A count is for fairness: one that is slow must not hold its request up.
const LIMIT: Duration = Duration::from_millis(250);

impl Store {
    /// Counts a request. Returns what is left after it; [`Error::TooManyRequests`] if nothing was left. Tried once.
    pub async fn count(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<QuotaStatus, Error> {
        let window = quota.window(now);
        let counted =
            UpdateExpression::default().increment(COUNT)?.set("expires_at", window.end)?;
        let below = Condition::new(
            "attribute_not_exists(requests) OR requests < :most",
            [(":most", number(quota.limit))],
        );
        let address = key::count(quota.kind, source, window).address();
        let status = |remaining| QuotaStatus { quota, remaining, resets_in: window.remaining(now) };
        let row = match self.update_within(LIMIT, address, &counted, &below).await? {
            Write::Written(row) => row,
            Write::Refused(_) => return Err(Error::TooManyRequests(status(0))),
        };
        let count = row.get(COUNT).and_then(|count| count.as_n().ok()?.parse().ok());
        let count: u64 = count.ok_or_else(|| internal("a count is no number"))?;
        Ok(status(quota.limit.saturating_sub(count)))
    }

    /// Takes back a count that was made at `now`. Tried once.
    pub async fn take_back(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<(), Error> {
        let less = UpdateExpression::default().add(COUNT, -1)?;
        let counted = Condition::new("requests > :none", [(":none", number(0))]);
        let address = key::count(quota.kind, source, quota.window(now)).address();
        self.update_within(LIMIT, address, &less, &counted).await.map(drop)
    }
}

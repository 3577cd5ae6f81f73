//! Counts of requests against quotas. A request is counted by one atomic update, on the condition that the quota is not
//! used up, so that concurrent requests are counted exactly.

use std::time::Duration;

use super::dynamodb::{
    Condition, Item, Store, Transaction, UpdateExpression, Write, internal, number,
};
use super::key::{self, Key};
use super::stored::Items;
use crate::domain::network::Source;
use crate::domain::quota::{Quota, QuotaStatus};
use crate::domain::{Error, Timestamp};

const COUNT: &str = "requests";

/// Maximum time that a request waits to be counted, unless the quota [is
/// strict](crate::domain::quota::QuotaKind::is_strict): the count is for fairness, so a slow count must not hold up the
/// request.
const LIMIT: Duration = Duration::from_millis(250);

impl Store {
    /// Counts a request against a quota: adds the quota's weight, the number of requests that a counted one stands for.
    /// Returns what is left of the quota; [`Error::TooManyRequests`] if nothing was left. Tries only once, and no
    /// longer than `LIMIT`, unless the quota is strict.
    pub async fn count(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<QuotaStatus, Error> {
        let (counted, below) = (counted(quota, now)?, below(quota));
        let address = key::count(quota.kind, source, quota.window(now)).address();
        let written = if quota.kind.is_strict() {
            self.update(address, &counted, &below).await?
        } else {
            self.update_within(LIMIT, address, &counted, &below).await?
        };
        match written {
            Write::Written(row) => Ok(quota.status(count(&row)?, now)),
            Write::Refused(_) => Err(Error::TooManyRequests(quota.status(quota.limit, now))),
        }
    }

    /// Takes back the count of a request that was counted at `now`. Tries only once.
    pub async fn take_back(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<(), Error> {
        let less = UpdateExpression::default().add(COUNT, -weight(quota))?;
        let counted = Condition::new("requests > :none", [(":none", number(0))]);
        let address = key::count(quota.kind, source, quota.window(now)).address();
        self.update_within(LIMIT, address, &less, &counted).await.map(drop)
    }
}

impl Transaction<'_> {
    /// Adds the condition that a quota is not used up at `now`. Nothing is counted.
    pub(super) fn check_quota(
        self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let count = key::count(quota.kind, source, quota.window(now));
        self.check(count.address(), &below(quota))
    }

    /// Counts a request in the transaction that carries it out. The condition of this action fails if the quota is used
    /// up.
    pub(super) fn count(
        self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let address = key::count(quota.kind, source, quota.window(now)).address();
        self.update(address, &counted(quota, now)?, Some(&below(quota)))
    }
}

/// Returns the update that counts a request. The count expires when the quota's window ends.
fn counted(quota: Quota, now: Timestamp) -> Result<UpdateExpression, Error> {
    let end = quota.window(now).end;
    UpdateExpression::default().add(COUNT, weight(quota))?.set("expires_at", end)
}

/// The condition that something is left of a quota.
fn below(quota: Quota) -> Condition {
    let expression = "attribute_not_exists(requests) OR requests < :most";
    Condition::new(expression, [(":most", number(quota.limit))])
}

impl Items {
    /// Returns the number of requests that the counter at `key` has counted; 0 if there is no counter.
    pub fn count(&self, key: &Key<()>) -> Result<u64, Error> {
        self.find(key).map_or(Ok(0), count)
    }
}

fn count(item: &Item) -> Result<u64, Error> {
    let count = item.get(COUNT).and_then(|count| count.as_n().ok()?.parse().ok());
    count.ok_or_else(|| internal("a count is no number"))
}

fn weight(quota: Quota) -> i64 {
    i64::try_from(quota.weight()).unwrap_or(i64::MAX)
}

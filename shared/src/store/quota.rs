//! Requests, counted. One atomic update each, on the condition that the quota is not used up: any number at
//! once pass it one at a time.

use super::assignment::Assignment;
use super::transaction::Condition;
use super::{Store, key, number, unavailable};
use crate::domain::quota::{Quota, QuotaStatus, Source};
use crate::domain::{Error, Timestamp};

const COUNT: &str = "requests";

impl Store {
    /// Counts a request: what is left after it, or that there was nothing left, which is
    /// [`Error::TooManyRequests`].
    pub async fn count(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<QuotaStatus, Error> {
        let window = quota.window(now);
        let counted = Assignment::default().count(COUNT)?.set("expires_at", window.end)?;
        let below = Condition::new(
            "attribute_not_exists(requests) OR requests < :most",
            [(":most", number(quota.limit))],
        );
        let key = key::count(quota.kind, source, window).attributes();
        let standing =
            |remaining| QuotaStatus { quota, remaining, resets_in: window.remaining(now) };
        let Some(row) = self.update_if(&self.accounts, key, &counted, &below).await? else {
            return Err(Error::TooManyRequests(standing(0)));
        };
        let count = row.get(COUNT).and_then(|count| count.as_n().ok()?.parse().ok());
        let count: u64 = count.ok_or_else(|| unavailable("a count is no number"))?;
        Ok(standing(quota.limit.saturating_sub(count)))
    }

    /// Takes back a count that was made at `now`.
    pub async fn take_back(
        &self,
        quota: Quota,
        source: &Source,
        now: Timestamp,
    ) -> Result<(), Error> {
        let less = Assignment::default().add(COUNT, -1)?;
        let counted = Condition::new("requests > :none", [(":none", number(0))]);
        let key = key::count(quota.kind, source, quota.window(now)).attributes();
        self.update_if(&self.accounts, key, &less, &counted).await.map(drop)
    }
}

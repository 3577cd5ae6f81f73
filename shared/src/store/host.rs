//! Limits on delivery attempts per host, so that nobody can direct many accounts' webhooks at one host, and a host that
//! does not answer does not hold up deliveries to others.

use super::dynamodb::{Condition, Item, Store, UpdateExpression, number};
use super::key;
use crate::domain::delivery::{HOST_ATTEMPTS_PER_MINUTE, HOST_CONCURRENT_ATTEMPTS};
use crate::domain::{Error, Timestamp};

const MINUTE: i64 = 60;

/// A delivery attempt at a host, counted against the host's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAttempt {
    minute: i64,
    /// Whether an attempt at the host timed out within the last minute.
    pub is_host_slow: bool,
}

impl Store {
    /// Counts an attempt that is about to be made; `None` if the host is at a limit.
    pub async fn begin_host_attempt(
        &self,
        host: &str,
        now: Timestamp,
    ) -> Result<Option<HostAttempt>, Error> {
        let minute = now.seconds().div_euclid(MINUTE);
        let counted = UpdateExpression::default()
            .increment("attempts")?
            .increment("under_way")?
            .set("expires_at", expiry(minute))?;
        let below = Condition::new(
            "attribute_not_exists(attempts) OR attempts < :most AND under_way < :at_once",
            [
                (":most", number(HOST_ATTEMPTS_PER_MINUTE)),
                (":at_once", number(HOST_CONCURRENT_ATTEMPTS)),
            ],
        );
        let counted = self.update(key::host(host, minute).address(), &counted, &below).await?;
        let attempt = |row: Item| HostAttempt { minute, is_host_slow: row.contains_key("slow") };
        Ok(counted.written().map(attempt))
    }

    /// Counts an attempt as over. One whose function died counts as under way until its minute is over.
    pub async fn end_host_attempt(&self, host: &str, attempt: HostAttempt) -> Result<(), Error> {
        let over = UpdateExpression::default().add("under_way", -1)?;
        let counted = Condition::new("attribute_exists(under_way)", []);
        self.update(key::host(host, attempt.minute).address(), &over, &counted).await.map(drop)
    }

    /// Records for this minute and the next that an attempt at a host timed out.
    pub async fn record_host_timeout(&self, host: &str, now: Timestamp) -> Result<(), Error> {
        let this = now.seconds().div_euclid(MINUTE);
        for minute in [this, this + 1] {
            let slow =
                UpdateExpression::default().set("slow", true)?.set("expires_at", expiry(minute))?;
            let is_new = Condition::new("attribute_not_exists(slow)", []);
            self.update(key::host(host, minute).address(), &slow, &is_new).await?;
        }
        Ok(())
    }
}

/// When the count of a minute expires, in seconds since 1970.
const fn expiry(minute: i64) -> i64 {
    (minute + 60) * MINUTE
}

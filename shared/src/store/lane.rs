//! Counts of webhook delivery attempts against their limits: per host, and per lane (one account's deliveries to one
//! host).

use futures_util::future::try_join;

use super::dynamodb::{Condition, Item, Store, UpdateExpression, number};
use super::key::{self, Key};
use crate::domain::delivery::{AttemptLimits, HOST_LIMITS, LANE_LIMITS, Lane};
use crate::domain::{Error, Timestamp};

const MINUTE: i64 = 60;

/// A delivery attempt that is under way. It counts against two limits: that of its lane (one account and one host), and
/// that of its host (all accounts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedAttempt {
    minute: i64,
    /// Whether an attempt of the same account at the same host timed out in the current clock minute or the one before.
    pub is_lane_slow: bool,
}

impl Store {
    /// Counts a delivery attempt that is about to be made, for its lane (account and host) and for its host; `None` if
    /// one of them is at its limit.
    pub async fn begin_attempt(
        &self,
        lane: &Lane,
        now: Timestamp,
    ) -> Result<Option<CountedAttempt>, Error> {
        let minute = now.seconds().div_euclid(MINUTE);
        // The lane comes first, so that an attempt that the lane's limit refuses does not count against the host's.
        let Some(row) = self.begin_counted(key::lane(lane, minute), LANE_LIMITS, minute).await?
        else {
            return Ok(None);
        };
        if self.begin_counted(key::host(&lane.host, minute), HOST_LIMITS, minute).await?.is_none() {
            self.end_counted(key::lane(lane, minute)).await?;
            return Ok(None);
        }
        Ok(Some(CountedAttempt { minute, is_lane_slow: row.contains_key("slow") }))
    }

    /// Records that a delivery attempt is over. An attempt whose function died counts as under way until the end of the
    /// minute in which it began.
    pub async fn end_attempt(&self, lane: &Lane, attempt: CountedAttempt) -> Result<(), Error> {
        let own = self.end_counted(key::lane(lane, attempt.minute));
        let all = self.end_counted(key::host(&lane.host, attempt.minute));
        try_join(own, all).await.map(drop)
    }

    /// Records, for this minute and the next, that a delivery attempt of a lane (account and host) timed out.
    pub async fn record_timeout(&self, lane: &Lane, now: Timestamp) -> Result<(), Error> {
        let this = now.seconds().div_euclid(MINUTE);
        for minute in [this, this + 1] {
            let slow =
                UpdateExpression::default().set("slow", true)?.set("expires_at", expiry(minute))?;
            let is_new = Condition::new("attribute_not_exists(slow)", []);
            self.update(key::lane(lane, minute).address(), &slow, &is_new).await?;
        }
        Ok(())
    }

    async fn begin_counted(
        &self,
        counter: Key<()>,
        limits: AttemptLimits,
        minute: i64,
    ) -> Result<Option<Item>, Error> {
        let one_more = UpdateExpression::default()
            .increment("attempts")?
            .increment("under_way")?
            .set("expires_at", expiry(minute))?;
        let below = Condition::new(
            "attribute_not_exists(attempts) OR attempts < :most AND under_way < :at_once",
            [(":most", number(limits.per_minute)), (":at_once", number(limits.concurrent))],
        );
        Ok(self.update(counter.address(), &one_more, &below).await?.written())
    }

    async fn end_counted(&self, counter: Key<()>) -> Result<(), Error> {
        let over = UpdateExpression::default().add("under_way", -1)?;
        let is_under_way = Condition::new("attribute_exists(under_way)", []);
        self.update(counter.address(), &over, &is_under_way).await.map(drop)
    }
}

/// When the count of a minute expires, in seconds since 1970.
const fn expiry(minute: i64) -> i64 {
    (minute + 60) * MINUTE
}

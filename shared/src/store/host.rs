//! How much is sent to the hosts of webhooks: so that nobody can point many accounts at one host, and a
//! host that does not answer does not keep deliveries to others waiting.

use super::assignment::Assignment;
use super::transaction::Condition;
use super::{Store, key, number};
use crate::domain::delivery::{HOST_ATTEMPTS_PER_MINUTE, HOST_CONCURRENT_ATTEMPTS};
use crate::domain::{Error, Timestamp};

const MINUTE: i64 = 60;

/// An attempt at a host, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    minute: i64,
    /// Whether the host let an attempt wait in vain within the last minute.
    pub to_slow_host: bool,
}

impl Store {
    /// Counts an attempt at a host that is about to be made; `None` if there are too many.
    pub async fn begin_visit(&self, host: &str, now: Timestamp) -> Result<Option<Visit>, Error> {
        let minute = now.seconds().div_euclid(MINUTE);
        let counted = Assignment::default()
            .count("attempts")?
            .count("under_way")?
            .set("expires_at", forgotten(minute))?;
        let below = Condition::new(
            "attribute_not_exists(attempts) OR attempts < :most AND under_way < :at_once",
            [
                (":most", number(HOST_ATTEMPTS_PER_MINUTE)),
                (":at_once", number(HOST_CONCURRENT_ATTEMPTS)),
            ],
        );
        let key = key::host(host, minute).attributes();
        let row = self.update_if(&self.accounts, key, &counted, &below).await?;
        Ok(row.map(|row| Visit { minute, to_slow_host: row.contains_key("slow") }))
    }

    /// The attempt is over. One that dies before is counted as under way until its minute is over.
    pub async fn end_visit(&self, host: &str, visit: Visit) -> Result<(), Error> {
        let over = Assignment::default().add("under_way", -1)?;
        let counted = Condition::new("attribute_exists(under_way)", []);
        let key = key::host(host, visit.minute).attributes();
        self.update_if(&self.accounts, key, &over, &counted).await.map(drop)
    }

    /// Remembers for the rest of this minute and the whole next one that a host let an attempt wait in
    /// vain.
    pub async fn note_slow_host(&self, host: &str, now: Timestamp) -> Result<(), Error> {
        let this = now.seconds().div_euclid(MINUTE);
        for minute in [this, this + 1] {
            let slow =
                Assignment::default().set("slow", true)?.set("expires_at", forgotten(minute))?;
            let news = Condition::new("attribute_not_exists(slow)", []);
            self.update_if(&self.accounts, key::host(host, minute).attributes(), &slow, &news)
                .await?;
        }
        Ok(())
    }
}

/// When what is known of a minute goes, in seconds since 1970.
const fn forgotten(minute: i64) -> i64 {
    (minute + 60) * MINUTE
}

//! The kill switch and the hourly limits that can stop a purge, for operators to see.

use futures_util::future::{BoxFuture, try_join};

use crate::app::{App, Build};
use crate::domain::page::MAX_PAGE_SIZE;
use crate::domain::purge_state::{HourlyLimit, PurgeState, RunningPurge};
use crate::domain::{Error, Timestamp};
use crate::platform::config;
use crate::store::purge::PurgeStage;

/// Context of the handler that shows what can stop a purge: the kill switch and the hourly limits.
#[derive(Debug)]
pub struct Controls {
    /// Store, clock and randomness; also the limit of deletions by operators (the brake).
    pub app: App,
    enabled: bool,
    /// Maximum number of purges that begin within one hour.
    breaker: u64,
}

impl Build for Controls {
    fn build() -> Result<Self, Error> {
        let (enabled, breaker) = (config::purge_enabled()?, config::breaker()?);
        Ok(Self { app: App::build()?, enabled, breaker })
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        self.app.prepare()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.app.settle()
    }
}

impl Controls {
    /// Reads how many purges (breaker) and how many deletions by operators (brake) were counted within the current
    /// hour, and at most a page of the purges under way.
    pub async fn read(&self) -> Result<PurgeState, Error> {
        let store = &self.app.store;
        let counts = store.get_hour_counts(self.app.now());
        let running = store.list_due(PurgeStage::Claimed.beginning(), Timestamp::MAX);
        let (counts, (running, _)) = try_join(counts, running).await?;
        let running = running.iter().take(MAX_PAGE_SIZE);
        Ok(PurgeState {
            enabled: self.enabled,
            breaker: HourlyLimit { limit: Some(self.breaker), used: counts.purges },
            brake: HourlyLimit {
                limit: self.app.brake.map(|brake| brake.per_hour),
                used: counts.deletions,
            },
            running: running
                .map(|due| RunningPurge { customer: due.id, tm_due: due.since })
                .collect(),
        })
    }
}

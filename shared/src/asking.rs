//! Asks participants (systems that keep something for accounts) to erase what they keep for an account. Each
//! is asked by `erasure_requested` events on the bus, again and again until it has answered.
//!
//! For each erasure and participant, a [`Participation`] is stored, the participant's part in the erasure. It
//! also serves as the outbox of the events: the index `open` lists it by the time at which its next event is
//! due. So the next event is sent even if the bus loses one or a run dies.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::json;

use crate::app::Build;
use crate::bus::{BATCH, Bus, BusEvent};
use crate::completion::Completer;
use crate::domain::participant::{ParticipantName, Registry};
use crate::domain::participation::Participation;
use crate::domain::round::Look;
use crate::domain::{Customer, Erasure, Error, Id, Timestamp};
use crate::platform::log::{Cause, LogEntry};
use crate::platform::metrics::Metric;
use crate::platform::{Deadline, metrics};
use crate::store::participation::OpenPart;
use crate::store::{Store, Update};

/// Maximum number of [`Participation`]s that are written concurrently.
const CONCURRENT_WRITES: usize = 10;

/// Context of the function that asks participants: store, signer and bus.
#[derive(Debug)]
pub struct Asker {
    completer: Completer,
    bus: Bus,
}

impl Build for Asker {
    fn build() -> Result<Self, Error> {
        Ok(Self { completer: Completer::build()?, bus: Bus::build()? })
    }
}

impl Asker {
    /// Returns an asker that puts `erasure_requested` events on `bus`.
    #[must_use]
    pub const fn new(completer: Completer, bus: Bus) -> Self {
        Self { completer, bus }
    }
}

/// Result of one call of [`ask_due`].
#[derive(Debug, Default, Serialize)]
pub struct AskRun {
    /// Number of `erasure_requested` events that the bus has accepted.
    pub asked: u64,
    /// Number of `erasure_requested` events that the bus has refused; the next run sends them again.
    pub refused: u64,
    /// Number of [`Participation`]s that were removed from the index `open` because nothing is left to be
    /// done about them.
    pub closed: u64,
    /// Number of answers that are overdue: the participant's deadline has passed, and the erasure still waits
    /// for the answer.
    pub overdue: u64,
    /// Number of [`Participation`]s that could not be read or written; the next run tries again.
    pub failed: u64,
    /// Number of deleted participants that were removed from the registry because no erasure asks them any
    /// more.
    pub forgotten: u64,
    /// Whether the run stopped near its deadline and left work for the next run.
    pub unfinished: bool,
}

/// Asks those participants of `erasure` that were not asked before: inserts a [`Participation`] for each, and
/// puts an `erasure_requested` event on the bus. If the bus does not accept an event, the scheduled run sends
/// it later.
pub(crate) async fn ask_missing(
    store: &Store,
    bus: &Bus,
    erasure: &Erasure,
    now: Timestamp,
) -> Result<(), Error> {
    let (_, parts) = store.get_erasure_and_parts(erasure.customer).await?;
    let missing = erasure.missing_parts(&parts, now);
    let insert = async |part: Participation| {
        Ok::<_, Error>(store.insert_participation(&part).await?.then_some(part))
    };
    let inserted: Vec<_> =
        stream::iter(missing).map(insert).buffer_unordered(CONCURRENT_WRITES).try_collect().await?;
    let inserted: Vec<_> = inserted.into_iter().flatten().collect();
    for batch in inserted.chunks(BATCH) {
        bus.put(batch.iter().map(question)).await;
    }
    Ok(())
}

/// Builds the `erasure_requested` event that asks a participant. It contains no personal data.
fn question(part: &Participation) -> BusEvent<'static> {
    let detail = json!({
        "customer_id": part.customer,
        "participant": part.name.as_str(),
        "round": part.round,
        "tm_deadline": part.tm_deadline,
        "question": part.questions,
    });
    BusEvent { name: "erasure_requested", time: part.tm_question, detail }
}

/// Handles all [`Participation`]s that are due: for each, asks the participant again, takes the participation
/// out of the index `open` if nothing is left to be done about it, or sets a later time. Stops near the
/// deadline.
pub async fn ask_due(asker: &Asker, deadline: Deadline) -> Result<AskRun, Error> {
    let (mut run, now) = (AskRun::default(), asker.completer.app.now());
    let registry = asker.store().get_registry().await?;
    for name in registry.participants.keys() {
        asker.look_at_all(name, now, deadline, &mut run).await?;
    }
    if !run.unfinished {
        run.forgotten = asker.forget(&registry, now).await?;
    }
    metrics::emit(now, &run.metrics());
    Ok(run)
}

impl Asker {
    const fn store(&self) -> &Store {
        &self.completer.app.store
    }

    /// Handles all [`Participation`]s of the participant `name` that are due at `now`. Stops near the
    /// deadline.
    async fn look_at_all(
        &self,
        name: &ParticipantName,
        now: Timestamp,
        deadline: Deadline,
        run: &mut AskRun,
    ) -> Result<(), Error> {
        let mut last = None;
        loop {
            if deadline.is_near() {
                run.unfinished = true;
                return Ok(());
            }
            let due = self.store().list_open(name, last, Some(now), BATCH).await?;
            let Some(end) = due.last() else { return Ok(()) };
            last = Some(*end);
            self.look_at(name, &due, now, run).await;
            if due.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// Handles up to [`BATCH`] due [`Participation`]s of the participant `name`. One that fails does not
    /// affect the others.
    ///
    /// An event is recorded as sent only after the bus has accepted it: if a run dies in between, the event
    /// is sent twice rather than never.
    async fn look_at(
        &self,
        name: &ParticipantName,
        due: &[OpenPart],
        now: Timestamp,
        run: &mut AskRun,
    ) {
        let looks = join_all(due.iter().map(|open| self.decide(name, open, now))).await;
        let looks = looks.into_iter().zip(due);
        let looks =
            looks.filter_map(|(look, open)| run.succeeded(look, open.customer, name).flatten());
        let looks: Vec<_> = looks.collect();
        for (part, _) in &looks {
            run.count_overdue(part, now);
        }
        let asked = looks.iter().filter_map(|(_, look)| look.question()).map(question);
        let mut accepted = self.bus.put(asked).await.into_iter();
        let mut is_recorded =
            |look: &Look| look.question().is_none() || accepted.next() == Some(true);
        let (recorded, refused): (Vec<_>, Vec<_>) =
            looks.into_iter().partition(|(_, look)| is_recorded(look));
        run.refused += refused.len() as u64;
        let written = join_all(recorded.iter().map(|(part, look)| self.record(part, look))).await;
        for ((part, look), written) in recorded.iter().zip(written) {
            run.count(look);
            run.succeeded(written, part.customer, name);
        }
    }

    /// Decides what to do about a [`Participation`], and completes its erasure if that waits for no answer
    /// any more. Returns `None` if the participation is not due after all, because the index may lag behind
    /// the table.
    async fn decide(
        &self,
        name: &ParticipantName,
        open: &OpenPart,
        now: Timestamp,
    ) -> Result<Option<(Participation, Look)>, Error> {
        let (erasure, parts) = self.store().get_erasure_and_parts(open.customer).await?;
        let is_it = |part: &&Participation| (part.round, &part.name) == (open.round, name);
        let part = parts.iter().find(is_it).filter(|part| part.is_look_due(now));
        if let Some(erasure) = &erasure {
            // Whoever recorded the last answer may have died before completing the erasure.
            self.completer.complete(erasure, &parts).await?;
        }
        Ok(part.zip(erasure).map(|(part, erasure)| (part.clone(), erasure.look_at(part, now))))
    }

    async fn record(&self, part: &Participation, look: &Look) -> Result<(), Error> {
        match look {
            Look::Close => self.store().close_participation(part).await,
            Look::Ask(after) | Look::Later(after) => self.store().reschedule(part, after).await,
        }
    }

    /// Removes participants from the registry that were deleted long ago and that no erasure asks any more.
    /// Returns the number of removed ones.
    async fn forget(&self, registry: &Registry, now: Timestamp) -> Result<u64, Error> {
        let mut forgotten = Vec::new();
        for name in registry.forgettable(now) {
            if self.store().list_open(name, None, None, 1).await?.is_empty() {
                forgotten.push(name.clone());
            }
        }
        if forgotten.is_empty() {
            return Ok(0);
        }
        let after = registry.forgetting(&forgotten);
        Ok(match self.store().update_registry(registry, &after, None).await? {
            Update::Written => forgotten.len() as u64,
            // The next run forgets them.
            Update::Outdated(_) => 0,
        })
    }
}

impl AskRun {
    /// Returns the value of `result`. If it is an error, counts and logs that, and returns `None`.
    fn succeeded<T>(
        &mut self,
        result: Result<T, Error>,
        customer_id: Id<Customer>,
        name: &ParticipantName,
    ) -> Option<T> {
        let logged = |error: Error| {
            let participant = name.as_str();
            LogEntry::ParticipantFailed { customer_id, participant, cause: Cause(&error) }.log();
            self.failed += 1;
        };
        result.map_err(logged).ok()
    }

    fn count_overdue(&mut self, part: &Participation, now: Timestamp) {
        if part.is_overdue(now) {
            self.overdue += 1;
            let (customer_id, participant) = (part.customer, part.name.as_str());
            LogEntry::ParticipantOverdue { customer_id, participant }.log();
        }
    }

    const fn count(&mut self, look: &Look) {
        match look {
            Look::Ask(_) => self.asked += 1,
            Look::Close => self.closed += 1,
            Look::Later(_) => {}
        }
    }

    /// Returns the run's metrics, which the alarms watch.
    const fn metrics(&self) -> [Metric; 2] {
        [("ParticipantsAsked", "Count", self.asked), ("ErasuresIncomplete", "Count", self.overdue)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_emits_what_it_asked_and_what_is_overdue() {
        let run = AskRun { asked: 1, overdue: 2, refused: 3, closed: 4, ..AskRun::default() };
        let metrics = [("ParticipantsAsked", "Count", 1), ("ErasuresIncomplete", "Count", 2)];
        assert_eq!(run.metrics(), metrics);
    }
}

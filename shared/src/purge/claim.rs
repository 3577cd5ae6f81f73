//! Claims: the transactions by which a run of the purge takes an account, so that only this run purges it.

use super::Worker;
use super::job::{Job, JobState};
use super::slice::{count, slices};
use crate::domain::erasure::{InventoryCursor, LedgerEntry};
use crate::domain::lifecycle::{Command, CustomerChange, Transition, decide};
use crate::domain::participant::Registry;
use crate::domain::participation::Round;
use crate::domain::{Actor, Customer, Erasure, Error, Event, Id, Timestamp};
use crate::store::purge::Claim;
use crate::store::purge::PurgeStage;
use crate::store::{Update, revise};

/// Returns the account's row in the ledger as it is after the claim. If the claim begins a [`Round`] (the
/// account's first erasure, or another one after a restore of the table), also returns the round; `None` if the
/// claim continues a round that has begun already.
fn begin(ledger: Erasure, registry: &Registry) -> (Erasure, Option<Round>) {
    let Some(number) = ledger.next_round() else { return (ledger, None) };
    let participants = registry.participating();
    let begun = Erasure { round: number, participants: participants.clone(), ..ledger };
    (begun, Some(Round { number, participants }))
}

impl Worker<'_> {
    /// Claims account `id` for this run. If the account is frozen, the claim sets its status to `deleted`.
    /// Returns the job that then deletes what the account owns, or the reason why this run does not purge the
    /// account. An account that another run has claimed is taken over only if `stage` is [`PurgeStage::Claimed`].
    pub(super) async fn claim(
        &self,
        id: Id<Customer>,
        stage: PurgeStage,
    ) -> Result<Result<Box<Job>, JobState>, Error> {
        let (Some(account), ledger, registry) = self.store().get_claimable(id).await? else {
            return Ok(Err(JobState::NotDue));
        };
        let (ledger, round) = begin(ledger.unwrap_or_else(|| Erasure::blank(id)), &registry);
        let (ledger, round) = (&ledger, &round);
        revise(account, |before| async move {
            let not_due = (Update::Written, Err(JobState::NotDue));
            let now = self.now();
            let Transition::Changed(mut change) =
                decide(&before, &Command::ClaimPurge, Actor::PURGE, now)?
            else {
                return Ok(not_due);
            };
            change.entry = Some(match round {
                Some(round) if ledger.tm_finish.is_some() => {
                    LedgerEntry::ErasedAgain(now, round.clone())
                }
                round => LedgerEntry::Claimed(now, round.clone()),
            });
            let event = change.event.map(|event_type| {
                self.purger.app.event(event_type, id, Vec::new(), Actor::PURGE, now)
            });
            let is_first = before.internals.epoch == 0;
            let claim = if is_first {
                self.claim_first(&before, *change, event.as_ref(), ledger, now).await?
            } else if stage == PurgeStage::Claimed {
                self.claim_again(&before, *change, event.as_ref()).await?
            } else {
                return Ok(not_due);
            };
            Ok(match claim {
                Claim::Taken(job) => {
                    if is_first {
                        self.add_claimed();
                    }
                    (Update::Written, Ok(job))
                }
                Claim::Outdated(current) => (Update::Outdated(current), Err(JobState::NotDue)),
                Claim::BreakerOpen => (Update::Written, Err(JobState::BreakerOpen)),
            })
        })
        .await
    }

    /// Claims an account for the first time. The same transaction counts the first slice of its items: up to 500
    /// items, which are recorded in the ledger before they are deleted.
    async fn claim_first(
        &self,
        before: &Customer,
        change: CustomerChange,
        event: Option<&Event>,
        ledger: &Erasure,
        now: Timestamp,
    ) -> Result<Claim<Box<Job>>, Error> {
        let store = self.store();
        // The claim is refused if anything was added after the account was read, so this page is complete but for
        // sessions, which the next pass finds.
        let page = store.list_owned(before.id, &InventoryCursor::default()).await?;
        // If the account came back with a restored table, its earlier erasure has already counted its items.
        let is_in_ledger = ledger.tm_claim.is_some();
        let claimed = Erasure {
            tm_claim: Some(now),
            attempts: ledger.attempts + 1,
            epoch: change.after.internals.epoch,
            ..ledger.clone()
        };
        let slice = slices(&page.items).next().filter(|_| !is_in_ledger);
        let first = slice.map(|slice| count(&self.purger.app, &claimed, slice, now));
        let breaker = self.purger.breaker;
        let claim = store.claim_customer(before, &change, event, first.as_ref(), breaker, now);
        Ok(match claim.await? {
            Claim::Outdated(current) => Claim::Outdated(current),
            Claim::BreakerOpen => Claim::BreakerOpen,
            Claim::Taken(is_counted) => {
                let ledger = match first {
                    Some(first) if is_counted => first.ledger,
                    _ if is_in_ledger => store.get_erasure(before.id).await?.unwrap_or(claimed),
                    _ => claimed,
                };
                let farewell = before.webhook(now);
                let job = Job::new(change.after, ledger, Some(page)).with_farewell(farewell);
                Claim::Taken(Box::new(job))
            }
        })
    }

    /// Claims an account that an earlier run has claimed. From now on, the earlier run's writes are refused.
    async fn claim_again(
        &self,
        before: &Customer,
        change: CustomerChange,
        event: Option<&Event>,
    ) -> Result<Claim<Box<Job>>, Error> {
        let store = self.store();
        if let Update::Outdated(current) = store.update_customer(before, &change, event).await? {
            return Ok(Claim::Outdated(current));
        }
        // Read after the claim: the earlier run may have counted slices until then.
        let ledger = store.get_erasure(before.id).await?;
        let ledger = ledger.unwrap_or_else(|| Erasure::blank(before.id));
        Ok(Claim::Taken(Box::new(Job::new(change.after, ledger, None))))
    }
}

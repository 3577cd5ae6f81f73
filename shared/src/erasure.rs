//! Deletions bound to a plan, and the restore replay, which deletes erased accounts again that a restored table brought
//! back.

use serde::Serialize;

use crate::app::App;
use crate::domain::erasure::{Plan, Reason};
use crate::domain::lifecycle::Command;
use crate::domain::time::Month;
use crate::domain::{Actor, Customer, Error, Id, Status};
use crate::http::Preconditions;
use crate::lifecycle::{transition, transition_if};
use crate::platform::Deadline;

/// Deletes an account at once, for an operator, if it meets the request's preconditions and is as `plan` counted it, if
/// there is one. Returns the account as it was, and as it is now.
pub async fn delete(
    app: &App,
    by: Actor,
    customer: Customer,
    plan: Option<Plan>,
    conditions: &Preconditions,
) -> Result<(Customer, Customer), Error> {
    let command = Command::Delete(Reason::Delete, plan.clone());
    let deleted = transition_if(app, by, customer.clone(), &command, conditions).await;
    match (deleted, plan) {
        (Err(Error::PlanOutdated(difference)), Some(plan)) => {
            let (counts, _) = app.store.count_owned(customer.id).await?;
            let mut counted = plan.difference(&customer, Some(&counts));
            counted.account_changed |= difference.account_changed;
            Err(Error::PlanOutdated(Box::new(counted)))
        }
        (deleted, _) => deleted,
    }
}

/// Result of a restore replay.
#[derive(Debug, Default, Serialize)]
pub struct Replay {
    /// Number of finished erasures that were checked.
    pub checked: u64,
    /// Number of accounts that were back and are deleted again; the purge follows.
    pub erased_again: u64,
    /// Number of accounts that were back and could not be deleted, because they were back with a hold.
    pub refused: u64,
    /// Month to continue from; `None` if the replay is done.
    pub unfinished_from: Option<String>,
}

/// Deletes every account again whose erasure finished in the month `from` or later and that is not deleted. Stops near the
/// deadline.
pub async fn replay(app: &App, from: Month, deadline: Deadline) -> Result<Replay, Error> {
    let mut replay = Replay::default();
    let last = Month::of(app.now());
    let mut month = Some(from);
    while let Some(this) = month.filter(|month| *month <= last) {
        let mut cursor = None;
        loop {
            let (ids, next) = app.store.list_finished(this, cursor).await?;
            for id in ids {
                if deadline.is_near() {
                    replay.unfinished_from = Some(this.to_string());
                    return Ok(replay);
                }
                replay.account(app, id).await?;
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        month = this.next();
    }
    Ok(replay)
}

impl Replay {
    async fn account(&mut self, app: &App, id: Id<Customer>) -> Result<(), Error> {
        self.checked += 1;
        let back = app.store.get_customer(id).await?;
        let Some(customer) = back.filter(|customer| customer.status != Status::Deleted) else {
            return Ok(());
        };
        let command = Command::Delete(Reason::Restored, None);
        match transition(app, Actor::ERASURE_REPLAY, customer, &command).await {
            Ok(_) => self.erased_again += 1,
            Err(Error::LegalHold(_)) => self.refused += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

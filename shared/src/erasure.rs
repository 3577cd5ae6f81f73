//! Deletions by operators, which can be bound to a plan (a count of what deleting would remove), and the
//! restore replay, which deletes erased accounts again after a restored table has brought them back.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::domain::erasure::{Plan, Reason};
use crate::domain::lifecycle::Command;
use crate::domain::time::Month;
use crate::domain::{Actor, Customer, Erasure, Error, Id, Status, Timestamp};
use crate::http::Preconditions;
use crate::lifecycle::{transition, transition_if};
use crate::platform::Deadline;

/// Deletes an account at once, for an operator. Fails if the account does not meet the request's
/// preconditions, or has changed since `plan` was made. Returns the account as it was before, and as it is
/// now.
pub async fn delete(
    app: &App,
    by: Actor,
    customer: Customer,
    plan: Option<Plan>,
    conditions: &Preconditions,
) -> Result<(Customer, Customer), Error> {
    // A deleted account has no plan, and nothing that a plan could protect.
    if app.requires_plan && plan.is_none() && customer.status != Status::Deleted {
        return Err(Error::PlanRequired);
    }
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

/// Accounts that a restore replay does not delete again. Their erasure was an attack or a mistake, and the
/// restore was made to bring them back.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exceptions {
    /// Ids of the excepted accounts.
    customers: Vec<Id<Customer>>,
    /// Accounts are also excepted if their erasure was requested by one of these requesters within a period.
    requests: Vec<RequestsBy>,
}

/// All erasure requests of one requester within a period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestsBy {
    /// Id of the agent or access key that requested the erasures, as recorded in the ledger.
    requester: Uuid,
    /// Start of the period, inclusive: the time of the first request.
    from: Timestamp,
    /// End of the period, inclusive: the time of the last request.
    until: Timestamp,
}

impl Exceptions {
    fn include(&self, erasure: &Erasure) -> bool {
        let requested = |by: &RequestsBy| {
            erasure.request.as_ref().is_some_and(|request| {
                request.by.id == Some(by.requester)
                    && (by.from..=by.until).contains(&request.tm_request)
            })
        };
        self.customers.contains(&erasure.customer) || self.requests.iter().any(requested)
    }
}

/// Result of one call of [`replay`].
#[derive(Debug, Default, Serialize)]
pub struct Replay {
    /// Number of finished erasures that were checked.
    pub checked: u64,
    /// Number of accounts that the restore brought back and that are deleted again. The purge, which runs in
    /// the background, then deletes what they own.
    pub erased_again: u64,
    /// Number of accounts that the restore brought back and that could not be deleted again, because a hold
    /// forbids it.
    pub refused: u64,
    /// Number of accounts that the restore brought back and that stay, because they are among the
    /// [`Exceptions`].
    pub excepted: u64,
    /// Month from which the next call must continue; `None` if the replay is done.
    pub unfinished_from: Option<String>,
}

/// Deletes again every account whose erasure finished in the month `from` or later and that is not deleted
/// now, except those that `except` names. Stops near the deadline; another call continues from
/// [`unfinished_from`](Replay::unfinished_from).
pub async fn replay(
    app: &App,
    from: Month,
    except: &Exceptions,
    deadline: Deadline,
) -> Result<Replay, Error> {
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
                replay.account(app, id, except).await?;
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
    async fn account(
        &mut self,
        app: &App,
        id: Id<Customer>,
        except: &Exceptions,
    ) -> Result<(), Error> {
        self.checked += 1;
        let (back, erasure) = app.store.get_customer_and_erasure(id).await?;
        let Some(customer) = back.filter(|customer| customer.status != Status::Deleted) else {
            return Ok(());
        };
        if erasure.is_some_and(|erasure| except.include(&erasure)) {
            app.store.reinstate(id, Actor::ERASURE_REPLAY, app.now()).await?;
            self.excepted += 1;
            return Ok(());
        }
        let command = Command::Delete(Reason::Restored, None);
        match transition(app, Actor::ERASURE_REPLAY, customer, &command).await {
            Ok(_) => self.erased_again += 1,
            Err(Error::LegalHold(_)) => self.refused += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

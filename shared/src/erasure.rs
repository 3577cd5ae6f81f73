//! Deletions that are planned: counted first, and carried out only as they were counted.

use crate::domain::erasure::{Plan, Reason, Requester};
use crate::domain::lifecycle::Command;
use crate::domain::{Customer, Error};
use crate::lifecycle::transition;
use crate::runtime::App;

/// Deletes an account at once, for an operator; if there is a plan, only if it is still true. Returns the
/// account as it was, and as it is now.
pub async fn delete(
    app: &App,
    customer: Customer,
    by: Requester,
    plan: Option<Plan>,
) -> Result<(Customer, Customer), Error> {
    let command = Command::Delete(Reason::Delete, by, plan.clone());
    match (transition(app, customer.clone(), &command).await, plan) {
        (Err(Error::PlanOutdated(difference)), Some(plan)) => {
            let (counts, _) = app.store.count_owned(customer.id).await?;
            let mut counted = plan.difference(&customer, Some(&counts));
            counted.account_changed |= difference.account_changed;
            Err(Error::PlanOutdated(Box::new(counted)))
        }
        (deleted, _) => deleted,
    }
}

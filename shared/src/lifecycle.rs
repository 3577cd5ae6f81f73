//! Lifecycle changes: decided by the domain, written by the store, and decided again if another writer came first.

use crate::app::App;
use crate::domain::lifecycle::{Command, Transition, decide};
use crate::domain::{Actor, Customer, Error};
use crate::http::{Preconditions, view};
use crate::store::{Update, revise};

/// Carries out the `command` of an actor on an account, with its event and its ledger entry in one transaction. Returns the account as
/// it was decided on, and as it is now.
pub async fn transition(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
) -> Result<(Customer, Customer), Error> {
    transition_if(app, by, customer, command, &Preconditions::default()).await
}

/// Carries out `command` like [`transition`], if the account meets the request's preconditions.
pub async fn transition_if(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
    conditions: &Preconditions,
) -> Result<(Customer, Customer), Error> {
    revise(customer, |before| async move {
        conditions.require(&view::CustomerView::from(&before))?;
        let now = app.now();
        let Transition::Changed(change) = decide(&before, command, by, now)? else {
            return Ok((Update::Written, (before.clone(), before)));
        };
        let event =
            change.event.map(|event_type| app.event(event_type, before.id, Vec::new(), by, now));
        let update = app.store.update_customer(&before, &change, event.as_ref()).await?;
        Ok((update, (before, change.after)))
    })
    .await
}

//! Decide and persist, again if another writer came first.

use crate::app::App;
use crate::domain::lifecycle::{Command, Transition, decide};
use crate::domain::{Customer, Error};
use crate::http::{Preconditions, view};
use crate::store::{Update, revise};

/// Does `command` to an account: one conditional transaction with its event and its entry in the
/// ledger. Returns the account as it was decided on, and as it is now.
pub async fn transition(
    app: &App,
    customer: Customer,
    command: &Command,
) -> Result<(Customer, Customer), Error> {
    transition_if(app, customer, command, &Preconditions::default()).await
}

/// The same, if the account is in a state that a request is for.
pub async fn transition_if(
    app: &App,
    customer: Customer,
    command: &Command,
    conditions: &Preconditions,
) -> Result<(Customer, Customer), Error> {
    revise(customer, |before| async move {
        conditions.require(&view::CustomerView::from(&before))?;
        let now = app.now();
        let Transition::Changed(change) = decide(&before, command, now)? else {
            return Ok((Update::Written, (before.clone(), before)));
        };
        let event = change.event.map(|what| app.event(what, before.id, Vec::new(), now));
        let update = app.store.update_customer(&before, &change, event.as_ref()).await?;
        Ok((update, (before, change.after)))
    })
    .await
}

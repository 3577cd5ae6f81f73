//! Decide and persist, again if another writer came first.

use crate::app::App;
use crate::domain::lifecycle::{Command, Transition, decide};
use crate::domain::{Customer, Error};
use crate::http::{Preconditions, view};
use crate::store::Update;

/// How often a change is decided anew because something else was told of the account first. Each time, that
/// writer has got on; whoever writes without end must not keep an account from being frozen or deleted.
/// Usually the request's own time ends first.
const MAX_DECISIONS: u32 = 500;

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
    let mut before = customer;
    for _ in 0..MAX_DECISIONS {
        conditions.require(&view::CustomerView::from(&before))?;
        let now = app.now();
        let Transition::Changed(change) = decide(&before, command, now)? else {
            return Ok((before.clone(), before));
        };
        let event = change.event.map(|what| app.event(what, before.id, Vec::new(), now));
        match app.store.update_customer(&before, &change, event.as_ref()).await? {
            Update::Written => return Ok((before, change.after)),
            Update::Outdated(current) => before = *current,
        }
    }
    Err(Error::Unavailable("the account changes too fast".to_owned()))
}

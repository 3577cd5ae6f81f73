//! Lifecycle changes of accounts (freeze, recover, delete, …): the domain decides on a change and the store
//! writes it. If another writer came first, the domain decides again.

use crate::app::App;
use crate::domain::brake::{Brake, Hour};
use crate::domain::lifecycle::{Command, CustomerChange, Transition, decide};
use crate::domain::value::AddressHash;
use crate::domain::{Actor, Customer, Error, Event, PresentedToken, Ticket, TicketHash, Timestamp};
use crate::http::{Preconditions, view};
use crate::platform::metrics;
use crate::store::{Update, revise};

/// Carries out `command` on the account `customer` on behalf of the actor `by`. One transaction writes the
/// account and the event and, if the command concerns the account's erasure, records it in the ledger of
/// erasures. Returns the account before and after the change.
pub async fn transition(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
) -> Result<(Customer, Customer), Error> {
    transition_if(app, by, customer, command, &Preconditions::default()).await
}

/// Carries out `command` like [`transition`], if the account meets the preconditions (such as `If-Match`) of
/// the request.
pub async fn transition_if(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
    conditions: &Preconditions,
) -> Result<(Customer, Customer), Error> {
    carry_out(app, by, customer, command, conditions, Beside::Nothing).await
}

/// Carries out `command`, which unregisters an account, like [`transition_if`]. The same transaction issues a
/// ticket: a token with which the owner can follow the erasure. If the account is unregistered already, only
/// issues another ticket. Returns the account as it is now, and the ticket.
pub async fn unregister(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
    conditions: &Preconditions,
) -> Result<(Customer, Ticket), Error> {
    let ticket = app.new_ticket();
    let hash = ticket.hash();
    let beside = Beside::Issue(&hash);
    let (_, after) = carry_out(app, by, customer, command, conditions, beside).await?;
    Ok((after, ticket))
}

/// Carries out `command` like [`transition`], and uses up the mailed token with the hash `token_hash` in the
/// same transaction. Fails with [`Error::TokenInvalid`] if the token can no longer be used.
pub async fn transition_by_token(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
    token_hash: &str,
) -> Result<(Customer, Customer), Error> {
    let conditions = Preconditions::default();
    carry_out(app, by, customer, command, &conditions, Beside::UseUp(token_hash)).await
}

/// Marks an account's e-mail address as verified and uses up the token that was mailed to it. Fails with
/// [`Error::TokenInvalid`] if the account now has another address. Returns the account as it is now.
pub async fn prove_email(
    app: &App,
    token: &PresentedToken,
    mailed_to: AddressHash,
    account: Customer,
) -> Result<Customer, Error> {
    if account.email.hash() != Some(mailed_to) {
        return Err(Error::TokenInvalid);
    }
    let by = Actor::mailed_link(account.id);
    let command = Command::ProveEmail(account.email.clone());
    let (_, after) = transition_by_token(app, by, account, &command, &token.hash).await?;
    Ok(after)
}

/// An additional write that is made in the transaction of a lifecycle change.
#[derive(Clone, Copy)]
enum Beside<'a> {
    Nothing,
    /// Uses up the mailed token with this hash.
    UseUp(&'a str),
    /// Issues the ticket with this hash, with which the owner can follow the erasure, even if the command
    /// changes nothing.
    Issue(&'a TicketHash),
}

async fn carry_out(
    app: &App,
    by: Actor,
    customer: Customer,
    command: &Command,
    conditions: &Preconditions,
    beside: Beside<'_>,
) -> Result<(Customer, Customer), Error> {
    revise(customer, |before| async move {
        conditions.require(&view::CustomerView::from(&before))?;
        let now = app.now();
        let Transition::Changed(change) = decide(&before, command, by, now)? else {
            if let Beside::Issue(ticket) = beside {
                app.store.insert_ticket(ticket, before.id).await?;
            }
            return Ok((Update::Written, (before.clone(), before)));
        };
        let event = |event_type| Event {
            hold: command.hold().cloned(),
            ..app.event(event_type, before.id, Vec::new(), by, now)
        };
        let event = change.event.map(event);
        let brake = app.brake.filter(|_| command.is_operators_deletion());
        let event = event.as_ref();
        let update = match (brake, beside) {
            (Some(brake), _) => braked(app, brake, &before, &change, event).await?,
            (None, Beside::UseUp(token)) => {
                app.store.update_customer_by_token(&before, &change, event, token).await?
            }
            (None, Beside::Issue(ticket)) => {
                app.store.update_customer_with_ticket(&before, &change, event, ticket).await?
            }
            (None, Beside::Nothing) => app.store.update_customer(&before, &change, event).await?,
        };
        if matches!(update, Update::Written) {
            count(command, now);
        }
        Ok((update, (before, change.after)))
    })
    .await
}

/// Writes the deletion of an account by an operator, if the hourly limit of such deletions (the brake) allows
/// it.
async fn braked(
    app: &App,
    brake: Brake,
    before: &Customer,
    change: &CustomerChange,
    event: Option<&Event>,
) -> Result<Update<Customer>, Error> {
    let now = app.now();
    let hour = Hour::of(now);
    let update = if app.is_braked(hour) {
        Err(Error::DeletionLimit(hour.left(now)))
    } else {
        app.store.update_customer_with_brake(before, change, event, brake, now).await
    };
    if let Err(Error::DeletionLimit(_)) = update {
        app.remember_brake(hour);
        metrics::emit(now, &[("DeletionsRefused", "Count", 1)]);
    }
    update
}

/// Emits the metrics of deletions, which the alarms watch: deletions by operators, and deletions by owners
/// without a grace period.
fn count(command: &Command, now: Timestamp) {
    if matches!(command, Command::UnregisterNow) {
        metrics::emit(now, &[("DeletionsByOwners", "Count", 1)]);
    }
    if command.is_operators_deletion() {
        metrics::emit(now, &[("DeletionsByOperators", "Count", 1)]);
    }
}

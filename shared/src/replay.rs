//! Replays: responses to repeated idempotent requests. They show the current state of what the first request
//! created or changed.

use std::future::{Ready, ready};

use futures_util::future::try_join;

use crate::app::App;
use crate::domain::error::Entity;
use crate::domain::idempotency::IdempotencyRecord;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id};
use crate::http::{Reply, view};
use crate::store::Stored;
use crate::store::key::{self, Key};

/// Answers with the account that the request created or changed.
pub async fn customer(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    Reply::state(view::CustomerView::from(&account(app, record.customer).await?))
}

/// Answers with the account that the request unregistered, and with a new ticket (a token to follow the
/// erasure with): the first ticket cannot be shown again, because only its hash is stored.
pub async fn unregistered(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let ticket = app.new_ticket();
    let hash = ticket.hash();
    let issued = app.store.insert_ticket(&hash, record.customer);
    let (account, ()) = try_join(account(app, record.customer), issued).await?;
    Ok(Reply::state(view::CustomerView::from(&account))?.with_ticket(&ticket))
}

/// Answers with the account that the request changed, as its own admins see it.
pub async fn own_customer(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    Reply::state(view::OwnCustomerView::from(&account(app, record.customer).await?))
}

/// Answers with the agent that the request created or changed.
pub async fn agent(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let at = key::agent(record.customer, subject(&record, Kind::Agent)?);
    Reply::state(view::AgentView::new(record.customer, &get(app, &at, Kind::Agent.into()).await?))
}

/// Answers with the access key that the request changed.
pub async fn access_key(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let at = key::access_key(record.customer, subject(&record, Kind::AccessKey)?);
    let key = get(app, &at, Kind::AccessKey.into()).await?;
    Reply::state(view::AccessKeyView::new(record.customer, &key))
}

/// Answers with the resource that the request created or changed.
pub async fn resource(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let kind = record.kind().ok_or(Error::RouteNotFound)?;
    let at = key::resource(record.customer, kind, subject(&record, kind)?);
    Reply::state(view::ResourceView::new(record.customer, &get(app, &at, kind.into()).await?))
}

/// Answers with the participant that the request registered or changed.
pub async fn participant(app: &App, record: IdempotencyRecord) -> Result<Reply, Error> {
    let registry = app.store.get_registry().await?;
    let name = record.participant.ok_or(Error::NotFound(Entity::Participant))?;
    Reply::state(view::ParticipantView::new(&name, registry.find(&name)?))
}

/// Refuses to answer again: only the first answer showed the access key's token.
pub fn token_issued(_: &App, record: IdempotencyRecord) -> Ready<Result<Reply, Error>> {
    ready(Err(record.subject.map_or(Error::not_found(Kind::AccessKey), Error::TokenAlreadyIssued)))
}

async fn account(app: &App, customer: Id<Customer>) -> Result<Customer, Error> {
    get(app, &key::customer(customer), Entity::Customer).await
}

async fn get<T: Stored>(app: &App, at: &Key<T>, missing: Entity) -> Result<T, Error> {
    app.store.get_items(&[at.untyped()]).await?.get(at)?.ok_or(Error::NotFound(missing))
}

fn subject<T>(record: &IdempotencyRecord, kind: Kind) -> Result<Id<T>, Error> {
    record.subject.map(Id::from_uuid).ok_or(Error::not_found(kind))
}

//! Answers a request that was fulfilled before as it was answered then: from what it did, as that is now.

use uuid::Uuid;

use crate::app::App;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::error::Entity;
use crate::domain::event::EventType;
use crate::domain::idempotency::IdempotencyRecord;
use crate::domain::owned::Kind;
use crate::domain::{Error, Id};
use crate::http::{Reply, view};
use crate::store::Stored;
use crate::store::key::{self, Key};

/// Answers the request that came by `route`, such as `POST /v1.0/agents`, and has `done` this before.
pub async fn repeat(app: &App, route: &str, done: IdempotencyRecord) -> Result<Reply, Error> {
    let (customer, creates) = (done.customer, route.starts_with("POST "));
    match subject(&done) {
        _ if route.ends_with("/resend") => {
            let event = app.store.get_events(&[done.event]).await?.pop();
            let event = event.ok_or(Error::NotFound(Entity::Delivery))?;
            Reply::ok(Delivery::from(&event))
        }
        // Whatever is posted there, its answer is the only one that shows the token.
        Some((Kind::AccessKey, id)) if creates => Err(Error::TokenAlreadyIssued(Id::from_uuid(id))),
        Some((kind @ Kind::AccessKey, id)) => {
            let key = get(app, &key::access_key(customer, Id::from_uuid(id)), kind.into()).await?;
            Reply::state(view::AccessKeyView::new(customer, &key))
        }
        Some((kind @ Kind::Agent, id)) => {
            let agent = get(app, &key::agent(customer, Id::from_uuid(id)), kind.into()).await?;
            Reply::state(view::AgentView::new(customer, &agent))
        }
        Some((kind, id)) => {
            let at = key::resource(customer, kind, Id::from_uuid(id));
            Reply::state(view::ResourceView::new(customer, &get(app, &at, kind.into()).await?))
        }
        None if done.what == EventType::WebhookTested.name() => Reply::ok(first_delivery(done)),
        None => {
            let account = get(app, &key::customer(customer), Entity::Customer).await?;
            if route.starts_with("POST /v1.0/customer/") {
                return Reply::state(view::OwnCustomerView::from(&account));
            }
            Reply::state(view::CustomerView::from(&account))
        }
    }
}

/// What it was done to within the account.
fn subject(done: &IdempotencyRecord) -> Option<(Kind, Uuid)> {
    let is_told_by = |kind: &Kind| [kind.created(), kind.updated()].contains(&done.what.as_str());
    Kind::ALL.iter().copied().find(is_told_by).zip(done.subject)
}

async fn get<T: Stored>(app: &App, at: &Key<T>, missing: Entity) -> Result<T, Error> {
    app.store.get_items(&[at.untyped()]).await?.get(at)?.ok_or(Error::NotFound(missing))
}

/// The event's entry in the log as it was at first.
fn first_delivery(done: IdempotencyRecord) -> Delivery {
    Delivery {
        id: done.event,
        name: done.what,
        sequence: done.sequence,
        tm_event: done.tm_event,
        status: DeliveryState::Pending,
        attempts: 0,
        last_result: None,
        tm_attempt: None,
        tm_next_attempt: None,
    }
}

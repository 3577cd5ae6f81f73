//! What has happened to an account, for others to know.

use uuid::Uuid;

use super::owned::Kind;
use super::{Customer, Id, Timestamp};

/// Something that happened. Written to the outbox in the transaction of the change it tells of.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names this event for ever, over all retries.
    pub id: Id<Event>,
    /// What happened.
    pub event_type: EventType,
    /// The account it happened to.
    pub customer: Id<Customer>,
    /// The things it happened to within the account; empty if to the account itself.
    pub subjects: Vec<Uuid>,
    /// When it happened.
    pub time: Timestamp,
}

/// What can happen. The names on the bus are the original's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// An account was created.
    CustomerCreated,
    /// An account's fields changed.
    CustomerUpdated,
    /// An account was frozen until its deletion is due.
    CustomerFrozen,
    /// A frozen account was recovered.
    CustomerRecovered,
    /// An account is gone for good.
    CustomerDeleted,
    /// An account must not be erased, whatever is due.
    CustomerHeld,
    /// An account that was held goes its way again.
    CustomerReleased,
    /// The receiver of an account's webhook said that it is gone; nothing is sent there any more.
    WebhookDisabled,
    /// An account's owner wants to see whether webhooks arrive.
    WebhookTested,
    /// Something was added to what an account owns.
    Created(Kind),
    /// Something that an account owns has changed.
    Updated(Kind),
    /// Something that an account owned is gone, or is about to go with the account.
    Deleted(Kind),
}

impl EventType {
    /// The event's name on the bus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomerCreated => "customer_created",
            Self::CustomerUpdated => "customer_updated",
            Self::CustomerFrozen => "customer_frozen",
            Self::CustomerRecovered => "customer_recovered",
            Self::CustomerDeleted => "customer_deleted",
            Self::CustomerHeld => "customer_held",
            Self::CustomerReleased => "customer_released",
            Self::WebhookDisabled => "customer_webhook_disabled",
            Self::WebhookTested => "webhook_test",
            Self::Created(kind) => kind.created(),
            Self::Updated(kind) => kind.updated(),
            Self::Deleted(kind) => kind.deleted(),
        }
    }
}

//! Events about accounts.

use uuid::Uuid;

use super::hold::HoldName;
use super::owned::Kind;
use super::{Actor, Customer, Id, Timestamp};

/// An event about an account. It is written to the outbox, the table of events to be published, in the
/// transaction of the change.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event's id, the same in every retry.
    pub id: Id<Event>,
    /// The event type.
    pub event_type: EventType,
    /// The account that the event is about.
    pub customer: Id<Customer>,
    /// Ids of the owned items concerned; empty if the event is about the account itself.
    pub subjects: Vec<Uuid>,
    /// Name of the hold that was placed or lifted; `None` for any other event.
    pub hold: Option<HoldName>,
    /// Actor that made the change.
    pub actor: Actor,
    /// When the change happened.
    pub time: Timestamp,
}

/// The type of an event. Its names on the event bus are those of the original API (`VoIPbin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// An account was created.
    CustomerCreated,
    /// An account's fields changed.
    CustomerUpdated,
    /// An operator changed the result of an account's identity verification.
    CustomerIdentityVerificationUpdated,
    /// An account was frozen.
    CustomerFrozen,
    /// A frozen account was recovered.
    CustomerRecovered,
    /// An account was deleted.
    CustomerDeleted,
    /// A receipt of an account's erasure was signed: when the purge finishes and, if required participants
    /// had yet to answer then, once more after they have answered.
    CustomerErased,
    /// A hold was placed on an account.
    CustomerHeld,
    /// A hold on an account was lifted.
    CustomerReleased,
    /// An account was suspended.
    CustomerSuspended,
    /// The suspension of an account ended.
    CustomerResumed,
    /// An account's webhook was disabled, because the receiver answered 410.
    WebhookDisabled,
    /// An account's owner requested a test webhook.
    WebhookTested,
    /// An admin or an operator requested that a link for setting a new password be mailed to an agent.
    AgentResetRequested,
    /// An owned item was created.
    Created(Kind),
    /// An owned item was updated.
    Updated(Kind),
    /// Owned items were deleted, or are being deleted with the account.
    Deleted(Kind),
}

/// Recipients of events of a type, in addition to the project's own services, which get all of them on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The account's owner too: by webhook, and in the account's history.
    Owner,
    /// Operators only: not delivered to the account's webhook, not in its owner's history, and not numbered, because a
    /// gap in the sequence numbers would reveal it to the owner.
    Operators,
}

impl EventType {
    /// Returns who gets events of this type. An owner does not learn of holds.
    #[must_use]
    pub const fn audience(self) -> Audience {
        match self {
            Self::CustomerHeld | Self::CustomerReleased => Audience::Operators,
            _ => Audience::Owner,
        }
    }

    /// Whether a change of this type grants or takes away authority: it freezes, recovers, deletes, holds or suspends
    /// an account, ends a hold or a suspension, or changes which agents and access keys may act for the account.
    #[must_use]
    pub const fn is_of_authority(self) -> bool {
        match self {
            Self::CustomerFrozen
            | Self::CustomerRecovered
            | Self::CustomerDeleted
            | Self::CustomerHeld
            | Self::CustomerReleased
            | Self::CustomerSuspended
            | Self::CustomerResumed
            | Self::AgentResetRequested => true,
            Self::Created(kind) | Self::Updated(kind) | Self::Deleted(kind) => {
                matches!(kind, Kind::Agent | Kind::AccessKey)
            }
            Self::CustomerCreated
            | Self::CustomerUpdated
            | Self::CustomerIdentityVerificationUpdated
            | Self::CustomerErased
            | Self::WebhookDisabled
            | Self::WebhookTested => false,
        }
    }

    /// Returns the event type's name on the bus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomerCreated => "customer_created",
            Self::CustomerUpdated => "customer_updated",
            Self::CustomerIdentityVerificationUpdated => "customer_identity_verification_updated",
            Self::CustomerFrozen => "customer_frozen",
            Self::CustomerRecovered => "customer_recovered",
            Self::CustomerDeleted => "customer_deleted",
            Self::CustomerErased => "customer_erased",
            Self::CustomerHeld => "customer_held",
            Self::CustomerReleased => "customer_released",
            Self::CustomerSuspended => "customer_suspended",
            Self::CustomerResumed => "customer_resumed",
            Self::WebhookDisabled => "customer_webhook_disabled",
            Self::WebhookTested => "webhook_test",
            Self::AgentResetRequested => "agent_reset_requested",
            Self::Created(kind) => kind.created(),
            Self::Updated(kind) => kind.updated(),
            Self::Deleted(kind) => kind.deleted(),
        }
    }

    /// Returns the event type with this name; `None` if there is none.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let of_account = [
            Self::CustomerCreated,
            Self::CustomerUpdated,
            Self::CustomerIdentityVerificationUpdated,
            Self::CustomerFrozen,
            Self::CustomerRecovered,
            Self::CustomerDeleted,
            Self::CustomerErased,
            Self::CustomerHeld,
            Self::CustomerReleased,
            Self::CustomerSuspended,
            Self::CustomerResumed,
            Self::WebhookDisabled,
            Self::WebhookTested,
            Self::AgentResetRequested,
        ];
        let announced = Kind::ALL.iter().copied().filter(|kind| kind.is_announced());
        let of_items = announced
            .flat_map(|kind| [Self::Created(kind), Self::Updated(kind), Self::Deleted(kind)]);
        of_account.into_iter().chain(of_items).find(|event_type| event_type.name() == name)
    }
}

/// An event that happened, as an account's history keeps it.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// The event's id.
    pub id: Id<Event>,
    /// Name of the event type.
    pub name: String,
    /// Actor that caused the event.
    pub actor: Actor,
    /// Ids of the owned items concerned; empty if the event is about the account itself.
    pub subjects: Vec<Uuid>,
    /// Name of the hold that was placed or lifted; `None` for any other event.
    pub hold: Option<String>,
    /// Time of the event.
    pub time: Timestamp,
}

/// A client's request for a page of an account's history.
#[derive(Clone, Copy, Debug)]
pub struct EventQuery {
    /// Event type; `None` for all.
    pub event_type: Option<EventType>,
    /// Page size.
    pub size: usize,
    /// Id of the last event of the previous page; `None` for the first page.
    pub after: Option<Id<Event>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_by_its_name() {
        let items = [Kind::Agent, Kind::Number].into_iter().flat_map(|kind| {
            [EventType::Created(kind), EventType::Updated(kind), EventType::Deleted(kind)]
        });
        for event_type in items.chain([EventType::CustomerHeld, EventType::WebhookTested]) {
            assert_eq!(EventType::of_name(event_type.name()), Some(event_type));
        }
        for name in ["", "session_created", "customer_exploded"] {
            assert_eq!(EventType::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn owners_learn_of_everything_but_holds() {
        let audience = |name| EventType::of_name(name).unwrap().audience();
        assert_eq!(["customer_held", "customer_released"].map(audience), [Audience::Operators; 2]);
        for name in ["customer_created", "customer_suspended", "customer_deleted", "number_deleted"]
        {
            assert_eq!(audience(name), Audience::Owner, "{name}");
        }
    }

    #[test]
    fn who_may_act_and_whether_an_account_lives_is_authority_and_what_it_owns_is_not() {
        let is_of_authority = |name| EventType::of_name(name).unwrap().is_of_authority();
        for name in [
            "customer_frozen",
            "customer_recovered",
            "customer_deleted",
            "customer_held",
            "customer_released",
            "customer_suspended",
            "customer_resumed",
            "agent_reset_requested",
            "agent_created",
            "accesskey_updated",
            "agent_deleted",
        ] {
            assert!(is_of_authority(name), "{name}");
        }
        for name in ["customer_created", "customer_updated", "number_created", "flow_deleted"] {
            assert!(!is_of_authority(name), "{name}");
        }
    }
}

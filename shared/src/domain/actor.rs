//! Actors: who made a change (an agent, an access key, or a part of this system), as events and the log
//! record it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Id, Permission};

/// Kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorType {
    /// An agent who is logged in.
    Agent,
    /// A program with an access key.
    AccessKey,
    /// An operator (a project admin who acts on another account), as that account's owner sees one: without
    /// ids, and without telling an agent from an access key.
    Operator,
    /// The bootstrap function, invoked by whoever administers the AWS account.
    Bootstrap,
    /// The purge: the background job that deletes accounts whose deletion is due, and everything that they
    /// own.
    Purge,
    /// The function that, after a backup of the accounts table was restored, erases again the accounts that
    /// had been erased before.
    ErasureReplay,
    /// The function that delivers webhooks.
    WebhookDelivery,
    /// Somebody with a mailed link, who is not logged in.
    MailedLink,
}

/// An actor's role: for an agent or access key, the highest role that its permission implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An operator: an agent or access key with the project admin permission.
    ProjectAdmin,
    /// Administers the account.
    CustomerAdmin,
    /// Manages the account's resources.
    CustomerManager,
    /// An agent of the account without a permission to administer or manage, or somebody with a mailed link.
    Agent,
    /// A part of this system that acts without a request, such as the purge.
    System,
}

impl Role {
    /// Returns the highest role that a permission implies.
    #[must_use]
    pub const fn of(permission: Permission) -> Self {
        if permission.allows(Permission::PROJECT_ADMIN) {
            Self::ProjectAdmin
        } else if permission.allows(Permission::ADMIN) {
            Self::CustomerAdmin
        } else if permission.allows(Permission::MANAGER) {
            Self::CustomerManager
        } else {
            Self::Agent
        }
    }
}

/// Who made a change. Contains only ids, no names: once the agent is deleted, the ids identify nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Kind of the actor.
    #[serde(rename = "type")]
    pub kind: ActorType,
    /// Id of the agent or access key; `None` for any other actor.
    pub id: Option<Uuid>,
    /// Role in which the actor acted.
    pub role: Role,
    /// Account of the agent or access key, or the account that a mailed link is about; `None` for any other
    /// actor.
    pub customer_id: Option<Uuid>,
}

impl Actor {
    /// The bootstrap function.
    pub const BOOTSTRAP: Self = Self::system(ActorType::Bootstrap);
    /// The purge.
    pub const PURGE: Self = Self::system(ActorType::Purge);
    /// The restore replay: the function that erases accounts again after a backup was restored.
    pub const ERASURE_REPLAY: Self = Self::system(ActorType::ErasureReplay);
    /// The delivery of webhooks.
    pub const WEBHOOK_DELIVERY: Self = Self::system(ActorType::WebhookDelivery);

    /// Returns the actor for an agent of `customer` with this permission.
    #[must_use]
    pub const fn agent<Account, Agent>(
        customer: Id<Account>,
        agent: Id<Agent>,
        permission: Permission,
    ) -> Self {
        Self {
            kind: ActorType::Agent,
            id: Some(agent.uuid()),
            role: Role::of(permission),
            customer_id: Some(customer.uuid()),
        }
    }

    /// Returns the actor for somebody who uses a mailed link to this account.
    #[must_use]
    pub const fn mailed_link<Account>(customer: Id<Account>) -> Self {
        let customer_id = Some(customer.uuid());
        Self { kind: ActorType::MailedLink, id: None, role: Role::Agent, customer_id }
    }

    /// Returns the actor for a part of this system.
    const fn system(kind: ActorType) -> Self {
        Self { kind, id: None, role: Role::System, customer_id: None }
    }

    /// Whether the actor is an operator, and `customer` is not the operator's own account.
    #[must_use]
    pub fn is_operator_of<Account>(&self, customer: Id<Account>) -> bool {
        self.role == Role::ProjectAdmin && self.customer_id != Some(customer.uuid())
    }

    /// Returns the actor as the owner of `customer` may see it: an operator without ids, as
    /// [`ActorType::Operator`]; any other actor unchanged.
    #[must_use]
    pub fn seen_by_owner_of<Account>(self, customer: Id<Account>) -> Self {
        if self.is_operator_of(customer) {
            Self { kind: ActorType::Operator, id: None, role: self.role, customer_id: None }
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Customer;

    fn account(number: u128) -> Id<Customer> {
        Id::from_uuid(Uuid::from_u128(number))
    }

    fn agent(role: Role, customer: Id<Customer>) -> Actor {
        let id = Some(Uuid::from_u128(9));
        Actor { kind: ActorType::Agent, id, role, customer_id: Some(customer.uuid()) }
    }

    #[test]
    fn owner_sees_of_an_operator_only_that_it_was_one() {
        let (own, project) = (account(1), account(2));
        let seen = agent(Role::ProjectAdmin, project).seen_by_owner_of(own);
        let expected = r#"{"type":"operator","id":null,"role":"project_admin","customer_id":null}"#;
        assert_eq!(serde_json::to_string(&seen).unwrap(), expected);
    }

    #[test]
    fn owner_sees_own_agents_and_the_system_in_full() {
        let (own, project) = (account(1), account(2));
        let operators_own = agent(Role::ProjectAdmin, project);
        assert_eq!(operators_own.seen_by_owner_of(project), operators_own);
        for actor in [agent(Role::CustomerAdmin, own), Actor::PURGE] {
            assert_eq!(actor.seen_by_owner_of(own), actor);
        }
    }

    #[test]
    fn role_is_the_highest_that_the_permission_implies() {
        let all = Permission::AGENT | Permission::MANAGER | Permission::ADMIN;
        for (permission, role) in [
            (Permission::NONE, Role::Agent),
            (Permission::AGENT, Role::Agent),
            (Permission::AGENT | Permission::MANAGER, Role::CustomerManager),
            (all, Role::CustomerAdmin),
            (all | Permission::PROJECT_ADMIN, Role::ProjectAdmin),
        ] {
            assert_eq!(Role::of(permission), role, "{permission}");
        }
    }

    #[test]
    fn actors_are_named_by_their_ids() {
        let own = account(1);
        let ann: Id<crate::domain::Agent> = Id::from_uuid(Uuid::from_u128(9));
        assert_eq!(Actor::agent(own, ann, Permission::ADMIN), agent(Role::CustomerAdmin, own));
        let linked = Actor::mailed_link(own);
        assert_eq!((linked.kind, linked.id), (ActorType::MailedLink, None));
        assert_eq!((linked.role, linked.customer_id), (Role::Agent, Some(own.uuid())));
        assert!(agent(Role::ProjectAdmin, account(2)).is_operator_of(own));
        assert!(!agent(Role::ProjectAdmin, own).is_operator_of(own));
        assert!(!Actor::PURGE.is_operator_of(own));
    }
}

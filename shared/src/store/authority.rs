//! Checks the caller's authority again in the transactions that grant or remove authority.
//!
//! A request reads the caller's agent at its beginning and is admitted because of what it finds. Before the
//! request writes, somebody else may take away the caller's authority: delete the agent, change its
//! permission or end its sessions. So the request registers its caller, and each transaction that changes
//! agents, access keys or the lifecycle of an account requires that the caller's agent has not changed in
//! these respects. The registration is kept in a task-local and not passed through the handler, so that no
//! endpoint can forget it.

use std::sync::OnceLock;

use super::dynamodb::{Address, Condition, Guard, Item, Transaction, number};
use super::key;
use crate::domain::error::Denial;
use crate::domain::{Agent, Customer, Error, Id, Permission};

/// The agent that a request acts for, as it was when the request was admitted.
#[derive(Clone, Debug)]
struct Authority {
    customer: Id<Customer>,
    agent: Id<Agent>,
    permission: Permission,
    /// The agent's epoch, a number that is incremented to end the agent's sessions. `None` if the caller has
    /// an access key, which stays valid when the sessions end.
    epoch: Option<u64>,
}

tokio::task_local! {
    static CALLER: OnceLock<Authority>;
}

/// Runs a request in a scope of its own, in which it may [register] its caller.
pub async fn scope<T>(request: impl Future<Output = T>) -> T {
    CALLER.scope(OnceLock::new(), request).await
}

/// Registers `agent` of `customer` as the agent that the request acts for, with its permission and, if the
/// caller has a session, its epoch.
pub fn register(customer: Id<Customer>, agent: &Agent, has_session: bool) {
    let authority = Authority {
        customer,
        agent: agent.id,
        permission: agent.permission,
        epoch: has_session.then_some(agent.epoch),
    };
    // Outside of a scope there is no caller, but the purge or an operator of AWS.
    let _ = CALLER.try_with(|caller| caller.set(authority));
}

impl Transaction<'_> {
    /// Adds the condition that the request's caller still has the authority that the request was admitted with, if it
    /// has a caller.
    ///
    /// DynamoDB accepts only one action per item, so a transaction that changes the caller's own agent lacks this
    /// condition: there, the code that decides on the change compares the agent with the caller.
    pub(super) fn authorized(self) -> Self {
        match CALLER.try_with(|caller| caller.get().map(StillValid::of)) {
            Ok(Some(guard)) => self.guarded(Box::new(guard)),
            _ => self,
        }
    }
}

/// The condition that the caller's agent exists, and has the permission and the epoch that were read.
#[derive(Debug)]
struct StillValid {
    authority: Authority,
    condition: Condition,
}

impl StillValid {
    fn of(authority: &Authority) -> Self {
        let permission = [(":caller_permission", number(authority.permission))];
        let condition = Condition::new("#permission = :caller_permission", permission);
        let condition = match authority.epoch {
            Some(epoch) => condition
                .and(Condition::new("epoch = :caller_epoch", [(":caller_epoch", number(epoch))])),
            None => condition,
        };
        Self { authority: authority.clone(), condition }
    }
}

impl Guard for StillValid {
    fn check(&self) -> (Address, &Condition) {
        (key::agent(self.authority.customer, self.authority.agent).address(), &self.condition)
    }

    /// Returns [`Error::PermissionDenied`] if the agent's permission has changed. Otherwise the agent is gone or its
    /// sessions were ended, so the credential is no longer valid: [`Error::InvalidCredentials`].
    fn refuse(&self, found: Option<Item>) -> Error {
        let permission = found.as_ref().and_then(|agent| agent.get("permission"));
        if permission.is_some_and(|found| *found != number(self.authority.permission)) {
            return Error::PermissionDenied(Denial::Changed);
        }
        Error::InvalidCredentials
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::value::FromText as _;
    use crate::domain::{Timestamp, Username};
    use crate::store::dynamodb::fake::{Fake, cancelled, reason, written};
    use crate::store::dynamodb::{CommitResult, Store};

    fn caller() -> (Id<Customer>, Agent) {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let username = Username::from_text("ann").unwrap();
        let agent = Agent::new(Id::new(now, [2; 10]), username, Permission::ADMIN, now);
        (Id::new(now, [1; 10]), agent)
    }

    /// Deletes the item at `address` in a request whose caller is registered.
    async fn delete(
        store: &Store,
        address: Address,
        has_session: bool,
    ) -> Result<CommitResult, Error> {
        scope(async {
            let (customer, agent) = caller();
            register(customer, &agent, has_session);
            store.transaction().authorized().delete(address, None)?.run().await
        })
        .await
    }

    fn elsewhere() -> Address {
        key::customer(caller().0).address()
    }

    fn legs(fake: &Fake) -> Value {
        fake.body(0)["TransactItems"].clone()
    }

    #[tokio::test]
    async fn the_last_leg_checks_that_the_callers_agent_is_unchanged() {
        for (has_session, expected) in [
            (true, "(#permission = :caller_permission) AND (epoch = :caller_epoch)"),
            (false, "#permission = :caller_permission"),
        ] {
            let (store, fake) = Fake::answering([written()]);
            delete(&store, elsewhere(), has_session).await.unwrap();
            let check = &legs(&fake)[1]["ConditionCheck"];
            assert_eq!(check["ConditionExpression"], expected);
            let sk = format!("AGENT#{}", caller().1.id);
            assert_eq!(check["Key"]["sk"]["S"], sk.as_str());
        }
    }

    #[tokio::test]
    async fn an_evicted_caller_is_refused_by_what_became_of_them() {
        let answer = |agent: Option<Value>| {
            let mut failed = reason("ConditionalCheckFailed");
            if let Some(agent) = agent {
                failed["Item"] = agent;
            }
            cancelled(&[reason("None"), failed])
        };
        let (store, _) = Fake::answering([answer(Some(json!({"permission": {"N": "16"}})))]);
        let refused = delete(&store, elsewhere(), true).await;
        assert!(matches!(refused, Err(Error::PermissionDenied(Denial::Changed))), "{refused:?}");
        let ended = json!({"permission": {"N": "32"}, "epoch": {"N": "1"}});
        for agent in [None, Some(ended)] {
            let (store, _) = Fake::answering([answer(agent)]);
            let refused = delete(&store, elsewhere(), true).await;
            assert!(matches!(refused, Err(Error::InvalidCredentials)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_change_of_the_callers_own_agent_has_no_second_leg_on_it() {
        let (store, fake) = Fake::answering([written()]);
        let (customer, agent) = caller();
        delete(&store, key::agent(customer, agent.id).address(), true).await.unwrap();
        assert_eq!(legs(&fake).as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_a_caller_no_authority_is_checked() {
        let (store, fake) = Fake::answering([written()]);
        let transaction = store.transaction().authorized().delete(elsewhere(), None).unwrap();
        transaction.run().await.unwrap();
        assert_eq!(legs(&fake).as_array().unwrap().len(), 1);
    }
}

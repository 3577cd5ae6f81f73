//! Storage of agents, the people who work with an account. An agent has two items: its own, which every
//! request reads, and the lock on its user name, which makes the name unique and which log-ins read.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dynamodb::{
    CommitResult, Condition, Leg, Store, Table, Transaction, UpdateExpression, number, string,
};
use super::fields::stored;
use super::idempotency;
use super::key;
use super::login::{LoginAttributes, of_agent};
use super::outbox::OutboxEntry;
use super::owned::gone;
use super::revise::Update;
use super::stored::{Stored, item, read};
use super::throttle::without_attempts;
use crate::domain::error::Entity;
use crate::domain::gate::{Party, Target, Write};
use crate::domain::mail_intent::Intent;
use crate::domain::network::{Recipient, Source};
use crate::domain::notice::Occasion;
use crate::domain::owned::Kind;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::domain::quota::Quota;
use crate::domain::username::LoginKey;
use crate::domain::value::{Detail, Name, PasswordHash};
use crate::domain::{
    AccessKey, Agent, Customer, Error, Event, Id, Login, Page, Permission, PresentedToken, Purpose,
    Session, Timestamp, Username,
};
use crate::patience::Tries;

/// Returns the update that increments an agent's epoch, which ends the agent's sessions. Both items of an
/// agent store the epoch and are updated in the same transaction.
fn next_epoch() -> Result<UpdateExpression, Error> {
    UpdateExpression::default().increment("epoch")
}

/// The condition that the agent's epoch and the fields that the API shows are unchanged since it was read.
fn unchanged(agent: &Agent) -> Condition {
    let values = [
        (":read_permission", number(agent.permission)),
        (":read_name", string(agent.name.expose())),
        (":read_detail", string(agent.detail.expose())),
        (":read_update", string(agent.tm_update.to_string())),
        (":read_epoch", number(agent.epoch)),
    ];
    let expression = "#permission = :read_permission AND #name = :read_name AND detail = :read_detail \
                      AND tm_update = :read_update AND epoch = :read_epoch";
    Condition::new(expression, values)
}

stored! {
    /// Attributes of the item that stores an agent.
    #[derive(Serialize, Deserialize)]
    pub struct AgentAttributes {
        id: Id<Agent> => Deleted,
        username: String => Deleted personal,
        /// Login key of the agent's user name. It is the key of the user name's lock, so that the lock can be deleted
        /// with the agent.
        login: LoginKey => Deleted,
        name: String => Deleted personal,
        detail: String => Deleted personal,
        permission: Permission => Deleted,
        epoch: u64 => Deleted,
        tm_create: Timestamp => Deleted,
        tm_update: Timestamp => Deleted,
    }
}

impl From<&Agent> for AgentAttributes {
    fn from(agent: &Agent) -> Self {
        Self {
            id: agent.id,
            username: agent.username.expose().to_owned(),
            login: agent.login,
            name: agent.name.expose().to_owned(),
            detail: agent.detail.expose().to_owned(),
            permission: agent.permission,
            epoch: agent.epoch,
            tm_create: agent.tm_create,
            tm_update: agent.tm_update,
        }
    }
}

impl From<AgentAttributes> for Agent {
    fn from(stored: AgentAttributes) -> Self {
        Self {
            id: stored.id,
            username: Username::trusted(stored.username),
            login: stored.login,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            permission: stored.permission,
            epoch: stored.epoch,
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
        }
    }
}

impl Stored for Agent {
    type Attributes = AgentAttributes;
}

/// A change of an agent's password: the new hash, the session that stays valid while all others end, and whether the
/// agent's access keys end too.
pub struct NewPasswordHash {
    /// The new password's hash.
    pub hash: PasswordHash,
    /// The session that stays valid; `None` if all sessions end.
    pub kept_session: Option<Id<Session>>,
    /// Whether the access keys that act for the agent end.
    pub ends_keys: bool,
}

impl std::fmt::Debug for NewPasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPasswordHash(…)")
    }
}

/// A password that is set by a mailed link.
pub struct MailedPassword<'a> {
    /// The password's hash.
    pub hash: PasswordHash,
    /// The link's token.
    pub token: &'a PresentedToken,
    /// Purpose for which the token was mailed.
    pub purpose: Purpose,
}

impl std::fmt::Debug for MailedPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MailedPassword(…)")
    }
}

/// An admin's request to mail an agent a link that sets the agent's password.
#[derive(Debug)]
pub struct ResetRequest {
    /// The mail intent to record.
    pub intent: Intent,
    /// The agent whose password the link sets.
    pub agent: Id<Agent>,
    /// Rate limit of such requests per agent; `None` if there is no limit.
    pub quota: Option<Quota>,
}

/// Maximum number of access keys deleted in one transaction, which DynamoDB limits to 100 actions.
const KEYS_AT_ONCE: usize = 80;

impl Transaction<'_> {
    /// Adds the actions that replace an agent's password, on the condition that the agent is unchanged since it was
    /// read, and those that notify the account's owner. The session that `new` names, if any, stays valid.
    fn change_password(
        self,
        customer: &Customer,
        agent: &Agent,
        new: &NewPasswordHash,
        event: &Event,
    ) -> Result<Self, Error> {
        let of_lock = of_agent(agent.id).and(same_epoch(agent));
        let conditions = (&unchanged(agent), &of_lock);
        let transaction =
            self.replace_password(customer.id, agent, &new.hash, conditions, event)?;
        let transaction = match new.kept_session {
            // Failed log-ins by strangers do not impede a session, so their count stays; only the session's
            // own is deleted.
            Some(session) => {
                let session = key::session(customer.id, agent.id, session).address();
                let goes_on = without_attempts(next_epoch()?);
                transaction.update(session, &goes_on, Some(&Condition::present()))?
            }
            None => transaction.forget_attempts(agent)?,
        };
        transaction.tell(Some(Occasion::PasswordChanged), customer, event)
    }

    /// Adds the action that deletes the count of attempts to log in as an agent.
    fn forget_attempts(self, agent: &Agent) -> Result<Self, Error> {
        self.delete(key::throttle(&agent.login.to_string()).address(), None)
    }

    /// Adds the actions that replace an agent's password and end its sessions, if the agent and its user name's lock
    /// meet these conditions.
    fn replace_password(
        self,
        customer: Id<Customer>,
        agent: &Agent,
        hash: &PasswordHash,
        (of_agent, of_lock): (&Condition, &Condition),
        event: &Event,
    ) -> Result<Self, Error> {
        let agents = next_epoch()?.set("tm_update", event.time)?;
        let locks = next_epoch()?.set("password_hash", hash.expose())?;
        self.update(key::agent(customer, agent.id).address(), &agents, Some(of_agent))?.update(
            key::login(agent.login).address(),
            &locks,
            Some(of_lock),
        )
    }
}

impl Store {
    /// Creates an agent and the lock on its user name, if the account's state allows it, and records the `invitation`
    /// to be mailed, if there is one.
    ///
    /// Requests for taken user names count against a rate limit of the account. Once that limit is reached,
    /// every request to create an agent fails with [`Error::TooManyRequests`], even if its name is free.
    /// Operators are exempt, so that nobody can keep them from adding an agent to the account.
    pub async fn insert_agent(
        &self,
        target: Target<'_>,
        agent: &Agent,
        login: &Login,
        invitation: Option<&Intent>,
        event: &Event,
    ) -> Result<(), Error> {
        let new = item(&key::agent(target.id, agent.id), AgentAttributes::from(agent))?;
        let lock = item(&key::login(agent.login), LoginAttributes::from(login))?;
        let (taken, account) = (Quota::TAKEN_USERNAMES, Source::Customer(target.id));
        let is_counted = target.by == Party::Owner;
        let insert = |target: Target<'_>| {
            let absent = Condition::absent();
            let transaction = self
                .transaction()
                .emit_permission(target, event, None, Some(agent.permission))?
                .put(Table::Accounts, new.clone(), Some(&absent))?
                .put(Table::Accounts, lock.clone(), Some(&absent))?;
            let transaction = if is_counted {
                transaction.check_quota(taken, &account, event.time)?
            } else {
                transaction
            };
            match invitation {
                Some(invitation) => transaction.intend(invitation, event.id.uuid(), event.time),
                None => Ok(transaction),
            }
        };
        match self.change_owned(target.to(Write::Change), insert).await? {
            CommitResult::Written => Ok(()),
            CommitResult::Refused(legs) => match legs.as_slice() {
                [root, ..] if root.failed() => Err(gone()),
                // The id is new: if it exists already, an answer was lost and this is a second try.
                [_, _, new, ..] if new.failed() => Ok(()),
                [_, _, _, _, count, ..] if is_counted && count.failed() => {
                    Err(Error::TooManyRequests(taken.status(taken.limit, event.time)))
                }
                _ => {
                    if is_counted {
                        self.count(taken, &account, event.time).await?;
                    }
                    Err(Error::UsernameTaken)
                }
            },
        }
    }

    /// Changes the agent's name and detail to those of `after`, if the agent is unchanged since `before` was read and
    /// the account's state allows it.
    pub async fn update_agent(
        &self,
        target: Target<'_>,
        before: &Agent,
        after: &Agent,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let changed = UpdateExpression::default()
            .set("name", after.name.expose())?
            .set("detail", after.detail.expose())?
            .set("tm_update", after.tm_update)?;
        let key = key::agent(target.id, before.id);
        let target = target.to(Write::Overwrite);
        self.update_owned_if(target, Kind::Agent, &key, &changed, &unchanged(before), event).await
    }

    /// Changes the agent's permission to that of `after`, if the agent is unchanged since `before` was read, the
    /// account's state allows it, and the account keeps an admin.
    pub async fn update_agent_permission(
        &self,
        target: Target<'_>,
        before: &Agent,
        after: &Agent,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let changed = UpdateExpression::default()
            .set("permission", after.permission)?
            .set("tm_update", after.tm_update)?;
        let (key, unchanged) = (key::agent(target.id, before.id), unchanged(before));
        let update = |target: Target<'_>| {
            self.transaction()
                .emit_permission(target, event, Some(before.permission), Some(after.permission))?
                .update(key.address(), &changed, Some(&unchanged))
        };
        updated(target, self.change_owned(target.to(Write::Overwrite), update).await?)
    }

    /// Replaces an agent's password, if the agent is unchanged since it was read and the account's state allows it. The
    /// agent's sessions end, except `new.kept_session`: the caller's own, when callers change their own password.
    /// Without a kept session, the count of the agent's login attempts is deleted.
    ///
    /// If `new.ends_keys` is set, the agent's access keys are deleted too, and `ended` builds the event of
    /// their deletion, given the keys' ids. The keys are listed after the account was read, and deleted on
    /// the condition that the account has emitted no event since: a key that is being created at the same
    /// moment is either deleted too or not created.
    pub async fn update_agent_password(
        &self,
        target: Target<'_>,
        agent: &Agent,
        new: &NewPasswordHash,
        event: &Event,
        ended: impl Fn(Vec<Uuid>) -> Event,
    ) -> Result<Update<Agent>, Error> {
        let own = new.kept_session.is_some();
        let target = target.to(if own { Write::Credentials } else { Write::Change });
        let result = if new.ends_keys {
            self.replace_password_and_keys(target, agent, new, event, ended).await?
        } else {
            let replace = |target: Target<'_>| {
                let transaction = self.transaction().emit_owned(target, event)?;
                transaction.change_password(&target, agent, new, event)
            };
            self.change_owned(target, replace).await?
        };
        let CommitResult::Refused(legs) = result else { return Ok(Update::Written) };
        // Written by this request, if an answer from the database was lost: the hash has a salt of its own.
        if has_hash(&legs, &new.hash) {
            return Ok(Update::Written);
        }
        let mut legs = legs.into_iter();
        match (legs.next(), legs.nth(1)) {
            (Some(Leg::Failed(_)), _) => Err(gone()),
            (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
            (_, Some(Leg::Failed(None))) => Err(missing()),
            // The session has ended since.
            _ => Err(Error::InvalidCredentials),
        }
    }

    /// Sets an agent's password by a mailed link and uses the link up, if the link's token still exists and the agent's
    /// epoch is unchanged since the agent was read; [`Error::TokenInvalid`] otherwise. Ends all of the agent's sessions
    /// and links and deletes the count of its login attempts; its access keys stay. The account's owner is notified,
    /// unless the agent was invited and had no password.
    pub async fn reset_agent_password(
        &self,
        target: Target<'_>,
        agent: &Agent,
        new: &MailedPassword<'_>,
        event: &Event,
    ) -> Result<(), Error> {
        let same_epoch = same_epoch(agent);
        let of_lock = of_agent(agent.id).and(same_epoch.clone());
        let told = match new.purpose {
            Purpose::Invitation => None,
            _ => Some(Occasion::PasswordChanged),
        };
        let reset = |target: Target<'_>| {
            self.transaction()
                .emit_owned(target, event)?
                .replace_password(target.id, agent, &new.hash, (&same_epoch, &of_lock), event)?
                .forget_attempts(agent)?
                .delete_token(&new.token.hash)?
                .tell(told, &target, event)
        };
        match self.change_owned(target.to(Write::Reset), reset).await {
            Ok(CommitResult::Written) => Ok(()),
            // Written by this request, if an answer from the database was lost: the hash has a salt of its own.
            Ok(CommitResult::Refused(legs)) if has_hash(&legs, &new.hash) => Ok(()),
            Ok(CommitResult::Refused(_)) | Err(Error::InvalidCredentials) => {
                Err(Error::TokenInvalid)
            }
            Err(error) => Err(error),
        }
    }

    /// Records an admin's request to mail an agent a link that sets its password, and the event of the request, if the
    /// account's state allows it; [`Error::TooManyRequests`] if the agent's limit for the hour is exhausted.
    pub async fn insert_reset_request(
        &self,
        target: Target<'_>,
        asked: &ResetRequest,
        event: &Event,
    ) -> Result<(), Error> {
        let recipient = Recipient::new(Purpose::PasswordReset, &asked.agent.to_string());
        let recipient = Source::Recipient(recipient);
        let ask = |target: Target<'_>| {
            let transaction = self.transaction().emit_owned(target, event)?.intend(
                &asked.intent,
                event.id.uuid(),
                event.time,
            )?;
            match asked.quota {
                Some(quota) => transaction.count(quota, &recipient, event.time),
                None => Ok(transaction),
            }
        };
        let CommitResult::Refused(legs) = self.change_owned(target.to(Write::Reset), ask).await?
        else {
            return Ok(());
        };
        match (legs.as_slice(), asked.quota) {
            ([root, ..], _) if root.failed() => Err(gone()),
            // The event's id is new: if it exists already, an answer was lost and this is a second try.
            ([_, event, ..], _) if event.failed() => Ok(()),
            (_, Some(quota)) => Err(Error::TooManyRequests(quota.status(quota.limit, event.time))),
            (_, None) => Ok(()),
        }
    }

    /// Replaces an agent's password and deletes the access keys that act for it, in one transaction.
    async fn replace_password_and_keys(
        &self,
        target: Target<'_>,
        agent: &Agent,
        new: &NewPasswordHash,
        event: &Event,
        ended: impl Fn(Vec<Uuid>) -> Event,
    ) -> Result<CommitResult, Error> {
        let (mut current, mut tries) = (target.customer().clone(), Tries::new());
        loop {
            let target = target.now(&current);
            let mut keys = self.list_keys_of(target.id, agent.id).await?;
            // Keys for which one transaction has no room are deleted before it. Their deletions write no
            // idempotency record, as that belongs to the change of the password.
            for key in keys.drain(KEYS_AT_ONCE.min(keys.len())..) {
                let event = ended(vec![key.id.uuid()]);
                let (deleted, _) =
                    idempotency::scope(self.delete_access_key(target, &key, &event)).await;
                deleted?;
            }
            let transaction = self.transaction();
            let mut transaction = if keys.is_empty() {
                let transaction = transaction.emit_owned(target, event)?;
                transaction.change_password(&target, agent, new, event)?
            } else {
                let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                let ended = ended(keys.iter().map(|key| key.id.uuid()).collect());
                transaction
                    .emit_second(target, event, (Kind::AccessKey, count))?
                    .change_password(&target, agent, new, event)?
                    .put_event(&OutboxEntry::next(&ended, &current))?
            };
            for key in keys {
                let key = key::access_key(target.id, key.id).address();
                transaction = transaction.delete(key, Some(&Condition::present()))?;
            }
            let attempt = transaction.attempt().await?;
            match self.next_try(attempt, target, &mut tries).await? {
                ControlFlow::Break(result) => return Ok(result),
                ControlFlow::Continue(newer) => current = newer,
            }
        }
    }

    /// All access keys that act for an agent.
    async fn list_keys_of(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
    ) -> Result<Vec<AccessKey>, Error> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.list_access_keys(customer, MAX_PAGE_SIZE, after).await?;
            after = page.rows.last().map(|key| key.id).filter(|_| page.next.is_some());
            keys.extend(page.rows.into_iter().filter(|key| key.agent == agent));
            if after.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Deletes an agent and frees its user name, if the agent is unchanged since it was read, the account's state
    /// allows it, and the account keeps an admin. Its sessions and its access keys stop working at once.
    pub async fn delete_agent(
        &self,
        target: Target<'_>,
        agent: &Agent,
        event: &Event,
    ) -> Result<Update<Agent>, Error> {
        let (unchanged, of_agent) = (unchanged(agent), of_agent(agent.id));
        let delete = |target: Target<'_>| {
            self.transaction()
                .emit_permission(target, event, Some(agent.permission), None)?
                .delete(key::agent(target.id, agent.id).address(), Some(&unchanged))?
                .delete(key::login(agent.login).address(), Some(&of_agent))?
                .forget_attempts(agent)
        };
        updated(target, self.change_owned(target.to(Write::Overwrite), delete).await?)
    }

    /// Ends all sessions of an agent by incrementing the agent's epoch: a session is valid only in the epoch in which
    /// it began. A session that is being written at the same moment has the old epoch, and ends too.
    pub async fn end_sessions(
        &self,
        customer: Id<Customer>,
        agent: Id<Agent>,
        login: LoginKey,
    ) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .update(
                key::agent(customer, agent).address(),
                &next_epoch()?,
                Some(&Condition::present()),
            )?
            .update(key::login(login).address(), &next_epoch()?, Some(&of_agent(agent)))?;
        match transaction.run().await? {
            CommitResult::Written => Ok(()),
            // The agent is deleted, and its sessions do not work any more.
            CommitResult::Refused(_) => Err(Error::InvalidCredentials),
        }
    }

    /// A page of an account's agents, newest first, that come after the agent `after`.
    pub async fn list_agents(
        &self,
        customer: Id<Customer>,
        size: usize,
        after: Option<Id<Agent>>,
    ) -> Result<Page<Agent>, Error> {
        self.list_kind(customer, Kind::Agent, size, after, |agent: &Agent| agent.id).await
    }
}

/// The condition that the agent's epoch is unchanged since it was read: its sessions and links have not been ended.
fn same_epoch(agent: &Agent) -> Condition {
    Condition::new("epoch = :read_epoch", [(":read_epoch", number(agent.epoch))])
}

/// Returns the result of a transaction that changes an agent: [`Update::Written`], or [`Update::Outdated`] with the
/// agent as it is now. Fails if the agent is gone, or if the account would have no admin left. The transaction's first
/// two actions must be those of [`emit_permission`](super::dynamodb::Transaction), and its third must be on the agent.
fn updated(target: Target<'_>, result: CommitResult) -> Result<Update<Agent>, Error> {
    let CommitResult::Refused(legs) = result else {
        return Ok(Update::Written);
    };
    let mut legs = legs.into_iter();
    match (legs.next(), legs.nth(1)) {
        (_, Some(Leg::Failed(Some(current)))) => Ok(Update::Outdated(Box::new(read(current)?))),
        (_, Some(Leg::Failed(None))) => Err(missing()),
        (Some(root), _) if root.failed() && target.internals.system => Err(Error::LastProjectAdmin),
        (Some(root), _) if root.failed() => Err(Error::LastAdmin),
        _ => Err(Error::Internal("an agent's user name is another's".to_owned())),
    }
}

/// Whether the user name's lock, which stores the password's hash, already has this hash. The lock is the item of the
/// transaction's fourth action.
fn has_hash(legs: &[Leg], hash: &PasswordHash) -> bool {
    let Some(Leg::Failed(Some(lock))) = legs.get(3) else { return false };
    read(lock.clone()).is_ok_and(|login: Login| login.password_hash.expose() == hash.expose())
}

const fn missing() -> Error {
    Error::NotFound(Entity::Owned(Kind::Agent))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::EventType;
    use crate::domain::gate::Party;
    use crate::domain::value::FromText as _;
    use crate::domain::{Actor, MailedToken, Status};
    use crate::store::dynamodb::fake::{Fake, cancelled, reason, written};
    use crate::store::root::tests::{customer, now, root};

    const HASH: &str = "the new password's hash";

    fn agent() -> Agent {
        let username = Username::from_text("ann@example.com").unwrap();
        Agent::new(Id::new(now(), [2; 10]), username, Permission::ADMIN, now())
    }

    fn token() -> PresentedToken {
        let token = MailedToken::new(Some(customer(0).id), Some(agent().id), [7; 32]);
        PresentedToken::from_text(token.expose()).unwrap()
    }

    /// Sets the agent's password by a mailed link, for an account that was read when its sequence number was 0.
    async fn reset(store: &Store) -> Result<(), Error> {
        let (customer, agent, token) = (customer(0), agent(), token());
        let event = Event {
            id: Id::new(now(), [3; 10]),
            event_type: EventType::Updated(Kind::Agent),
            customer: customer.id,
            subjects: vec![agent.id.uuid()],
            hold: None,
            actor: Actor::mailed_link(customer.id),
            time: now(),
        };
        let hash = PasswordHash::stored(HASH.to_owned());
        let new = MailedPassword { hash, token: &token, purpose: Purpose::PasswordReset };
        let target = customer.writable(Party::Owner, Write::Reset).unwrap();
        store.reset_agent_password(target, &agent, &new, &event).await
    }

    fn failed(item: Value) -> Value {
        let mut failed = reason("ConditionalCheckFailed");
        failed["Item"] = item;
        failed
    }

    /// Returns DynamoDB's refusal of a password reset, if another request has reset the password first: the agent's
    /// epoch has changed, and the stored hash is `hash`.
    fn overtaken(hash: &str) -> (u16, Value) {
        let held = || reason("None");
        let lock = json!({
            "customer_id": {"S": customer(0).id.to_string()},
            "agent_id": {"S": agent().id.to_string()},
            "username_digest": {"S": agent().username.digest()},
            "password_hash": {"S": hash},
            "epoch": {"N": "1"},
        });
        let of_agent = failed(json!({"epoch": {"N": "1"}}));
        let gone = reason("ConditionalCheckFailed");
        cancelled(&[held(), held(), of_agent, failed(lock), held(), gone])
    }

    #[tokio::test]
    async fn a_reset_is_conditional_on_epoch_and_token_and_not_on_suspension() {
        let (store, fake) = Fake::answering([written()]);
        reset(&store).await.unwrap();
        let legs = fake.body(0)["TransactItems"].clone();
        let condition =
            |leg: usize, write: &str| legs[leg][write]["ConditionExpression"].to_string();
        let of_account = condition(0, "Update");
        assert!(of_account.contains(":frozen") && !of_account.contains("tm_suspend"), "{legs}");
        for leg in [2, 3] {
            assert!(condition(leg, "Update").contains("epoch = :read_epoch"), "{legs}");
        }
        assert_eq!(legs[5]["Delete"]["Key"]["id"]["S"], format!("TOKEN#{}", token().hash));
        assert!(condition(5, "Delete").contains("attribute_exists(id)"), "{legs}");
    }

    #[tokio::test]
    async fn a_reset_whose_answer_was_lost_is_recognised_and_another_is_not() {
        let (store, _) = Fake::answering([overtaken(HASH)]);
        assert!(reset(&store).await.is_ok());
        let (store, _) = Fake::answering([overtaken("another hash of the same password")]);
        assert!(matches!(reset(&store).await, Err(Error::TokenInvalid)));
    }

    #[tokio::test]
    async fn a_link_into_an_account_that_was_deleted_meanwhile_is_invalid() {
        let deleted = Customer { status: Status::Deleted, ..customer(1) };
        let held = || reason("None");
        let refusal = cancelled(&[failed(root(&deleted)), held(), held(), held(), held(), held()]);
        let (store, _) = Fake::answering([refusal]);
        assert!(matches!(reset(&store).await, Err(Error::TokenInvalid)));
    }
}

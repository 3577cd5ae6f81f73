//! Conditions of writes: they refuse repeated writes, and writes that are based on an outdated read. These
//! tests call the store directly, because a client of the API cannot be delayed at the right moment.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use serde_json::json;
use shared::domain::Actor;
use shared::domain::PlainToken;
use shared::domain::counts::Counts;
use shared::domain::erasure::InventoryCursor;
use shared::domain::event::EventType;
use shared::domain::gate::{Party, Target, Write};
use shared::domain::known_networks::NetworkHash;
use shared::domain::lifecycle::CustomerChange;
use shared::domain::network::Network;
use shared::domain::owned::Kind;
use shared::domain::value::{Detail, FromText as _, Labels, Name, PasswordHash};
use shared::domain::{
    AccessKey, Agent, Customer, Data, Error, Event, Id, Login, Permission, Resource, Session,
    Timestamp, Username,
};
use shared::store::purge::CountedSlice;
use shared::store::session::VerifiedLogin;
use shared::store::{Store, Update, customer::NewCustomer, key};

use crate::harness::{PASSWORD, Tenure};

pub(crate) fn store(tenure: &Tenure) -> Store {
    let [accounts, outbox, erasures] =
        ["AccountsTable", "OutboxTable", "ErasuresTable"].map(str::to_owned);
    Store::new(tenure.database().clone(), accounts, outbox, erasures)
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

fn id<T>(number: u8) -> Id<T> {
    Id::new(now(), [number; 10])
}

/// Returns an account as it was when it was read earlier.
fn as_read(id: Id<Customer>) -> Customer {
    Customer::blank(id, now())
}

/// Returns the account as the target of a write by an operator.
pub(crate) fn to(customer: &Customer) -> Target<'_> {
    customer.writable(Party::Operator, Write::Change).unwrap()
}

pub(crate) fn event(customer: Id<Customer>, number: u8) -> Event {
    Event {
        id: id(number),
        event_type: EventType::Created(Kind::AccessKey),
        customer,
        subjects: Vec::new(),
        hold: None,
        actor: Actor::PURGE,
        time: now(),
    }
}

pub(crate) fn access_key(customer: Id<Customer>, number: u8) -> AccessKey {
    let token = PlainToken::access_key(customer, id(0), id(number), [number; 32]);
    AccessKey {
        id: id(number),
        agent: id(0),
        name: Name::from_text("late").unwrap(),
        detail: Detail::from_text("").unwrap(),
        token: token.stored(),
        earlier: Vec::new(),
        permission: Permission::ADMIN,
        participant: None,
        tm_expire: now(),
        tm_last_use: None,
        tm_create: now(),
        tm_update: now(),
        version: 1,
    }
}

/// Reads the item by which an agent with this user name logs in.
pub(crate) async fn login_of(store: &Store, username: &Username) -> Login {
    let key = key::login(username.login_key());
    store.get_items(&[key.untyped()]).await.unwrap().get(&key).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_account_rejects_late_writes() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let customer = Id::parse(&account.id).unwrap();
    let username = Username::from_text("test1").unwrap();

    // While the account is not yet deleted, all these writes succeed.
    let before = access_key(customer, 1);
    store.insert_access_key(to(&as_read(customer)), &before, &event(customer, 1)).await.unwrap();
    let (key, login) = (username.login_key(), login_of(&store, &username).await);
    let network = NetworkHash::new(&Network::of("192.0.2.1"), key);
    let verified = VerifiedLogin { key, login: &login, network: &network, rehash: None };
    let session = |token| Session::new(Session::id_of(token), login.agent, 0, now());
    store.insert_session(&session("early"), &verified).await.unwrap();

    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    let events = tenure.items("OutboxTable").await.len();

    let late = access_key(customer, 3);
    let after = late.updated(Labels::default(), now());
    let refused = [
        store.insert_access_key(to(&as_read(customer)), &late, &event(customer, 3)).await,
        store
            .update_access_key(to(&as_read(customer)), &before, &after, &event(customer, 5))
            .await
            .map(drop),
        store
            .delete_access_key(to(&as_read(customer)), &before, &event(customer, 4))
            .await
            .map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::StateInvalid(_))), "{refused:?}");
    }
    let login = store.insert_session(&session("late"), &verified).await;
    assert!(matches!(login, Err(Error::InvalidCredentials)), "{login:?}");
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert_eq!(tenure.items("OutboxTable").await.len(), events);
}

/// The account's state changes after it was read and before the write: the write fails, because of its
/// condition.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_decided_before_a_suspension_hold_or_freeze_is_refused_by_it() {
    let tenure = Tenure::start().await;
    let (store, admin) = (store(&tenure), tenure.admin().await);
    for (number, [method, below]) in
        [["POST", "/suspend"], ["PUT", "/hold"], ["POST", "/freeze"]].into_iter().enumerate()
    {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        let id = Id::parse(&account.id).unwrap();
        let before = store.get_customer(id).await.unwrap().unwrap();
        let on = |by| before.writable(by, Write::Overwrite).unwrap();
        let flow = |number| Resource {
            id: self::id(number),
            name: Name::from_text("late").unwrap(),
            detail: Detail::from_text("").unwrap(),
            data: Data::default(),
            tm_create: now(),
            tm_update: now(),
        };
        let (kept, key) = (flow(1), access_key(id, 2));
        let [of_flow, of_key] = [event(id, 11), event(id, 12)];
        store.insert_resource(on(Party::Owner), Kind::Flow, &kept, &of_flow).await.unwrap();
        store.insert_access_key(on(Party::Owner), &key, &of_key).await.unwrap();

        let path = format!("/v1.0/customers/{}{below}", account.id);
        let body = if method == "PUT" { json!({"reason": "Case 7"}) } else { json!(null) };
        let request = tenure.request(method, &path).bearer(&admin);
        let request = if body.is_null() { request } else { request.json(&body) };
        tenure.send(request).await.ok();

        let late = flow(3);
        let adds = store.insert_resource(on(Party::Owner), Kind::Flow, &late, &event(id, 13)).await;
        let deletes = async |by| {
            store.delete_resource(on(by), Kind::Flow, &kept, &event(id, 14)).await.map(drop)
        };
        let (owner, operator) = (deletes(Party::Owner).await, deletes(Party::Operator).await);
        let revokes = store.delete_access_key(on(Party::Owner), &key, &event(id, 15)).await;
        // Resending an event assigns no sequence number: its condition alone must refuse it after a change of
        // the account's state.
        let sent = store.get_events(&[of_flow.id]).await.unwrap().pop().unwrap();
        let resends = store.resend(on(Party::Owner), sent, now()).await.map(drop);
        match below {
            "/suspend" => {
                assert!(matches!(adds, Err(Error::AccountSuspended)), "{adds:?}");
                assert!(matches!(owner, Err(Error::AccountSuspended)), "{owner:?}");
                assert!(matches!(revokes, Err(Error::AccountSuspended)), "{revokes:?}");
                assert!(matches!(resends, Err(Error::AccountSuspended)), "{resends:?}");
                assert!(operator.is_ok(), "{operator:?}");
            }
            "/hold" => {
                assert!(adds.is_ok() && revokes.is_ok(), "{adds:?}, {revokes:?}");
                assert!(resends.is_ok(), "{resends:?}");
                assert!(matches!(owner, Err(Error::AccountPreserved)), "{owner:?}");
                assert!(matches!(operator, Err(Error::LegalHold(_))), "{operator:?}");
            }
            _ => {
                let is_frozen = |refused: &Result<(), Error>| {
                    matches!(refused, Err(Error::AccountFrozen { recoverable: false, .. }))
                };
                assert!(is_frozen(&adds) && is_frozen(&owner), "{adds:?}, {owner:?}");
                assert!(is_frozen(&resends), "{resends:?}");
                assert!(matches!(operator, Err(Error::StateInvalid(_))), "{operator:?}");
                assert!(revokes.is_ok(), "{revokes:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_purge_keeps_a_username_lock_of_its_new_owner() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let admin = tenure.admin().await;
    let first = tenure.account(&admin, "test1").await;
    let first_id = Id::parse(&first.id).unwrap();
    let owned = store.list_owned(first_id, &InventoryCursor::default()).await.unwrap().items;
    assert_eq!(owned.len(), 2, "the agent and the session");
    let logins: Vec<_> = owned.iter().filter_map(|owned| owned.login.clone()).collect();
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", first.id)).await.ok();
    assert!(tenure.stack.settle().await);
    tenure.account(&admin, "test1").await;

    // A purge run of the same epoch read its page before the deletion, and counts and deletes it only now.
    let row = store.get_erasure(first_id).await.unwrap().unwrap();
    let ledger = row.with_slice(&Counts::new(), InventoryCursor::default());
    let late = CountedSlice { ledger, events: Vec::new(), logins };
    assert!(store.count_slice(&late).await.unwrap());
    store.delete_owned(first_id, &owned).await.unwrap();
    tenure.login("test1", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_with_a_lost_answer_can_be_retried() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let customer = Customer::blank(id(1), now());
    let username = Username::from_text("test1").unwrap();
    let agent = Agent::new(id(2), username, Permission::ADMIN, now());
    let login = Login::new(customer.id, &agent, PasswordHash::stored(String::new()));
    let new = NewCustomer { customer: &customer, agent: &agent, login: &login, invitation: None };
    let key = access_key(customer.id, 3);
    for _ in 0..2 {
        store.insert_customer(&new, &event(customer.id, 4)).await.unwrap();
        store.insert_access_key(to(&customer), &key, &event(customer.id, 5)).await.unwrap();
    }
    assert_eq!(tenure.partition(&customer.id.to_string()).await.len(), 3);

    // Another account with the same user name is rejected, and leaves nothing.
    let other = Customer::blank(id(6), now());
    let login = Login { customer: other.id, ..login.clone() };
    let new = NewCustomer { customer: &other, login: &login, ..new };
    assert!(matches!(
        store.insert_customer(&new, &event(other.id, 7)).await,
        Err(Error::UsernameTaken)
    ));
    let left = json!(tenure.items("AccountsTable").await).to_string();
    assert!(!left.contains(&other.id.to_string()), "{left}");
    let items = store.get_items(&[key::customer(customer.id).untyped()]).await.unwrap();
    assert!(items.get(&key::customer(customer.id)).unwrap().is_some());
}

/// The purge also deletes the user name locks of the account's agents. Here there are more locks than
/// database connections.
#[tokio::test(flavor = "multi_thread")]
async fn account_with_1500_agents_is_purged() {
    const AGENTS: usize = 1500;
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let client = tenure.database();
    let text = |text: String| AttributeValue::S(text);
    let agent = |number: usize| {
        let put = PutRequest::builder()
            .item("pk", text(format!("CUSTOMER#{}", account.id)))
            .item("sk", text(format!("AGENT#{}", uuid::Uuid::from_u128(number as u128 + 1))))
            .item("login", text(format!("{number:032x}")));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    for batch in (0..AGENTS).collect::<Vec<_>>().chunks(25) {
        let writes = batch.iter().map(|number| agent(*number)).collect();
        client.batch_write_item().request_items("AccountsTable", writes).send().await.unwrap();
    }
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert!(tenure.stack.stats()["functions"]["PurgeRunFunction"]["errors"] == 0);
}

/// Writes items into the accounts table, as if they were restored from a backup.
pub(crate) async fn restore(tenure: &Tenure, items: &[serde_json::Value]) {
    let client = tenure.database();
    let value = |value: &serde_json::Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "S" => AttributeValue::S(value.as_str().unwrap().to_owned()),
            "N" => AttributeValue::N(value.as_str().unwrap().to_owned()),
            "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
            "M" => AttributeValue::M(std::collections::HashMap::new()),
            kind => panic!("an attribute of type {kind}"),
        }
    };
    for item in items {
        let item = item.as_object().unwrap().iter();
        let item = item.map(|(name, content)| (name.clone(), value(content))).collect();
        client.put_item().table_name("AccountsTable").set_item(Some(item)).send().await.unwrap();
    }
}

/// Writes that are based on outdated reads do not falsify the count of admins.
#[tokio::test(flavor = "multi_thread")]
async fn outdated_writes_keep_the_count_of_admins() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let root = key::customer(Id::parse(&account.id).unwrap());
    let read = async || {
        let items = store.get_items(&[root.untyped()]).await.unwrap();
        items.get(&root).unwrap().unwrap()
    };
    let customer = read().await;
    let of = |agent: &Agent, number| Event {
        event_type: EventType::Updated(Kind::Agent),
        subjects: vec![agent.id.uuid()],
        ..event(customer.id, number)
    };

    // Two more admins; each is written twice, as after a lost answer.
    let mut agents = Vec::new();
    for number in [2, 3] {
        let username = Username::from_text(&format!("late{number}")).unwrap();
        let agent = Agent::new(id(number), username, Permission::ADMIN, now());
        let login = Login::new(customer.id, &agent, PasswordHash::stored(String::new()));
        for _ in 0..2 {
            store
                .insert_agent(to(&customer), &agent, &login, None, &of(&agent, number))
                .await
                .unwrap();
        }
        agents.push(agent);
    }
    assert_eq!(read().await.internals.admins, 3);

    // An update from the outdated read would bring the old count back.
    let mut after = customer.clone();
    after.internals.version += 1;
    let late = CustomerChange { after, event: None, entry: None, billing_account: None };
    let outcome = store.update_customer(&customer, &late, None).await.unwrap();
    assert!(matches!(outcome, Update::Outdated(_)));

    // A repeated demotion counts once.
    let demoted = Agent { permission: Permission::AGENT, ..agents[0].clone() };
    let event = of(&demoted, 4);
    let demote = || store.update_agent_permission(to(&customer), &agents[0], &demoted, &event);
    assert!(matches!(demote().await.unwrap(), Update::Written));
    assert!(matches!(demote().await.unwrap(), Update::Outdated(_)));
    let delete = || store.delete_agent(to(&customer), &agents[0], &event);
    assert!(matches!(delete().await.unwrap(), Update::Outdated(_)));
    assert_eq!(read().await.internals.admins, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn outdated_key_update_keeps_the_last_use() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let customer = Id::parse(&account.id).unwrap();
    let before = access_key(customer, 1);
    store.insert_access_key(to(&as_read(customer)), &before, &event(customer, 1)).await.unwrap();

    let today = now().day();
    store.record_access_key_use(customer, before.id, today).await.unwrap();
    let after = before.updated(Labels::default(), now());
    store
        .update_access_key(to(&as_read(customer)), &before, &after, &event(customer, 2))
        .await
        .unwrap();
    // A record that comes late overwrites no later day, and does not recreate a deleted key.
    let yesterday = Timestamp::parse("2025-12-31T00:00:00Z").unwrap();
    store.record_access_key_use(customer, before.id, yesterday).await.unwrap();
    let key = key::access_key(customer, before.id);
    let items = store.get_items(&[key.untyped()]).await.unwrap();
    assert_eq!(items.get(&key).unwrap().unwrap().tm_last_use, Some(today));
    store.delete_access_key(to(&as_read(customer)), &after, &event(customer, 3)).await.unwrap();
    store.record_access_key_use(customer, before.id, today).await.unwrap();
    let items = store.get_items(&[key.untyped()]).await.unwrap();
    assert!(items.get(&key).unwrap().is_none());
}

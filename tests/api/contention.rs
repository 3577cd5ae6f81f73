//! Contention: a transaction in progress locks its items, as in DynamoDB. Other writers of these items are
//! refused meanwhile, retry, and succeed in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::domain::known_networks::NetworkHash;
use shared::domain::network::Network;
use shared::domain::value::FromText as _;
use shared::domain::{Customer, Error, Id, Session, Timestamp, Username};
use shared::store::session::VerifiedLogin;
use shared::store::{Store, key};
use tokio::task::JoinSet;

use crate::harness::{PASSWORD, Tenure, contended, uncounted};
use crate::store::{access_key, event, login_of, store, to};

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

async fn start() -> Tenure {
    Tenure::start_with(contended(uncounted())).await
}

async fn read(store: &Store, id: Id<Customer>) -> Customer {
    let key = key::customer(id);
    store.get_items(&[key.untyped()]).await.unwrap().get(&key).unwrap().unwrap()
}

/// Creates an access key, on the condition that the account is still as in `account`, which was read earlier.
async fn create(store: &Store, account: &Customer, number: u8) -> Result<(), Error> {
    let (key, event) = (access_key(account.id, number), event(account.id, number));
    store.insert_access_key(to(account), &key, &event).await
}

async fn delete(store: &Store, account: &Customer, number: u8) -> Result<(), Error> {
    let (key, event) = (access_key(account.id, number), event(account.id, number));
    store.delete_access_key(to(account), &key, &event).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_of_one_account_all_succeed_and_leave_no_gap() {
    const WRITERS: u8 = 16;
    const CHANGES: u8 = 3;
    let tenure = start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let store = Arc::new(store(&tenure));
    let before = read(&store, Id::parse(&account.id).unwrap()).await;

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, account) = (Arc::clone(&store), before.clone());
        writers.spawn(async move {
            for change in 0..CHANGES {
                create(&store, &account, 1 + writer * CHANGES + change).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let created = u64::from(WRITERS * CHANGES);
    let after = read(&store, before.id).await;
    assert_eq!(after.internals.sequence, before.internals.sequence + created);
    let mut sequences: Vec<u64> = tenure
        .items("OutboxTable")
        .await
        .iter()
        .filter(|event| event["customer_id"]["S"] == account.id)
        .map(|event| event["sequence"]["N"].as_str().unwrap().parse().unwrap())
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=after.internals.sequence).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_logins_of_one_agent_all_succeed() {
    const LOGINS: u8 = 16;
    let tenure = start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let store = Arc::new(store(&tenure));
    let username = Username::from_text("test1").unwrap();
    let login = login_of(&store, &username).await;

    let mut logins = JoinSet::new();
    for number in 0..LOGINS {
        let (store, login, key) = (Arc::clone(&store), login.clone(), username.login_key());
        logins.spawn(async move {
            let id = Session::id_of(&format!("token {number}"));
            let session = Session::new(id, login.agent, 0, now());
            let network = NetworkHash::new(&Network::of("192.0.2.1"), key);
            let verified = VerifiedLogin { key, login: &login, network: &network, rehash: None };
            store.insert_session(&session, &verified).await.unwrap();
        });
    }
    logins.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_a_deletion_succeed_beside_many_writers() {
    const WRITERS: u8 = 8;
    let tenure = start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let store = Arc::new(store(&tenure));
    let customer = read(&store, Id::parse(&account.id).unwrap()).await;

    let is_deleted = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, account) = (Arc::clone(&store), customer.clone());
        let is_deleted = Arc::clone(&is_deleted);
        writers.spawn(async move {
            while !is_deleted.load(Ordering::Relaxed) {
                for written in [
                    create(&store, &account, 1 + writer).await,
                    delete(&store, &account, 1 + writer).await,
                ] {
                    assert!(matches!(written, Ok(()) | Err(Error::StateInvalid(_))), "{written:?}");
                }
            }
        });
    }
    for _ in 0..3 {
        tenure.login("test1", PASSWORD).await;
    }
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    is_deleted.store(true, Ordering::Relaxed);
    writers.join_all().await;
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
}

//! User names: they are normalised and unique, and no two of them may look alike.

use std::sync::Arc;

use serde_json::json;
use shared::domain::Actor;
use shared::domain::Login;
use shared::domain::event::EventType;
use shared::domain::value::{FromText as _, PasswordHash};
use shared::domain::{Agent, Customer, Event, Id, Permission, Timestamp, Username};
use shared::store::customer::NewCustomer;
use tokio::task::JoinSet;

use crate::harness::{PASSWORD, STRANGER, Tenure, new_customer, options, quick};

#[tokio::test(flavor = "multi_thread")]
async fn lookalike_of_a_taken_username_is_rejected() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "paypal").await;
    let before = tenure.accounts().await;
    let create = async |username: &str| {
        let body = json!({"username": username, "password": PASSWORD});
        tenure.call_with(&admin, "POST", "/v1.0/customers", body).await
    };
    for taken in ["paypal", "PayPal", "ｐａｙｐａｌ", "paypa1", "PAYPA1", "paypa|"] {
        assert_eq!(create(taken).await.refused(409), "USERNAME_TAKEN", "{taken}");
    }
    for bad in [
        "раypal",
        "аdmin",
        "pay\u{200b}pal",
        "pay\u{202e}pal",
        "pay\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}pal",
    ] {
        assert_eq!(create(bad).await.refused(400), "INVALID_ARGUMENT", "{bad:?}");
    }
    assert_eq!(tenure.accounts().await, before);

    // A lookalike does not log in; another spelling of the same name does.
    for spelling in ["paypal", "PAYPAL", "ｐａｙｐａｌ"] {
        tenure.login(spelling, PASSWORD).await;
    }
    let refused = tenure.try_login_from(STRANGER, "paypa1", PASSWORD).await;
    assert_eq!(refused.refused(401), "INVALID_CREDENTIALS");
    // Attempts at lookalikes count together.
    for spelling in ["paypa1", "PAYPA1", "paypa|", "PayPal"] {
        tenure.try_login_from(STRANGER, spelling, "wrong password").await.refused(401);
    }
    let refused = tenure.try_login_from(STRANGER, "paypal", PASSWORD).await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");

    // After the owner is purged, lookalikes are free.
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    create("paypa1").await.ok();
    tenure.login("paypa1", PASSWORD).await;
}

/// Creates customers directly in the store: through the API, hashing the passwords would take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_creates_of_one_username_have_one_winner() {
    const TASKS: u16 = 64;
    const CREATES: u16 = 10_000;
    let tenure = Tenure::start_with(quick(options())).await;
    let before = (tenure.items("AccountsTable").await, tenure.items("OutboxTable").await);
    let store = Arc::new(crate::store::store(&tenure));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut won = 0;
            for number in (task..CREATES).step_by(TASKS.into()) {
                won += usize::from(create(&store, number).await);
            }
            won
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 1);

    let new = |items: Vec<serde_json::Value>, old: &[serde_json::Value]| {
        items.into_iter().filter(|item| !old.contains(item)).collect::<Vec<_>>()
    };
    let accounts = new(tenure.items("AccountsTable").await, &before.0);
    let mut kinds: Vec<_> = accounts
        .iter()
        .map(|item| item["pk"]["S"].as_str().unwrap().split('#').next().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["CUSTOMER", "CUSTOMER", "USERNAME"], "{accounts:?}");
    assert_eq!(new(tenure.items("OutboxTable").await, &before.1).len(), 1);
}

async fn create(store: &shared::store::Store, number: u16) -> bool {
    let now = Timestamp::parse("2100-01-01T00:00:00Z").unwrap();
    let [high, low] = number.to_be_bytes();
    let random = |kind: u8| [0, 0, 0, 0, 0, 0, 0, kind, high, low];
    let username = Username::from_text("test1").unwrap();
    let customer = Customer::blank(Id::new(now, random(1)), now);
    let agent = Agent::new(Id::new(now, random(2)), username, Permission::ADMIN, now);
    let login = Login::new(customer.id, &agent, PasswordHash::stored("$".to_owned()));
    let event = Event {
        id: Id::new(now, random(3)),
        event_type: EventType::CustomerCreated,
        customer: customer.id,
        subjects: Vec::new(),
        hold: None,
        actor: Actor::BOOTSTRAP,
        time: now,
    };
    let new = NewCustomer { customer: &customer, agent: &agent, login: &login, invitation: None };
    store.insert_customer(&new, &event).await.is_ok()
}

/// Creates customers through the API; hashing the passwords limits how many are created at once.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_of_lookalike_usernames_have_one_winner() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let mut creates = JoinSet::new();
    for number in 0..32 {
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        creates.spawn(async move {
            let mut body = new_customer(&format!("other{number}"));
            body["username"] = json!(if number % 2 == 0 { "paypal" } else { "paypa1" });
            tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.status
        });
    }
    let mut statuses = creates.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_usernames_are_limited_to_ten_an_hour_per_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let other = tenure.account(&admin, "test2").await;
    let create = async |token: &str, username: &str| {
        let body = json!({"username": username, "password": PASSWORD});
        tenure.call_with(token, "POST", "/v1.0/agents", body).await
    };
    // User names that are free do not count towards the limit.
    create(&account.token, "ann").await.ok();
    for _ in 0..10 {
        let taken = create(&account.token, "test2").await;
        assert_eq!(taken.refused(409), "USERNAME_TAKEN");
    }
    // Beyond the limit, the response does not reveal whether a name is taken.
    for username in ["test2", "free"] {
        let limited = create(&account.token, username).await;
        assert_eq!(limited.refused(429), "RATE_LIMIT_EXCEEDED", "{username}");
        assert!(limited.headers.contains_key("retry-after"));
        assert_eq!(limited.body["error"]["details"][0]["limited_by"], "customer");
    }
    create(&other.token, "other").await.ok();
    tenure.stack.advance_clock(3600).await.unwrap();
    create(&account.token, "free").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_admin_may_not_choose_a_password_for_an_address() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let before = tenure.accounts().await;
    for username in ["ann@example.com", "ANN@Example.com", "ann＠example.com"] {
        let body = json!({"username": username, "password": PASSWORD});
        for token in [&account.token, &key] {
            let refused = tenure.call_with(token, "POST", "/v1.0/agents", body.clone()).await;
            assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{username}");
            assert!(refused.message().starts_with("username: "), "{}", refused.text);
            assert!(refused.message().contains("invite"), "{}", refused.text);
        }
    }
    assert_eq!(tenure.accounts().await, before);
    let body = json!({"username": "ann@example.com", "password": PASSWORD});
    tenure.call_with(&admin, "POST", "/v1.0/agents", body).await.ok();
}

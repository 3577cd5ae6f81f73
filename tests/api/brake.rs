//! The brake (`DeletionsPerHour`), the limit of deletions by operators within an hour; and `RequirePlan`, the
//! setting that refuses deletions whose request names no plan (a count of what would be deleted).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sam_local::Options;
use serde_json::{Value, json};
use shared::domain::customer::Profile;
use shared::domain::value::FromText as _;
use shared::domain::value::PasswordHash;
use shared::domain::webhook::WebhookSecret;
use shared::domain::{
    Actor, Customer, Event, EventType, FirstAdmin, Id, Login, Registration, Timestamp, Username,
};
use shared::store::{Store, customer::NewCustomer};

use crate::harness::{Account, Answer, PASSWORD, Tenure, options, quick, uncounted};
use crate::store::store;

/// Number of requests in flight, as if from that many operators.
const TASKS: usize = 64;

/// How long a transaction locks its items, as in DynamoDB: transactions of other writers are refused
/// meanwhile.
const HOLD: Duration = Duration::from_millis(10);

fn limited(limit: u64) -> Options {
    let mut options = uncounted();
    options.parameters.insert("DeletionsPerHour".to_owned(), limit.to_string());
    options
}

/// Starts a stack with at least 20 minutes left in the hour of its clock: the brake counts by hours of the
/// clock.
async fn at_an_hour(options: Options) -> Tenure {
    let tenure = Tenure::start_with(options).await;
    let left = 3600 - tenure.now().await.as_second() % 3600;
    if left < 1200 {
        tenure.stack.advance_clock(left).await.unwrap();
    }
    tenure
}

/// Creates an account directly in the store, not through the API; returns its id.
async fn create(store: &Store, number: u64) -> String {
    let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let username = Username::from_text(&format!("test{number}")).unwrap();
    let admin = FirstAdmin { id: Id::new(now, random), username };
    let secret = WebhookSecret::new([7; 32]);
    let Registration { customer, admin } =
        Customer::register(Id::new(now, random), Profile::default(), secret, admin, now);
    let login = Login::new(customer.id, &admin, PasswordHash::stored(String::new()));
    let new = NewCustomer { customer: &customer, agent: &admin, login: &login, invitation: None };
    let event = Event {
        id: Id::new(now, random),
        event_type: EventType::CustomerCreated,
        customer: customer.id,
        subjects: Vec::new(),
        hold: None,
        actor: Actor::BOOTSTRAP,
        time: now,
    };
    store.insert_customer(&new, &event).await.unwrap();
    customer.id.to_string()
}

/// Returns the items of each account's partition, by account id.
async fn partitions(tenure: &Tenure) -> BTreeMap<String, Vec<Value>> {
    let mut partitions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in tenure.items("AccountsTable").await {
        if let Some(id) = item["pk"]["S"].as_str().unwrap().strip_prefix("CUSTOMER#") {
            partitions.entry(id.to_owned()).or_default().push(item);
        }
    }
    partitions
}

async fn delete(tenure: &Tenure, token: &str, id: &str) -> Answer {
    tenure.call(token, "DELETE", &format!("/v1.0/customers/{id}")).await
}

/// Creates `accounts` accounts and deletes all of them, with [`TASKS`] requests in flight. Checks that
/// exactly `limit` accounts are deleted and the others unchanged.
async fn all_at_once(accounts: u64, limit: usize) {
    let options = Options { contention: HOLD, ..quick(limited(limit as u64)) };
    let tenure = Arc::new(at_an_hour(options).await);
    let keys = [tenure.access_key(&tenure.admin().await).await, tenure.admin().await];
    let store = store(&tenure);
    let created = stream::iter(0..accounts).map(|number| create(&store, number));
    let ids: Vec<String> = created.buffer_unordered(TASKS).collect().await;
    assert!(tenure.stack.settle().await);
    let before = partitions(&tenure).await;

    let deletions = stream::iter(ids.iter().enumerate()).map(|(number, id)| {
        let (tenure, token) = (Arc::clone(&tenure), keys[number % 2].clone());
        async move { (id, delete(&tenure, &token, id).await) }
    });
    let answers: Vec<_> = deletions.buffer_unordered(TASKS).collect().await;
    let mut deleted = Vec::new();
    for (id, answer) in answers {
        if answer.status == 200 {
            deleted.push(id);
        } else {
            assert_eq!(answer.refused(429), "DELETION_LIMIT");
            let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=3600).contains(&wait), "{wait}");
        }
    }
    assert_eq!(deleted.len(), limit);
    assert!(tenure.stack.settle().await);
    let after = partitions(&tenure).await;
    for id in &ids {
        if deleted.contains(&id) {
            assert_eq!(after[id].len(), 1, "{id} is wiped");
            assert_eq!(after[id][0]["status"]["S"], "deleted");
        } else {
            assert_eq!(after[id], before[id], "{id} is as it was");
        }
    }
}

/// Operators delete many accounts concurrently: exactly as many as the limit allows are deleted.
/// `TENURE_BRAKE_ACCOUNTS` sets the number of accounts, 400 by default; 10,000 take some minutes.
#[tokio::test(flavor = "multi_thread")]
async fn operators_delete_as_many_as_the_limit_and_the_rest_is_untouched() {
    #[expect(clippy::disallowed_methods, reason = "a longer run on request")]
    let accounts = std::env::var("TENURE_BRAKE_ACCOUNTS");
    let accounts = accounts.map_or(400, |accounts| accounts.parse().unwrap());
    all_at_once(accounts, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_operators_freeze_and_owners_leave() {
    let tenure = at_an_hour(limited(2)).await;
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for number in 0..5 {
        accounts.push(tenure.account(&admin, &format!("test{number}")).await);
    }
    let [one, two, three, four, held] = accounts.as_slice() else { panic!() };
    let path = |account: &Account| format!("/v1.0/customers/{}", account.id);
    // A request that deletes nothing does not count towards the limit: a refused one, or a repeated deletion.
    let reason = json!({"reason": "Case 7"});
    tenure.call_with(&admin, "PUT", &format!("{}/hold", path(held)), reason).await.ok();
    assert_eq!(delete(&tenure, &admin, &held.id).await.refused(409), "LEGAL_HOLD");
    delete(&tenure, &admin, &one.id).await.ok();
    for _ in 0..3 {
        assert_eq!(delete(&tenure, &admin, &one.id).await.ok()["status"], "deleted");
    }
    delete(&tenure, &admin, &two.id).await.ok();

    let refused = delete(&tenure, &admin, &three.id).await;
    assert_eq!(refused.refused(429), "DELETION_LIMIT");
    assert!(refused.message().contains("freeze"), "{}", refused.text);
    // Deleting an account again still succeeds at the limit, and accounts can still be frozen.
    assert_eq!(delete(&tenure, &admin, &one.id).await.ok()["status"], "deleted");
    let frozen = tenure.call(&admin, "POST", &format!("{}/freeze", path(three))).await.ok();
    assert_eq!(frozen["status"], "frozen");
    let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    tenure.unregister(&four.token, now).await.ok();

    // The next hour has its own limit.
    let wait: i64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    tenure.stack.advance_clock(wait).await.unwrap();
    assert_eq!(delete(&tenure, &admin, &three.id).await.ok()["status"], "deleted");

    // Alarms watch the numbers of deleted accounts and refused deletions.
    let logs = tenure.stack.logs();
    let emitted = |name: &str| {
        let metric = format!("\"{name}\":1");
        logs.iter().filter(|line| line.contains(&metric)).count()
    };
    let names = ["DeletionsByOperators", "DeletionsRefused", "DeletionsByOwners"];
    assert_eq!(names.map(emitted), [3, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_zero_disables_the_brake() {
    let tenure = Tenure::start_with(limited(0)).await;
    let admin = tenure.admin().await;
    for name in ["test1", "test2"] {
        let account = tenure.account(&admin, name).await;
        delete(&tenure, &admin, &account.id).await.ok();
    }
    let items = tenure.items("AccountsTable").await;
    assert!(!items.iter().any(|item| item["pk"]["S"].as_str().unwrap().starts_with("BRAKE#")));
}

/// A process that knows that the hour's limit is reached refuses further deletions without a write.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_knows_the_limit_refuses_without_a_transaction() {
    let tenure = at_an_hour(limited(1)).await;
    let admin = tenure.admin().await;
    let (one, two) = (tenure.account(&admin, "one").await, tenure.account(&admin, "two").await);
    delete(&tenure, &admin, &one.id).await.ok();
    delete(&tenure, &admin, &two.id).await.refused(429);
    assert!(tenure.stack.settle().await);
    tenure.stack.reset_stats();
    delete(&tenure, &admin, &two.id).await.refused(429);
    let calls = &tenure.stack.stats()["functions"]["CustomerDeleteFunction"]["dynamodb"]["calls"];
    assert_eq!(*calls, json!({"BatchGetItem": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_require_plan_a_deletion_without_one_is_428() {
    let mut options = options();
    options.parameters.insert("RequirePlan".to_owned(), "true".to_owned());
    let tenure = Tenure::start_with(options).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = tenure.accounts().await;
    let refused = delete(&tenure, &admin, &account.id).await;
    assert_eq!(refused.refused(428), "PLAN_REQUIRED");
    assert!(refused.message().starts_with("plan: is missing"), "{}", refused.text);
    assert_eq!(tenure.accounts().await, before);
    // The setting changes nothing for owners and for ids that do not exist.
    let denied = delete(&tenure, &account.token, &account.id).await;
    assert_eq!(denied.refused(403), "PERMISSION_DENIED");
    let missing = delete(&tenure, &admin, "5e4a0680-804e-11ec-8477-2fea5968d85b").await;
    assert_eq!(missing.refused(404), "CUSTOMER_NOT_FOUND");

    let path = format!("/v1.0/customers/{}", account.id);
    let plan = tenure.call(&admin, "POST", &format!("{path}/erasure/plan")).await.ok();
    let planned = format!("{path}?plan={}", plan["digest"].as_str().unwrap());
    assert_eq!(tenure.call(&admin, "DELETE", &planned).await.ok()["status"], "deleted");
    // A repeated deletion needs no plan: a deleted account has none.
    assert_eq!(tenure.call(&admin, "DELETE", &path).await.ok()["status"], "deleted");
}

async fn purge(tenure: &Tenure, admin: &str) -> Value {
    assert!(tenure.stack.settle().await);
    tenure.call(admin, "GET", "/v1.0/purge").await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_breaker_brake_and_the_purges_under_way() {
    let mut options = limited(2);
    options.parameters.insert("BreakerAccounts".to_owned(), "1".to_owned());
    let tenure = at_an_hour(options).await;
    let admin = tenure.admin().await;
    let accounts = [tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await];
    let limit = |limit, used, open| json!({"limit": limit, "used": used, "open": open});
    let idle = json!({"enabled": true, "breaker": limit(1, 0, false), "brake": limit(2, 0, false), "running": []});
    assert_eq!(purge(&tenure, &admin).await, idle);

    // The purge begins with the first account, cannot finish it, and must not begin with the second.
    let stuck = json!([{"fault": "internal_error", "function": "PurgeRunFunction", "operation": "BatchWriteItem", "times": 1_000}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&stuck)).await.ok();
    delete(&tenure, &admin, &accounts[0].id).await.ok();
    assert!(tenure.stack.settle().await);
    let halfway = purge(&tenure, &admin).await;
    assert_eq!(halfway["running"][0]["customer_id"], accounts[0].id, "{halfway}");
    delete(&tenure, &admin, &accounts[1].id).await.ok();
    let open = purge(&tenure, &admin).await;
    assert_eq!(
        (&open["breaker"], &open["brake"]),
        (&limit(1, 1, true), &limit(2, 2, true)),
        "{open}"
    );
    assert_eq!(open["running"].as_array().unwrap().len(), 1, "{open}");
    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_the_kill_switch_and_that_there_is_no_brake() {
    let mut options = limited(0);
    options.parameters.insert("PurgeEnabled".to_owned(), "false".to_owned());
    let tenure = Tenure::start_with(options).await;
    let state = purge(&tenure, &tenure.admin().await).await;
    assert_eq!(state["enabled"], false, "{state}");
    assert_eq!(state["brake"], json!({"limit": null, "used": 0, "open": false}));
}

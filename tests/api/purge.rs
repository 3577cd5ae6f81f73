//! The purge deletes everything of an account except its tombstone: ids, times, status and counters.

use serde_json::{Value, json};

use crate::canaries::break_seal;
use crate::harness::{Account, PASSWORD, Template, Tenure};
use crate::scale::fill;

/// Checks that the account's credentials are refused, and that of its data only the tombstone is left.
async fn assert_gone(tenure: &Tenure, admin: &str, account: &Account, key: &str) {
    for token in [account.token.as_str(), key] {
        assert_eq!(
            tenure.call(token, "GET", "/v1.0/accesskeys").await.refused(401),
            "INVALID_CREDENTIALS"
        );
        assert_eq!(
            tenure.call(token, "DELETE", "/auth/unregister").await.refused(401),
            "INVALID_CREDENTIALS"
        );
    }
    assert_eq!(tenure.try_login("test1", PASSWORD).await.refused(401), "INVALID_CREDENTIALS");
    assert_eq!(tenure.partition(&account.id).await, ["A"], "the tombstone");
    for table in ["AccountsTable", "OutboxTable"] {
        let mut items = tenure.items(table).await;
        items.iter_mut().for_each(break_seal);
        let left = json!(items).to_string();
        assert!(!left.contains("test1"), "something personal is left in {table}: {left}");
    }
    // User name and address can be claimed again.
    let reused = tenure.account(admin, "test1").await;
    assert_ne!(reused.id, account.id);
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
}

/// Checks that a purge run had nothing to do: all its counters are zero.
#[track_caller]
fn assert_idle(run: &Value) {
    for (name, value) in run.as_object().expect("a run") {
        assert!(*value == json!(0) || *value == json!(false), "{name}: {value}");
    }
    assert!(run.get("due").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn schedule_purges_only_due_accounts() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let leaving = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&leaving.token).await;
    let staying = tenure.account(&admin, "test2").await;
    let neighbour = tenure.partition(&staying.id).await;
    tenure.unregister(&leaving.token, json!({"password": PASSWORD})).await.ok();

    let early = tenure.advance_days(29).await;
    assert_eq!(early["schedules"]["PurgeRunFunctionSchedule"]["finished"], 0);
    assert!(tenure.partition(&leaving.id).await.len() > 1);

    let due = tenure.advance_days(2).await;
    assert_eq!(due["schedules"]["PurgeRunFunctionSchedule"]["finished"], 1);
    assert!(tenure.stack.settle().await);
    let admin = tenure.admin().await;
    assert_gone(&tenure, &admin, &leaving, &key).await;
    let left = tenure.partition(&staying.id).await;
    let lasting = |key: &&String| !key.starts_with("SESSION#");
    assert!(left.iter().filter(lasting).eq(neighbour.iter().filter(lasting)));

    let again = tenure.advance_days(1).await;
    assert_idle(&again["schedules"]["PurgeRunFunctionSchedule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn immediate_unregistration_is_purged_at_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let body = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    tenure.unregister(&account.token, body).await.ok();
    assert!(tenure.stack.settle().await);
    assert_gone(&tenure, &admin, &account, &key).await;

    let mut events = tenure.events_of(&account.id).await;
    events.sort();
    assert_eq!(
        events,
        [
            "accesskey_created",
            "accesskey_deleted",
            "agent_deleted",
            "customer_created",
            "customer_deleted",
            "customer_erased"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_deletion_is_purged_at_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_gone(&tenure, &admin, &account, &key).await;
}

/// The account has more items than fit into one batch or one page of a query: 1,104 items of 2 KB are over 1
/// MB.
#[tokio::test(flavor = "multi_thread")]
async fn purge_deletes_more_than_one_page() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    fill(&tenure, &account, "FILE", 1_104, 2_000).await;
    let body = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    tenure.unregister(&account.token, body).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    let path = format!("/v1.0/customers/{}/erasure", account.id);
    let ledger = tenure.call(&admin, "GET", &path).await.ok();
    assert_eq!(ledger["resources"]["files"], json!({"found": 1_104, "deleted": 1_104}));
}

/// A run stops before its function's timeout in the template, here one second; the next run continues.
#[tokio::test(flavor = "multi_thread")]
async fn purge_continues_in_the_next_run_when_time_is_up() {
    // The run reserves a third of that second.
    let short = Template::edited(|text| text.replace("Timeout: 900", "Timeout: 1"));
    let tenure = Tenure::start_with(short.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for _ in 0..60 {
        let body = json!({"detail": "x".repeat(2000), "expire": 86_400});
        tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
    }
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(31).await;
    let mut runs = 0;
    while tenure.partition(&account.id).await.len() > 1 {
        runs += 1;
        assert!(runs < 20, "the purge does not end");
        let run: Value = tenure
            .send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run"))
            .await
            .body;
        assert_eq!(run["failed"], 0, "{run}");
    }
}

/// An event can start the purge of one account, which it names. The purge checks that account's status, like
/// that of any other.
#[tokio::test(flavor = "multi_thread")]
async fn purge_ignores_named_accounts_that_are_not_due() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (frozen, live) =
        (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    tenure.unregister(&frozen.token, json!({"password": PASSWORD})).await.ok();
    let before = tenure.accounts().await;
    let missing = "5e4a0680-804e-11ec-8477-2fea5968d85b";
    let project = "00000000-0000-0000-0000-000000000002";
    for id in [frozen.id.as_str(), &live.id, missing, project] {
        let event = json!({"source": "tenure", "detail-type": "customer_deleted", "detail": {"customer_id": id}});
        let path = "/2015-03-31/functions/PurgeRunFunction/invocations";
        let run = tenure.send(tenure.request("POST", path).json(&event)).await.ok();
        assert_idle(&run);
    }
    assert_eq!(tenure.accounts().await, before);
}

/// The test's template keeps the event of a deletion from starting the purge, so the account stays unpurged
/// until the schedule runs.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_account_is_refused_before_its_purge() {
    let unheard = Template::edited(|text| {
        text.replace("detail-type: [customer_deleted]", "detail-type: [nothing]")
    });
    let tenure = Tenure::start_with(unheard.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await.len(), 4);

    for token in [&account.token, &key] {
        let calls = [
            ("GET", "/v1.0/accesskeys"),
            ("PUT", "/v1.0/customer/metadata"),
            ("DELETE", "/auth/unregister"),
        ];
        for (method, path) in calls {
            let answer = tenure.call_with(token, method, path, json!({})).await;
            assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
        }
    }
    assert_eq!(tenure.try_login("test1", PASSWORD).await.refused(401), "INVALID_CREDENTIALS");
    let run = tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run");
    assert_eq!(tenure.send(run).await.ok()["finished"], 1);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
}

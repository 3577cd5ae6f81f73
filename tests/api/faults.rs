//! Fault injection through `/_local/faults`: what clients see of a fault, and the state of the tables
//! afterwards.

use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure};

async fn set_faults(tenure: &Tenure, rules: Value) -> Answer {
    tenure.send(tenure.request("POST", "/_local/faults").json(&rules)).await
}

/// Returns how many calls met the fault. Exactly one fault rule must be set.
async fn hits(tenure: &Tenure) -> u64 {
    let shown = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
    shown["faults"][0]["hits"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn write_before_a_crash_takes_effect_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let rule = json!({
        "fault": "crash_after",
        "function": "AuthUnregisterFunction",
        "operation": "TransactWriteItems",
        "nth": 1,
    });
    set_faults(&tenure, json!([rule])).await.ok();

    // The gateway's own response, since the function is dead.
    let answer = tenure.unregister(&account.token, json!({"password": PASSWORD})).await;
    assert_eq!(
        (answer.status, answer.body["message"].as_str()),
        (500, Some("Internal Server Error"))
    );
    assert_eq!(hits(&tenure).await, 1);
    let errors = &tenure.stack.stats()["functions"]["AuthUnregisterFunction"]["errors"];
    assert_eq!(*errors, 1);

    let again = tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    assert_eq!(again["status"], "frozen");
    assert_eq!(tenure.count_events(&account.id, "customer_frozen").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_database_answer_does_not_create_twice() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let rule = json!({
        "fault": "timeout_after_apply",
        "function": "CustomerCreateFunction",
        "table": "OutboxTable",
        "nth": 1,
    });
    set_faults(&tenure, json!([rule])).await.ok();
    let account = tenure.account(&admin, "test1").await;
    assert_eq!(hits(&tenure).await, 1);
    assert_eq!(tenure.count_events(&account.id, "customer_created").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_database_gives_503_with_retry_after() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let rule = json!({"fault": "throttle", "function": "CustomerListFunction"});
    set_faults(&tenure, json!([rule])).await.ok();
    let answer = tenure.call(&admin, "GET", "/v1.0/customers").await;
    assert_eq!(answer.refused(503), "SERVICE_UNAVAILABLE");
    assert_eq!(answer.headers["retry-after"], "1");
    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
    tenure.call(&admin, "GET", "/v1.0/customers").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeatedly_killed_purge_finishes() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.access_key(&account.token).await;
    let run = "/_local/schedules/PurgeRunFunctionSchedule/run";
    let run = async || tenure.send(tenure.request("POST", run)).await.text;
    let rule = json!({
        "fault": "crash_after",
        "function": "PurgeRunFunction",
        "probability": 0.4,
        "seed": 1,
        "times": 8,
    });
    set_faults(&tenure, json!([{"fault": "crash_before", "function": "PurgeRunFunction"}]))
        .await
        .ok();
    assert!(run().await.contains("Runtime exited with error: signal: 9 (SIGKILL)"));
    set_faults(&tenure, json!([rule])).await.ok();
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    for _ in 0..20 {
        assert!(tenure.stack.settle().await);
        run().await;
        if tenure.partition(&account.id).await == ["A"] {
            break;
        }
    }
    assert!(hits(&tenure).await > 0, "nothing was killed");
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert_eq!(tenure.count_events(&account.id, "customer_deleted").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_fault_rule_is_rejected() {
    let tenure = Tenure::start().await;
    set_faults(&tenure, json!([{"fault": "conflict", "nth": 9}])).await.ok();
    let refused = set_faults(&tenure, json!([{"fault": "throttle", "function": "Nobody"}])).await;
    assert_eq!(refused.status, 400);
    let message = "rule 1: function: the template has no function Nobody";
    assert_eq!(refused.body["error"], message);
    let shown = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
    let expected = json!({"fault": "conflict", "nth": 9, "seen": 0, "hits": 0});
    assert_eq!(shown, json!({"faults": [expected]}));
}

//! Unregistering, recovering and deleting accounts, and who may do so.

use sam_local::Options;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Tenure, options_with};

#[tokio::test(flavor = "multi_thread")]
async fn frozen_account_may_only_unregister_or_recover() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let frozen = tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();

    for token in [&account.token, &key] {
        let refused = tenure.call(token, "GET", "/v1.0/accesskeys").await;
        assert_eq!(refused.refused(403), "ACCOUNT_FROZEN");
        let details = json!([{
            "deletion_scheduled_at": frozen["tm_update"],
            "deletion_effective_at": frozen["tm_deletion_scheduled"],
            "recovery_endpoint": "DELETE /auth/unregister",
        }]);
        assert_eq!(refused.body["error"]["details"], details);
    }
    // A repetition with other credentials gets the same answer and date.
    tenure.stack.advance_clock(60).await.unwrap();
    let again = tenure.unregister(&key, json!({"confirmation_phrase": "DELETE"})).await.ok();
    assert_eq!(again, frozen);
    // Login is allowed, since recovery needs a session.
    let token = tenure.login("test1", PASSWORD).await;
    let recovered = tenure.call(&token, "DELETE", "/auth/unregister").await.ok();
    assert_eq!(
        (&recovered["status"], &recovered["tm_deletion_scheduled"]),
        (&json!("initial"), &Value::Null)
    );
    tenure.call(&key, "GET", "/v1.0/accesskeys").await.ok();
    assert_eq!(
        tenure.call(&token, "DELETE", "/auth/unregister").await.refused(409),
        "STATE_INVALID"
    );

    let expected =
        ["customer_created", "accesskey_created", "customer_frozen", "customer_recovered"];
    assert_eq!(tenure.events_of(&account.id).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn unregister_requires_password_or_confirmation() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let other = tenure.account(&admin, "test2").await;
    let key = tenure.access_key(&account.token).await;
    let before = tenure.accounts().await;

    let session = [
        (json!({}), 400, "password"),
        (json!({"confirmation_phrase": "DELETE"}), 400, "password"),
        (json!({"password": PASSWORD, "immediate": true}), 400, "confirmation_phrase"),
        (
            json!({"password": PASSWORD, "immediate": true, "confirmation_phrase": "delete"}),
            400,
            "confirmation_phrase",
        ),
        (
            json!({"password": PASSWORD, "immediate": true, "confirmation_phrase": "DELETE "}),
            400,
            "confirmation_phrase",
        ),
        (
            json!({"password": PASSWORD, "immediate": true, "confirmation_phrase": "DЕLETE"}),
            400,
            "confirmation_phrase",
        ),
        (
            json!({"password": PASSWORD, "immediate": 1, "confirmation_phrase": "DELETE"}),
            400,
            "immediate",
        ),
        (
            json!({"password": PASSWORD, "immediate": "true", "confirmation_phrase": "DELETE"}),
            400,
            "immediate",
        ),
        (json!({"password": null}), 400, "password"),
        (
            json!({"password": "wrong password", "immediate": true, "confirmation_phrase": "DELETE"}),
            403,
            "",
        ),
    ];
    for (body, status, names) in session {
        let answer = tenure.unregister(&account.token, body).await;
        answer.refused(status);
        assert!(answer.message().starts_with(names), "{}", answer.text);
    }
    let program = [
        (json!({"password": PASSWORD}), 400),
        (json!({}), 400),
        (json!({"confirmation_phrase": "DELETE", "immediate": true}), 403),
    ];
    for (body, status) in program {
        tenure.unregister(&key, body).await.refused(status);
    }
    assert_eq!(tenure.accounts().await, before);

    tenure.unregister(&key, json!({"confirmation_phrase": "DELETE"})).await.ok();
    tenure.call(&other.token, "GET", "/v1.0/accesskeys").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn project_account_cannot_be_deleted() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let own = "/v1.0/customers/00000000-0000-0000-0000-000000000002";
    let before = tenure.accounts().await;
    assert_eq!(tenure.call(&admin, "DELETE", own).await.refused(409), "LAST_PROJECT_ADMIN");
    for body in [
        json!({"password": "local-admin-password"}),
        json!({"password": "local-admin-password", "confirmation_phrase": "DELETE", "immediate": true}),
    ] {
        assert_eq!(tenure.unregister(&admin, body).await.refused(409), "LAST_PROJECT_ADMIN");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_bootstrap_creates_nothing() {
    let tenure = Tenure::start().await;
    let before = tenure.accounts().await;
    let path = "/2015-03-31/functions/AdminBootstrapFunction/invocations";
    let body = json!({"username": "intruder", "password": "intruder-password"});
    let answer = tenure.send(tenure.request("POST", path).json(&body)).await.ok();
    assert_eq!(answer["created"], false);
    assert_eq!(tenure.accounts().await, before);
}

/// `AdminBootstrapFunction`, invoked with `add`, gives operators back their access when an attacker has taken
/// over the only project admin. Its transaction fails once, as if it conflicted with another one.
#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_with_add_adds_a_project_admin_with_an_event_and_a_metric() {
    let tenure = Tenure::start().await;
    let path = "/2015-03-31/functions/AdminBootstrapFunction/invocations";
    let add = async |username: &str| {
        let body = json!({"username": username, "password": PASSWORD, "add": true});
        tenure.send(tenure.request("POST", path).json(&body)).await
    };
    // The first transaction only finds that there is a project admin already.
    let conflict = json!({"fault": "conflict", "function": "AdminBootstrapFunction", "operation": "TransactWriteItems", "nth": 2});
    tenure.send(tenure.request("POST", "/_local/faults").json(&[conflict])).await.ok();
    let answer = add("rescuer").await.ok();
    assert_eq!(answer["created"], true);
    let project = answer["customer_id"].as_str().unwrap();
    assert_eq!(tenure.events_of(project).await, ["agent_created"]);
    let rescuer = tenure.login("rescuer", PASSWORD).await;
    let agents = tenure.call(&rescuer, "GET", "/v1.0/agents").await.ok();
    assert_eq!(agents["result"][0]["permission"], 33);
    // The last admin cannot be deleted, so `rescuer` is counted as an admin.
    let other = agents["result"][1]["id"].as_str().unwrap();
    tenure.call(&rescuer, "DELETE", &format!("/v1.0/agents/{other}")).await.ok();
    tenure.call(&rescuer, "GET", "/v1.0/customers").await.ok();
    let logs = tenure.stack.logs().join("\n");
    assert!(logs.contains("ProjectAdminsAdded"), "{logs}");
    let taken = add("rescuer").await;
    assert!(taken.text.contains("username: is taken"), "{}", taken.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_twice_deletes_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);

    let first = tenure.call(&admin, "DELETE", &path).await.ok();
    assert_eq!((&first["status"], &first["name"]), (&json!("deleted"), &json!("Name of test1")));
    let second = tenure.call(&admin, "DELETE", &path).await.ok();
    assert_eq!(
        (&second["status"], &second["name"], &second["tm_delete"]),
        (&json!("deleted"), &json!(""), &first["tm_delete"])
    );
    assert_eq!(tenure.call(&admin, "GET", &path).await.ok(), second);
    assert_eq!(
        tenure.call_with(&admin, "PUT", &path, json!({"name": "x"})).await.refused(409),
        "STATE_INVALID"
    );
    assert_eq!(tenure.count_events(&account.id, "customer_deleted").await, 1);
}

/// Attempts with the right password are not counted against a limit.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_unregistration_is_not_throttled() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for _ in 0..8 {
        tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
        tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    }
}

fn with_grace(days: &str) -> Options {
    options_with("GraceDays", days)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_is_the_installations() {
    let tenure = Tenure::start_with(with_grace("7")).await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let frozen = tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    let time = |name: &str| frozen[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let grace = time("tm_deletion_scheduled") - time("tm_update");
    assert_eq!(grace.as_hours(), 7 * 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_grace_an_unregistered_account_is_due_at_once_and_not_recovered() {
    let tenure = Tenure::start_with(with_grace("0")).await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    let recovery = tenure.call(&account.token, "DELETE", "/auth/unregister").await;
    assert_eq!(recovery.refused(409), "GRACE_PERIOD_ENDED");
    let run = "/_local/schedules/PurgeRunFunctionSchedule/run";
    tenure.send(tenure.request("POST", run)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
}

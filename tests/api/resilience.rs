//! Crashes and restarts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use local::{Data, Options};
use serde_json::{Value, json};

use crate::harness::{Account, PASSWORD, Template, Tenure, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_function_fails_one_call_and_the_next_one_works() {
    let mark = format!("crash-{}", std::process::id());
    let template = Template::edited(|text| {
        text.replace(
            "        ACCOUNTS_TABLE:",
            &format!("        MARK: {mark}\n        ACCOUNTS_TABLE:"),
        )
    });
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let list = async || tenure.call(&admin, "GET", "/v1.0/customers").await;
    list().await.ok();
    for _ in 0..3 {
        let victims = processes(&mark, "customer_list");
        assert!(!victims.is_empty());
        for process in victims {
            // A signal to a process that is gone already is no error here.
            let _ = std::process::Command::new("kill").args(["-9", &process]).status();
        }
        let answer = list().await;
        assert!([200, 500].contains(&answer.status), "{}", answer.text);
        list().await.ok();
    }
}

/// Ids of the processes that run `binary` with `mark` in their environment.
fn processes(mark: &str, binary: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let runs = std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe.ends_with(binary));
        runs && std::fs::read(path.join("environ"))
            .is_ok_and(|env| String::from_utf8_lossy(&env).contains(mark))
    };
    entries
        .filter(is_ours)
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_starts_again_with_its_data_and_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let kept = || Options { data: Data::Directory(directory.path().to_owned()), ..options() };
    let tenure = Tenure::start_with(kept()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(3).await;
    // Dropped, not stopped: nothing is written on the way out.
    drop(tenure);

    let tenure = Tenure::start_with(kept()).await;
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(403),
        "ACCOUNT_FROZEN"
    );
    // Deleted, and killed before the purge can have ended: the next start sees to it.
    let admin = tenure.admin().await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    drop(tenure);

    let tenure = Tenure::start_with(kept()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while tenure.partition(&account.id).await != ["A"] {
        assert!(Instant::now() < deadline, "nobody purges the account");
    }
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    tenure.stack.stop().await;
}

/// A stack whose tables are slow enough for calls to meet that are made side by side, on a busy machine
/// too.
async fn slow() -> Tenure {
    Tenure::start_with(Options { latency: Duration::from_millis(200), ..options() }).await
}

impl Tenure {
    async fn costs_at_most(
        &self,
        most: u64,
        function: &str,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) {
        self.stack.reset_stats();
        let request = self.request(method, path).bearer(token);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(request).await.ok();
        let steps =
            self.stack.stats()["functions"][function]["dynamodb"]["steps"].as_u64().unwrap();
        assert!((1..=most).contains(&steps), "{function}: {steps} round trips");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_takes_one_round_trip_to_read_and_two_to_write() {
    let tenure = slow().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let customer = format!("/v1.0/customers/{}", account.id);
    let leaving = tenure.login("test1", PASSWORD).await;
    // Another agent's, as it ends all of one's sessions.
    let logged_out = tenure.account(&admin, "logged-out").await.token;
    let number = tenure.call_with(&account.token, "POST", "/v1.0/numbers", json!({})).await.ok();
    let number = format!("/v1.0/numbers/{}", number["id"].as_str().unwrap());
    let named = |path: &str| format!("{path}?customer_id={}", account.id);
    let (their_numbers, their_number) = (named("/v1.0/numbers"), named(&number));
    let leave = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});

    let calls = [
        ("CustomerListFunction", &admin, "GET", "/v1.0/customers", None, 1),
        // Rows are read by the keys that an index or a lock gives.
        ("CustomerListFunction", &admin, "GET", "/v1.0/customers?status=initial", None, 2),
        ("CustomerListFunction", &admin, "GET", "/v1.0/customers?name=n", None, 2),
        ("CustomerListFunction", &admin, "GET", "/v1.0/customers?email=test1@example.com", None, 2),
        ("CustomerGetFunction", &admin, "GET", customer.as_str(), None, 1),
        ("ResourceListFunction", &account.token, "GET", "/v1.0/numbers", None, 1),
        ("ResourceListFunction", &admin, "GET", their_numbers.as_str(), None, 1),
        ("ResourceGetFunction", &account.token, "GET", number.as_str(), None, 1),
        ("ResourceGetFunction", &admin, "GET", their_number.as_str(), None, 1),
        ("ResourceCreateFunction", &admin, "POST", their_numbers.as_str(), Some(json!({})), 2),
        ("ResourceDeleteFunction", &account.token, "DELETE", number.as_str(), None, 2),
        ("CustomerUpdateFunction", &admin, "PUT", customer.as_str(), Some(json!({"name": "x"})), 2),
        (
            "OwnMetadataUpdateFunction",
            &account.token,
            "PUT",
            "/v1.0/customer/metadata",
            Some(json!({"rtp_debug": true})),
            2,
        ),
        (
            "CustomerCreateFunction",
            &admin,
            "POST",
            "/v1.0/customers",
            Some(crate::harness::new_customer("test2")),
            2,
        ),
        (
            "AuthLoginFunction",
            &admin,
            "POST",
            "/auth/login",
            Some(json!({"username": "test1", "password": PASSWORD})),
            2,
        ),
        (
            "AuthUnregisterFunction",
            &account.token,
            "POST",
            "/auth/unregister",
            Some(json!({"password": PASSWORD})),
            2,
        ),
        ("AuthRecoverFunction", &account.token, "DELETE", "/auth/unregister", None, 2),
        ("AuthLogoutFunction", &leaving, "POST", "/auth/logout", None, 2),
        (
            "AuthLogoutFunction",
            &logged_out,
            "POST",
            "/auth/logout",
            Some(json!({"everywhere": true})),
            2,
        ),
        ("AuthUnregisterFunction", &account.token, "POST", "/auth/unregister", Some(leave), 2),
        ("CustomerDeleteFunction", &admin, "DELETE", customer.as_str(), None, 1),
    ];
    for (function, token, method, path, body, most) in calls {
        tenure.costs_at_most(most, function, token, method, path, body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_cost_no_more_whoever_changes_them() {
    let tenure = slow().await;
    let admin = tenure.admin().await;
    let Account { id, token: own } = tenure.account(&admin, "test1").await;
    let payer = tenure.call_with(&own, "POST", "/v1.0/billing_accounts", json!({})).await.ok();
    let pays = json!({"billing_account_id": payer["id"]});
    let (switch, email) = (json!({"rtp_debug": true}), json!({"email": "y@example.com"}));
    let reads = [("OwnGetFunction", "/v1.0/customer"), ("MeGetFunction", "/v1.0/me")];
    for (function, path) in reads {
        tenure.costs_at_most(1, function, &own, "GET", path, None).await;
    }
    let (theirs, ours) = (format!("/v1.0/customers/{id}"), "/v1.0/customer".to_owned());
    for (token, path, function, below, body) in [
        (&own, &ours, "OwnUpdateFunction", "", &email),
        (&own, &ours, "OwnBillingAccountUpdateFunction", "/billing_account_id", &pays),
        (&own, &ours, "OwnMetadataUpdateFunction", "/metadata", &switch),
        (&admin, &theirs, "CustomerUpdateFunction", "", &email),
        (&admin, &theirs, "CustomerBillingAccountUpdateFunction", "/billing_account_id", &pays),
        (&admin, &theirs, "CustomerMetadataUpdateFunction", "/metadata", &switch),
    ] {
        let path = format!("{path}{below}");
        tenure.costs_at_most(2, function, token, "PUT", &path, Some(body.clone())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_agents_cost_no_more() {
    let tenure = slow().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let key = tenure
        .call_with(&account.token, "POST", "/v1.0/accesskeys", json!({"expire": 86_400}))
        .await
        .ok();
    let key = format!("/v1.0/accesskeys/{}", key["id"].as_str().unwrap());
    let agent = json!({"username": "ann", "password": PASSWORD});
    let ann = tenure.call_with(&account.token, "POST", "/v1.0/agents", agent).await.ok();
    let ann = format!("/v1.0/agents/{}", ann["id"].as_str().unwrap());
    let (anns_permission, anns_password) = (format!("{ann}/permission"), format!("{ann}/password"));
    let own_id =
        tenure.call(&account.token, "GET", "/v1.0/agents").await.ok()["result"][1]["id"].clone();
    let own_password = format!("/v1.0/agents/{}/password", own_id.as_str().unwrap());
    let rotate = format!("{key}/rotate");
    let calls = [
        ("AccesskeyListFunction", &account.token, "GET", "/v1.0/accesskeys", None, 1),
        ("AccesskeyGetFunction", &account.token, "GET", key.as_str(), None, 1),
        (
            "AccesskeyUpdateFunction",
            &account.token,
            "PUT",
            key.as_str(),
            Some(json!({"name": "x"})),
            2,
        ),
        (
            "AccesskeyCreateFunction",
            &account.token,
            "POST",
            "/v1.0/accesskeys",
            Some(json!({"expire": 86_400})),
            2,
        ),
        ("AccesskeyRotateFunction", &account.token, "POST", rotate.as_str(), Some(json!({})), 2),
        ("AccesskeyDeleteFunction", &account.token, "DELETE", key.as_str(), None, 2),
        ("AgentListFunction", &account.token, "GET", "/v1.0/agents", None, 1),
        ("AgentGetFunction", &account.token, "GET", ann.as_str(), None, 1),
        (
            "AgentCreateFunction",
            &account.token,
            "POST",
            "/v1.0/agents",
            Some(json!({"username": "bob", "password": PASSWORD})),
            2,
        ),
        (
            "AgentPermissionUpdateFunction",
            &account.token,
            "PUT",
            anns_permission.as_str(),
            Some(json!({"permission": 32})),
            2,
        ),
        (
            "AgentPasswordUpdateFunction",
            &account.token,
            "PUT",
            anns_password.as_str(),
            Some(json!({"password": PASSWORD})),
            2,
        ),
        ("AgentDeleteFunction", &account.token, "DELETE", ann.as_str(), None, 2),
        (
            "AgentPasswordUpdateFunction",
            &account.token,
            "PUT",
            own_password.as_str(),
            Some(json!({"password": PASSWORD, "current_password": PASSWORD})),
            2,
        ),
    ];
    for (function, token, method, path, body, most) in calls {
        tenure.costs_at_most(most, function, token, method, path, body).await;
    }
}

//! Support by operators: a project admin names a customer's account in the query, looks at its agents, access
//! keys and webhook deliveries, and revokes those that do harm. Passwords and tokens are neither shown nor
//! settable.

use serde_json::{Value, json};

use crate::harness::{Account, OPERATORS_PASSWORD, PASSWORD, Tenure};
use crate::receiver::{self, Receiver};

const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

/// A customer's account, with an agent and an access key.
struct Customer {
    account: Account,
    /// URL path of the agent.
    agent: String,
    /// URL path of the access key.
    key: String,
    /// Token of the access key.
    token: String,
}

impl Customer {
    async fn create(tenure: &Tenure, admin: &str, username: &str) -> Self {
        let account = tenure.account(admin, username).await;
        let post = async |path: &str, body: Value| {
            tenure.call_with(&account.token, "POST", path, body).await.ok()
        };
        let body = json!({"username": format!("{username}-ann"), "password": PASSWORD});
        let agent = post("/v1.0/agents", body).await;
        let key = post("/v1.0/accesskeys", json!({"name": "bot", "expire": 86_400})).await;
        Self {
            agent: format!("/v1.0/agents/{}", agent["id"].as_str().unwrap()),
            key: format!("/v1.0/accesskeys/{}", key["id"].as_str().unwrap()),
            token: key["token"].as_str().unwrap().to_owned(),
            account,
        }
    }

    /// Returns `path` with a query that names the account.
    fn named(&self, path: &str) -> String {
        format!("{path}?customer_id={}", self.account.id)
    }

    /// Returns the path of the account, followed by `below`.
    fn path(&self, below: &str) -> String {
        format!("/v1.0/customers/{}{below}", self.account.id)
    }

    /// Returns the paths that support may read, each followed by `query`, which names an account.
    fn reads(&self, query: &str) -> Vec<String> {
        let deliveries = "/v1.0/webhook_deliveries";
        ["/v1.0/agents", &self.agent, "/v1.0/accesskeys", &self.key, deliveries]
            .map(|path| format!("{path}{query}"))
            .into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_the_owner_sees_and_no_secret() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let customer = Customer::create(&tenure, &admin, "test1").await;
    let own = &customer.account.token;
    assert!(tenure.stack.settle().await);
    let reads = customer.reads("").into_iter().zip(customer.reads(&customer.named("")));
    for (path, named) in reads {
        let of_owner = tenure.call(own, "GET", &path).await.ok();
        let seen = tenure.call(&admin, "GET", &named).await;
        assert!(!seen.text.contains(&customer.token) && !seen.text.contains(PASSWORD), "{named}");
        assert_eq!(seen.ok(), of_owner, "{named}");
    }
    // Lists page by page, as the owner can.
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let path = customer.named("/v1.0/agents");
        let path = format!("{path}&page_size=1&page_token={token}");
        let page = tenure.call(&admin, "GET", &path).await.ok();
        listed.extend(page["result"].as_array().unwrap().iter().cloned());
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(json!(listed), tenure.call(own, "GET", "/v1.0/agents").await.ok()["result"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_no_password_and_issues_no_token() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let customer = Customer::create(&tenure, &admin, "test1").await;
    let before = tenure.accounts().await;
    let password = json!({"password": "of an operator's choice", "current_password": PASSWORD});
    for (method, path, body) in [
        ("POST", "/v1.0/accesskeys".to_owned(), json!({"expire": 86_400})),
        ("POST", format!("{}/rotate", customer.key), json!({})),
        ("PUT", customer.key.clone(), json!({"name": "x"})),
        ("POST", "/v1.0/agents".to_owned(), json!({"username": "eve", "password": PASSWORD})),
        ("PUT", customer.agent.clone(), json!({"name": "x"})),
        ("PUT", format!("{}/password", customer.agent), password),
    ] {
        let refused = tenure.call_with(&admin, method, &customer.named(&path), body).await;
        assert_eq!(refused.refused(400), "INVALID_REQUEST_PARAMETER", "{method} {path}");
        assert_eq!(refused.body["error"]["details"], json!([{"field": "customer_id"}]), "{path}");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_name_an_account_and_only_its_items_are_found_in_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let one = Customer::create(&tenure, &admin, "test1").await;
    let two = Customer::create(&tenure, &admin, "test2").await;
    let before = tenure.accounts().await;
    for path in one.reads(&one.named("")) {
        // An account's own people and programs may not name an account, not even their own.
        for caller in [&one.account.token, &one.token, &two.account.token] {
            let refused = tenure.call(caller, "GET", &path).await;
            assert_eq!(refused.refused(403), "PERMISSION_DENIED", "{path}");
        }
    }
    for (path, reason) in [(&one.agent, "AGENT_NOT_FOUND"), (&one.key, "ACCESSKEY_NOT_FOUND")] {
        for method in ["GET", "DELETE"] {
            let refused = tenure.call(&one.account.token, method, &one.named(path)).await;
            assert_eq!(refused.refused(403), "PERMISSION_DENIED", "{method} {path}");
            // The query names another account, no account, or the operator's own.
            for (query, expected) in [
                (two.named(""), reason),
                (format!("?customer_id={MISSING}"), "CUSTOMER_NOT_FOUND"),
                (String::new(), reason),
            ] {
                let refused = tenure.call(&admin, method, &format!("{path}{query}")).await;
                assert_eq!(refused.refused(404), expected, "{method} {path}{query}");
            }
            let refused = tenure.call(&admin, method, &format!("{path}?customer_id=x")).await;
            assert_eq!(refused.refused(400), "INVALID_REQUEST_PARAMETER", "{method} {path}");
        }
    }
    for list in ["/v1.0/agents", "/v1.0/accesskeys", "/v1.0/webhook_deliveries"] {
        let refused = tenure.call(&admin, "GET", &format!("{list}?customer_id={MISSING}")).await;
        assert_eq!(refused.refused(404), "CUSTOMER_NOT_FOUND", "{list}");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_act_is_told_with_its_actor_of_whom_the_owner_sees_the_role_only() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let operator = tenure.call(&admin, "GET", "/v1.0/me").await.ok();
    let customer = Customer::create(&tenure, &admin, "test1").await;
    let permission = customer.named(&format!("{}/permission", customer.agent));
    let changed =
        tenure.call_with(&admin, "PUT", &permission, json!({"permission": 64})).await.ok();
    assert_eq!(changed["permission"], 64);
    for path in [&customer.key, &customer.agent] {
        let deleted = tenure.call(&admin, "DELETE", &customer.named(path)).await.ok();
        assert_eq!(deleted["customer_id"], customer.account.id);
        assert!(!deleted["tm_delete"].is_null(), "{deleted}");
    }
    let refused = tenure.call(&customer.token, "GET", "/v1.0/me").await;
    assert_eq!(refused.refused(401), "INVALID_CREDENTIALS");
    assert_eq!(tenure.try_login("test1-ann", PASSWORD).await.status, 401);

    let own = json!({"type": "operator", "id": null, "role": "project_admin", "customer_id": null});
    for name in ["agent_updated", "accesskey_deleted", "agent_deleted"] {
        let all = customer.path(&format!("/events?type={name}"));
        let told = tenure.call(&admin, "GET", &all).await.ok();
        let told = told["result"].as_array().unwrap();
        let [event] = told.as_slice() else { panic!("one {name}: {told:?}") };
        let actor = &event["actor"];
        assert_eq!((&actor["type"], &actor["id"]), (&json!("agent"), &operator["id"]), "{name}");
        assert_eq!(actor["customer_id"], operator["customer_id"], "{name}");
        let path = format!("/v1.0/events?type={name}");
        let seen = tenure.call(&customer.account.token, "GET", &path).await.ok();
        assert_eq!(seen["result"][0]["actor"], own, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_subject_to_holds_and_status_and_not_to_a_suspension() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let customer = Customer::create(&tenure, &admin, "test1").await;
    let act = async |method: &str, below: &str| {
        let path = customer.path(below);
        let answer = match method {
            "PUT" => tenure.call_with(&admin, method, &path, json!({"reason": "Case 7"})).await,
            _ => tenure.call(&admin, method, &path).await,
        };
        answer.ok()
    };
    let permission = customer.named(&format!("{}/permission", customer.agent));
    let promote = async |permissions: u64| {
        let body = json!({"permission": permissions});
        tenure.call_with(&admin, "PUT", &permission, body).await
    };
    let delete = async |path: &str| tenure.call(&admin, "DELETE", &customer.named(path)).await;
    let resend = customer.named(&format!("/v1.0/webhook_deliveries/{MISSING}/resend"));

    act("POST", "/suspend").await;
    promote(64).await.ok();
    for path in customer.reads(&customer.named("")) {
        tenure.call(&admin, "GET", &path).await.ok();
    }

    act("PUT", "/hold").await;
    for refused in [promote(16).await, delete(&customer.agent).await] {
        assert_eq!(refused.refused(409), "LEGAL_HOLD");
    }
    act("DELETE", "/hold").await;

    act("POST", "/freeze").await;
    let refused = [
        promote(16).await,
        delete(&customer.agent).await,
        tenure.call(&admin, "POST", &resend).await,
    ];
    for refused in refused {
        assert_eq!(refused.refused(409), "STATE_INVALID");
    }
    for path in customer.reads(&customer.named("")) {
        tenure.call(&admin, "GET", &path).await.ok();
    }
    // An operator can revoke a leaked key in every state of the account in which it could do harm.
    act("PUT", "/hold").await;
    delete(&customer.key).await.ok();
    act("DELETE", "/hold").await;

    tenure.call(&admin, "DELETE", &customer.path("")).await.ok();
    for list in ["/v1.0/agents", "/v1.0/accesskeys"] {
        let page = tenure.call(&admin, "GET", &customer.named(list)).await.ok();
        assert_eq!(page, json!({"result": [], "next_page_token": ""}), "{list}");
    }
    assert_eq!(delete(&customer.agent).await.refused(404), "AGENT_NOT_FOUND");
    // The log of deliveries to the account's webhook is still there.
    let sent = customer.named("/v1.0/webhook_deliveries");
    let sent = tenure.call(&admin, "GET", &sent).await.ok();
    assert!(!sent["result"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_appoints_admins_with_a_password_and_no_project_admin() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let customer = Customer::create(&tenure, &admin, "test1").await;
    let path = customer.named(&format!("{}/permission", customer.agent));
    let set = async |token: &str, body: Value| tenure.call_with(token, "PUT", &path, body).await;
    let password = OPERATORS_PASSWORD;

    let refused = set(&admin, json!({"permission": 32})).await;
    assert_eq!(refused.body["error"]["details"][0]["field"], "current_password");
    let refused = set(&admin, json!({"permission": 1, "current_password": password})).await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    assert_eq!(refused.body["error"]["details"][0]["field"], "permission");
    let key = tenure.access_key(&admin).await;
    let refused = set(&key, json!({"permission": 32, "current_password": password})).await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    let appointed = set(&admin, json!({"permission": 32, "current_password": password})).await;
    assert_eq!(appointed.ok()["permission"], 32);

    // An operator cannot remove the last admin of an account either.
    let me = tenure.call(&customer.account.token, "GET", "/v1.0/me").await.ok();
    let first = customer.named(&format!("/v1.0/agents/{}", me["id"].as_str().unwrap()));
    tenure.call(&admin, "DELETE", &first).await.ok();
    let last = tenure.call(&admin, "DELETE", &customer.named(&customer.agent)).await;
    assert_eq!(last.refused(409), "LAST_ADMIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resends_to_the_account_that_the_delivery_is_of() {
    let (tenure, receiver) = (receiver::tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let account = async |username: &str, hook: &str| {
        let customer = Customer::create(&tenure, &admin, username).await;
        let hook = json!({"webhook_uri": receiver.url(hook), "webhook_method": "POST"});
        tenure.call_with(&admin, "PUT", &customer.path(""), hook).await.ok();
        customer
    };
    let (one, two) = (account("test1", "/one").await, account("test2", "/two").await);
    assert!(tenure.stack.settle().await);
    let log = tenure.call(&admin, "GET", &one.named("/v1.0/webhook_deliveries")).await.ok();
    let id = log["result"][0]["id"].as_str().unwrap();
    let path = format!("/v1.0/webhook_deliveries/{id}/resend");
    let arrived = || {
        ["/one", "/two"].map(|hook| {
            let arrivals = receiver.arrivals(hook);
            arrivals.iter().filter(|arrival| arrival.header("webhook-id") == id).count()
        })
    };
    assert_eq!(arrived(), [1, 0]);
    for (query, status, reason) in [
        (two.named(""), 404, "WEBHOOK_DELIVERY_NOT_FOUND"),
        (String::new(), 409, "WEBHOOK_NOT_CONFIGURED"),
    ] {
        let refused = tenure.call(&admin, "POST", &format!("{path}{query}")).await;
        assert_eq!(refused.refused(status), reason, "{query}");
    }
    let sent = tenure.call(&admin, "POST", &one.named(&path)).await.ok();
    assert_eq!((&sent["id"], &sent["status"]), (&json!(id), &json!("pending")));
    tenure.stack.advance_clock(60).await.unwrap();
    assert!(tenure.stack.settle().await);
    assert_eq!(arrived(), [2, 0]);
}

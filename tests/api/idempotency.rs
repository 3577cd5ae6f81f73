//! `Idempotency-Key`: a request that is repeated with the same key has one effect, and gets the same response
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;

use local::Description;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, PASSWORD, Tenure, counted, new_customer, slow};
use crate::openapi::route_of;

const KEY: &str = "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"";

impl Tenure {
    async fn keyed(
        &self,
        token: &str,
        key: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Answer {
        let call = self.request(method, path).bearer(token).header("idempotency-key", key);
        self.send(if body.is_null() { call } else { call.json(body) }).await
    }

    async fn create(&self, admin: &str, key: &str, body: &Value) -> Answer {
        self.keyed(admin, key, "POST", "/v1.0/customers", body).await
    }

    async fn count_customers(&self, admin: &str) -> usize {
        let list = self.call(admin, "GET", "/v1.0/customers").await.ok();
        list["result"].as_array().unwrap().len()
    }

    /// Returns the items of the accounts table and the ids of all events in the outbox.
    async fn state(&self) -> (Vec<Value>, BTreeSet<String>) {
        let accounts = self.accounts().await;
        let events = self.items("OutboxTable").await;
        (accounts, events.iter().map(|event| event["id"].to_string()).collect())
    }

    async fn strike(&self, fault: &str, function: &str) {
        let rule = json!([{"fault": fault, "function": function, "operation": "TransactWriteItems", "nth": 1}]);
        self.send(self.request("POST", "/_local/faults").json(&rule)).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_with_one_key_have_one_effect_and_answer() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let before = tenure.accounts().await.len();
    let mut creates = JoinSet::new();
    for _ in 0..64 {
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        creates.spawn(async move { tenure.create(&admin, KEY, &new_customer("test1")).await });
    }
    let answers = creates.join_all().await;
    let texts: BTreeSet<_> = answers.iter().map(|answer| answer.text.as_str()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(answers[0].status, 200, "{}", answers[0].text);
    // Account, agent, the locks on user name and address, the address's entry, the idempotency record; one event.
    assert_eq!(tenure.accounts().await.len(), before + 6);
    let outbox = tenure.items("OutboxTable").await;
    assert_eq!(outbox.iter().filter(|item| !item["type"].is_null()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_bound_to_caller_and_body() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let first = tenure.create(&admin, KEY, &new_customer("test1")).await.ok();
    for body in
        [new_customer("test2"), json!({"username": "test1", "password": "another password"})]
    {
        let other = tenure.create(&admin, KEY, &body).await;
        assert_eq!(other.refused(422), "IDEMPOTENCY_KEY_REUSED");
    }
    let mut renamed = new_customer("test1");
    renamed["password"] = json!("another password");
    assert_eq!(tenure.create(&admin, KEY, &renamed).await.refused(422), "IDEMPOTENCY_KEY_REUSED");
    // The same key without quotes.
    assert_eq!(
        tenure.create(&admin, KEY.trim_matches('"'), &new_customer("test1")).await.ok(),
        first
    );

    let (one, two) = (tenure.account(&admin, "test2").await, tenure.account(&admin, "test3").await);
    let ann = json!({"username": "ann", "password": PASSWORD, "permission": 64});
    tenure.call_with(&one.token, "POST", "/v1.0/agents", ann).await.ok();
    let ann = tenure.login("ann", PASSWORD).await;
    let mut ids = BTreeSet::new();
    for token in [&one.token, &two.token, &ann, &one.token] {
        let number = tenure.keyed(token, KEY, "POST", "/v1.0/numbers", &json!({})).await.ok();
        ids.insert(number["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
    for path in ["/v1.0/flows", "/v1.0/numbers?customer_id=x"] {
        let other = tenure.keyed(&one.token, KEY, "POST", path, &json!({})).await;
        assert!([403, 422].contains(&other.status), "{}", other.text);
    }
    let flow = tenure.keyed(&one.token, KEY, "POST", "/v1.0/flows", &json!({})).await;
    assert_eq!(flow.refused(422), "IDEMPOTENCY_KEY_REUSED");
    let named = json!({"name": "x"});
    // Another operation may use the same key.
    tenure.keyed(&one.token, KEY, "PUT", "/v1.0/customer", &named).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_expires_after_a_day() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let create = async || {
        let number =
            tenure.keyed(&account.token, KEY, "POST", "/v1.0/numbers", &json!({})).await.ok();
        number["id"].clone()
    };
    let first = create().await;
    tenure.stack.advance_clock(86_400 - 60).await.unwrap();
    assert_eq!(create().await, first);
    tenure.stack.advance_clock(60).await.unwrap();
    assert_ne!(create().await, first);
}

/// A request that fails does not use up its idempotency key.
#[tokio::test(flavor = "multi_thread")]
async fn failed_request_is_not_recorded() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let taken = tenure.create(&admin, KEY, &new_customer("test1")).await;
    assert_eq!(taken.refused(409), "USERNAME_TAKEN");
    assert_eq!(tenure.create(&admin, KEY, &json!({})).await.status, 400);
    tenure.create(&admin, KEY, &new_customer("test2")).await.ok();
    let taken = tenure.create(&admin, "other", &new_customer("test1")).await;
    assert_eq!(taken.refused(409), "USERNAME_TAKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_key_is_rejected_on_writes_and_ignored_elsewhere() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let long = format!("\"{}\"", "x".repeat(256));
    for key in ["\"\"", "a b", "\"a\", \"b\"", &long] {
        let answer = tenure.create(&admin, key, &new_customer("test1")).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
    }
    assert_eq!(tenure.count_customers(&admin).await, 0);
    let id = tenure.create(&admin, KEY, &new_customer("test1")).await.ok()["id"].clone();
    let path = format!("/v1.0/customers/{}", id.as_str().unwrap());
    for method in ["GET", "DELETE"] {
        tenure.keyed(&admin, "a b", method, &path, &Value::Null).await.ok();
    }
}

/// Writes that accept no idempotency key, for one of these reasons: the route changes nothing that lasts; it
/// begins or ends a session; it is public; or it has the same effect however often it is repeated.
const WITHOUT_KEY: [&str; 12] = [
    "POST /auth/login",
    "POST /auth/logout",
    "POST /auth/password-forgot",
    "POST /auth/password-reset",
    "POST /auth/signup",
    "POST /auth/email-verify",
    "POST /auth/email-verify/resend",
    "POST /auth/unregister-link",
    "POST /auth/unregister-by-link",
    "POST /v1.0/customers/{id}/erasure/plan",
    "POST /v1.0/erasures/{id}/waivers",
    "PUT /v1.0/erasures/{id}/acknowledgements/{name}",
];

#[test]
fn every_post_and_put_documents_idempotency_key() {
    let description = Description::of_api().unwrap();
    let key = json!("#/components/parameters/IdempotencyKey");
    for (route, operation) in description.operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let has_key = parameters.into_iter().any(|parameter| parameter["$ref"] == key);
        assert_eq!(has_key, moves(&route), "{route}: Idempotency-Key");
        assert_eq!(operation["responses"].get("422").is_some(), has_key, "{route}: 422");
    }
}

fn moves(route: &str) -> bool {
    (route.starts_with("POST ") || route.starts_with("PUT ")) && !WITHOUT_KEY.contains(&route)
}

/// Sends every write that accepts an idempotency key twice. Fails if a route of the template is missing here.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_replays_its_answer() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let Account { id, token: own } = tenure.account(&admin, "test1").await;
    let post = async |path: &str, body: Value| {
        tenure.call_with(&own, "POST", path, body).await.ok()["id"].as_str().unwrap().to_owned()
    };
    let payer = post("/v1.0/billing_accounts", json!({})).await;
    let key = post("/v1.0/accesskeys", json!({"expire": 86_400})).await;
    let number = post("/v1.0/numbers", json!({})).await;
    let ann = post("/v1.0/agents", json!({"username": "ann", "password": PASSWORD})).await;
    let event = tenure.call(&own, "GET", "/v1.0/webhook_deliveries").await.ok();
    let event = event["result"][0]["id"].as_str().unwrap();
    let agents = tenure.call(&own, "GET", "/v1.0/agents").await.ok();
    let me = agents["result"][1]["id"].as_str().unwrap();
    let at = |path: &str| format!("/v1.0/customers/{id}{path}");
    let pays = json!({"billing_account_id": payer});
    let none = json!({"billing_account_id": "00000000-0000-0000-0000-000000000000"});
    let new_password = "a new password for the same agent";
    let changed = json!({"current_password": PASSWORD, "password": new_password});
    let others = json!({"current_password": PASSWORD, "password": PASSWORD});
    let nothing = Value::Null;
    let calls = [
        (&own, "POST", "/v1.0/agents".into(), json!({"username": "bob", "password": PASSWORD})),
        (&own, "POST", "/v1.0/numbers".into(), json!({"name": "n", "data": {"a": 1}})),
        (&own, "POST", "/v1.0/accesskeys".into(), json!({"expire": 86_400})),
        (&own, "PUT", format!("/v1.0/accesskeys/{key}"), json!({"name": "k"})),
        (&own, "POST", format!("/v1.0/accesskeys/{key}/rotate"), json!({})),
        (&own, "PUT", format!("/v1.0/agents/{ann}"), json!({"name": "Ann"})),
        (&own, "PUT", format!("/v1.0/numbers/{number}"), json!({"data": {"b": 2}})),
        (&own, "PUT", format!("/v1.0/agents/{ann}/permission"), json!({"permission": 64})),
        (&own, "PUT", format!("/v1.0/agents/{ann}/password"), others),
        (&own, "PUT", format!("/v1.0/agents/{me}/password"), changed),
        (&own, "PUT", "/v1.0/customer".into(), json!({"name": "x"})),
        (&own, "PUT", "/v1.0/customer/metadata".into(), json!({"rtp_debug": true})),
        (&own, "PUT", "/v1.0/customer/billing_account_id".into(), pays),
        (&own, "POST", "/v1.0/customer/webhook_test".into(), nothing.clone()),
        (&own, "POST", format!("/v1.0/webhook_deliveries/{event}/resend"), nothing.clone()),
        (&own, "POST", "/v1.0/customer/webhook_secret/rotate".into(), nothing.clone()),
        (&admin, "PUT", at(""), json!({"detail": "y"})),
        (&admin, "PUT", at("/metadata"), json!({"rtp_debug": false})),
        (&admin, "PUT", at("/billing_account_id"), none),
        (&admin, "PUT", at("/verification"), json!({"email_verified": true})),
        // The link is mailed to the address that is verified by now.
        (&own, "POST", format!("/v1.0/agents/{me}/password-reset"), nothing.clone()),
        (&admin, "POST", at("/freeze"), nothing.clone()),
        (&admin, "POST", at("/recover"), nothing.clone()),
        (&admin, "POST", at("/suspend"), nothing.clone()),
        (&admin, "POST", at("/resume"), nothing),
        (&admin, "PUT", at("/hold"), json!({"reason": "Case 7 of the court"})),
        (&admin, "PUT", at("/holds/case-8"), json!({"reason": "Case 8 of the court"})),
        (&admin, "PUT", "/v1.0/participants/carrier".into(), json!({"required": true})),
        (&admin, "POST", "/v1.0/customers".into(), new_customer("test2")),
        (&own, "POST", "/auth/unregister".into(), json!({"password": new_password})),
    ];
    let routes = tenure.stack.routes();
    let done: BTreeSet<_> =
        calls.iter().map(|(_, method, path, _)| route_of(routes, method, path)).collect();
    let to_do = routes.iter().filter(|route| moves(route)).cloned().collect();
    assert_eq!(done, to_do);

    for (number, (token, method, path, body)) in calls.iter().enumerate() {
        let key = format!("\"{number}\"");
        let before = tenure.state().await;
        let first = tenure.keyed(token, &key, method, path, body).await;
        assert_eq!(first.status, 200, "{method} {path}: {}", first.text);
        let after = tenure.state().await;
        assert_ne!(before, after, "{method} {path}");
        let again = tenure.keyed(token, &key, method, path, body).await;
        if first.body.get("token").is_some() {
            assert_eq!(again.refused(409), "TOKEN_ALREADY_ISSUED");
        } else {
            assert_eq!((again.status, again.text), (200, first.text), "{method} {path}");
        }
        assert_eq!(tenure.state().await, after, "{method} {path} was done twice");
        let other = json!({"surprise": true});
        let other = tenure.keyed(token, &key, method, path, &other).await;
        assert_eq!(other.refused(422), "IDEMPOTENCY_KEY_REUSED");
    }
    // A replayed recovery does not recover an account that was frozen since.
    let recovery = calls.iter().position(|(_, _, path, _)| path.ends_with("/recover")).unwrap();
    let key = format!("\"{recovery}\"");
    let recovered = tenure.keyed(&admin, &key, "POST", &at("/recover"), &Value::Null).await.ok();
    assert_eq!(recovered["status"], "frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn unregistration_is_replayed_until_the_account_is_purged() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let leave = json!({"password": PASSWORD});
    let unregister =
        async || tenure.keyed(&account.token, KEY, "POST", "/auth/unregister", &leave).await;
    let first = unregister().await.ok();
    assert_eq!(unregister().await.ok(), first);
    let partition = tenure.partition(&account.id).await;
    assert!(partition.iter().any(|sk| sk.starts_with("IDEMPOTENCY#")), "{partition:?}");

    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert_eq!(unregister().await.refused(401), "INVALID_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn issued_token_is_not_replayed() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"expire": 86_400});
    let create =
        async || tenure.keyed(&account.token, KEY, "POST", "/v1.0/accesskeys", &body).await;
    let id = create().await.ok()["id"].as_str().unwrap().to_owned();
    let rotate = format!("/v1.0/accesskeys/{id}/rotate");
    let rotate = async || tenure.keyed(&account.token, KEY, "POST", &rotate, &json!({})).await;
    rotate().await.ok();
    for again in [create().await, rotate().await] {
        assert_eq!(again.refused(409), "TOKEN_ALREADY_ISSUED");
        assert_eq!(again.body["error"]["details"], json!([{"id": id}]));
    }
    let keys = tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.ok();
    assert_eq!(keys["result"].as_array().unwrap().len(), 1);
    assert_eq!(tenure.count_events(&account.id, "accesskey_updated").await, 1);
}

/// A caller who has since lost the permission is refused instead of getting the first response again.
#[tokio::test(flavor = "multi_thread")]
async fn replay_requires_current_permission() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let ann = json!({"username": "ann", "password": PASSWORD, "permission": 64});
    let ann = tenure.call_with(&account.token, "POST", "/v1.0/agents", ann).await.ok();
    let token = tenure.login("ann", PASSWORD).await;
    let create = async || tenure.keyed(&token, KEY, "POST", "/v1.0/numbers", &json!({})).await;
    create().await.ok();
    let path = format!("/v1.0/agents/{}/permission", ann["id"].as_str().unwrap());
    tenure.call_with(&account.token, "PUT", &path, json!({"permission": 16})).await.ok();
    assert_eq!(create().await.refused(403), "PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_during_a_keyed_request_leave_one_effect() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for (number, fault) in
        ["crash_before", "crash_after", "timeout_after_apply", "throttle", "conflict"]
            .into_iter()
            .enumerate()
    {
        let (name, key) = (format!("test{number}"), format!("key-{number}"));
        tenure.strike(fault, "CustomerCreateFunction").await;
        let create = async || tenure.create(&admin, &key, &new_customer(&name)).await;
        let first = create().await;
        assert!([200, 500, 503].contains(&first.status), "{fault}: {}", first.text);
        let (again, last) = (create().await, create().await);
        assert_eq!(again.status, 200, "{fault}: {}", again.text);
        assert_eq!(last.text, again.text, "{fault}");
        if first.status == 200 {
            assert_eq!(first.text, again.text, "{fault}");
        }
        assert_eq!(tenure.count_customers(&admin).await, number + 1, "{fault}");
        let id = again.body["id"].as_str().unwrap();
        assert_eq!(tenure.count_events(id, "customer_created").await, 1, "{fault}");
    }
}

/// DynamoDB executes the write, but its response is lost. The function retries, and recognises the write as
/// its own.
#[tokio::test(flavor = "multi_thread")]
async fn lost_database_answer_still_returns_the_token() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    tenure.strike("timeout_after_apply", "AccesskeyCreateFunction").await;
    let body = json!({"expire": 86_400});
    let key = tenure.keyed(&account.token, KEY, "POST", "/v1.0/accesskeys", &body).await.ok();
    tenure.call(key["token"].as_str().unwrap(), "GET", "/v1.0/me").await.ok();
}

/// The stored record of an idempotency key holds no data of the request, and only ids from the response.
#[tokio::test(flavor = "multi_thread")]
async fn idempotency_record_holds_no_request_data() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let body = new_customer("test1");
    tenure.create(&admin, KEY, &body).await.ok();
    let items = tenure.items("AccountsTable").await;
    let is_record = |item: &&Value| item["sk"]["S"].as_str().unwrap().starts_with("IDEMPOTENCY#");
    let record = items.iter().find(is_record).unwrap().to_string();
    assert!(!record.contains(KEY.trim_matches('"')), "{record}");
    for text in body.as_object().unwrap().values().map(|text| text.as_str().unwrap()) {
        assert!(text == "POST" || !record.contains(text), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_adds_no_round_trip() {
    let tenure = Tenure::start_with(slow(counted())).await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let cost = async |key: Option<&str>| {
        tenure.stack.reset_stats();
        let call = tenure.request("POST", "/v1.0/numbers").bearer(&account.token).json(&json!({}));
        let call = match key {
            Some(key) => call.header("idempotency-key", key),
            None => call,
        };
        tenure.send(call).await.ok();
        tenure.stack.stats()["functions"]["ResourceCreateFunction"]["dynamodb"].clone()
    };
    let (plain, first, again) = (cost(None).await, cost(Some(KEY)).await, cost(Some(KEY)).await);
    assert_eq!([&plain["steps"], &first["steps"], &again["steps"]], [2, 2, 2]);
    assert_eq!(
        plain["calls"],
        json!({"BatchGetItem": 1, "UpdateItem": 1, "TransactWriteItems": 1})
    );
    assert_eq!(first["calls"], plain["calls"]);
    assert_eq!(again["calls"], json!({"BatchGetItem": 2, "UpdateItem": 1}));
    let more = first["wcu"].as_f64().unwrap() - plain["wcu"].as_f64().unwrap();
    assert!((more - 2.0).abs() < 0.01, "{more} more");
}

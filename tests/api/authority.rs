//! Changes of who may act for an account: of its agents, their permissions and passwords, and its e-mail address.
//! They need a session and the current password, so an access key or a stolen session does not suffice. The caller's
//! authority is checked in the write itself: if the caller loses it while the request is under way, the request
//! changes nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Account, Answer, OPERATORS_PASSWORD, PASSWORD, Tenure};

const ADMIN: u64 = 32;
const DAY: u64 = 86_400;
/// A wrong password.
const WRONG: &str = "a wrong password";

fn new_admin(username: &str) -> Value {
    json!({"username": username, "password": PASSWORD, "permission": ADMIN, "current_password": PASSWORD})
}

/// Adds `current_password` to a request body, unless it is `None`.
fn proved(mut body: Value, current_password: Option<&str>) -> Value {
    if let Some(password) = current_password {
        body["current_password"] = json!(password);
    }
    body
}

/// Creates an agent and returns its path.
async fn agent(tenure: &Tenure, token: &str, username: &str, permission: u64) -> String {
    let mut body = new_admin(username);
    body["permission"] = json!(permission);
    let agent = tenure.call_with(token, "POST", "/v1.0/agents", body).await.ok();
    format!("/v1.0/agents/{}", agent["id"].as_str().unwrap())
}

/// Returns the path of the agent that a session or key acts for.
async fn me(tenure: &Tenure, token: &str) -> String {
    let me = tenure.call(token, "GET", "/v1.0/me").await.ok();
    format!("/v1.0/agents/{}", me["id"].as_str().unwrap())
}

/// Returns the requests that change who may act for an account: method, path, body.
fn grants(other: &str, email: &str) -> [(&'static str, String, Value); 5] {
    let agent = json!({"username": "mallory", "password": PASSWORD, "permission": ADMIN});
    [
        ("POST", "/v1.0/agents".to_owned(), agent.clone()),
        (
            "POST",
            "/v1.0/agents".to_owned(),
            json!({"username": "m", "password": PASSWORD, "permission": 112}),
        ),
        ("PUT", format!("{other}/permission"), json!({"permission": ADMIN})),
        ("PUT", format!("{other}/password"), json!({"password": "password of mallory"})),
        ("PUT", "/v1.0/customer".to_owned(), json!({"email": email})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_no_identity_and_makes_no_key() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let other = agent(&tenure, &account.token, "other", 16).await;
    let second_admin = agent(&tenure, &account.token, "boss", 32).await;
    let own = me(&tenure, &account.token).await;
    let key = tenure.access_key(&account.token).await;
    let spare = tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.ok();
    let spare = format!("/v1.0/accesskeys/{}/rotate", spare["result"][0]["id"].as_str().unwrap());
    let second = tenure.access_key(&account.token).await;
    let before = tenure.accounts().await;

    let more = [
        ("PUT", format!("{own}/password"), json!({"password": "password of mallory"})),
        ("POST", "/v1.0/accesskeys".to_owned(), json!({"expire": DAY})),
        ("POST", "/v1.0/accesskeys".to_owned(), json!({"expire": DAY, "permission": 16})),
        // Requests that change who administers the account.
        ("PUT", format!("{second_admin}/permission"), json!({"permission": 16})),
        ("DELETE", second_admin, json!({})),
        // A key may rotate itself, but not another key.
        ("POST", spare, json!({})),
    ];
    for (method, path, body) in grants(&other, "mallory@example.com").into_iter().chain(more) {
        let token = if path.ends_with("/rotate") { &second } else { &key };
        for password in [None, Some(PASSWORD)] {
            // These routes do not know the field `current_password`, and would refuse it with another error.
            if password.is_some() && (path.contains("accesskeys") || method == "DELETE") {
                continue;
            }
            let body = proved(body.clone(), password);
            let answer = tenure.call_with(token, method, &path, body).await;
            assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
            assert!(answer.message().contains("log in as an agent"), "{}", answer.text);
        }
    }
    assert_eq!(tenure.accounts().await, before);

    // Changes that do not affect who may act for the account are still possible with a key.
    let body = json!({"username": "helper", "password": PASSWORD, "permission": 80});
    tenure.call_with(&key, "POST", "/v1.0/agents", body).await.ok();
    tenure
        .call_with(&key, "PUT", &format!("{other}/permission"), json!({"permission": 64}))
        .await
        .ok();
    let same = tenure.call(&key, "GET", "/v1.0/customer").await.ok();
    let same = json!({"email": same["email"], "name": "New"});
    tenure.call_with(&key, "PUT", "/v1.0/customer", same).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_operator_creates_freezes_plans_and_deletes_customers() {
    let tenure = Tenure::start().await;
    let key = tenure.access_key(&tenure.admin().await).await;
    let created = tenure.account(&key, "test1").await;
    let path = format!("/v1.0/customers/{}", created.id);
    let email = json!({"email": "other@example.com"});
    tenure.call_with(&key, "PUT", &path, email).await.ok();
    tenure.call(&key, "POST", &format!("{path}/freeze")).await.ok();
    let plan = tenure.call(&key, "POST", &format!("{path}/erasure/plan")).await.ok();
    let path = format!("{path}?plan={}", plan["digest"].as_str().unwrap());
    assert_eq!(tenure.call(&key, "DELETE", &path).await.ok()["status"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_rotates_itself_within_its_own_end() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let body = json!({"expire": 10 * DAY});
    let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
    let path = format!("/v1.0/accesskeys/{}", key["id"].as_str().unwrap());
    let token = key["token"].as_str().unwrap();
    let rotate = async |token: &str, body: Value| {
        tenure.call_with(token, "POST", &format!("{path}/rotate"), body).await
    };
    let prolonged = rotate(token, json!({"expire": 11 * DAY})).await;
    assert_eq!(prolonged.refused(403), "PERMISSION_DENIED");
    assert!(prolonged.message().contains("may not prolong itself"), "{}", prolonged.text);
    let same = rotate(token, json!({})).await.ok();
    assert_eq!(same["tm_expire"], key["tm_expire"]);
    let shorter = rotate(same["token"].as_str().unwrap(), json!({"expire": 2 * DAY})).await.ok();
    assert!(shorter["tm_expire"].as_str() < key["tm_expire"].as_str());
    // A session, unlike a key, can prolong the key.
    let longer = rotate(&account.token, json!({"expire": 20 * DAY})).await.ok();
    assert!(longer["tm_expire"].as_str() > key["tm_expire"].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_grants_authority_with_its_agents_password_only() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let other = agent(&tenure, &account.token, "other", 16).await;
    let before = tenure.accounts().await;
    for (method, path, body) in grants(&other, "new@example.com") {
        let call = async |password: Option<&str>| {
            tenure.call_with(&account.token, method, &path, proved(body.clone(), password)).await
        };
        let missing = call(None).await;
        assert_eq!(missing.refused(400), "INVALID_ARGUMENT", "{method} {path}");
        assert!(missing.message().starts_with("current_password: is missing"), "{}", missing.text);
        assert_eq!(call(Some(WRONG)).await.refused(403), "INVALID_PASSWORD", "{method} {path}");
        assert_eq!(tenure.accounts().await, before, "{method} {path}");
    }
    // Wrong passwords are counted, per session.
    let (method, path, body) = grants(&other, "new@example.com").into_iter().next().unwrap();
    let refused =
        tenure.call_with(&account.token, method, &path, proved(body, Some(PASSWORD))).await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    tenure.stack.advance_clock(3600).await.unwrap();
    // Right passwords are not counted: more of them are sent than may be wrong.
    for (method, path, body) in grants(&other, "new@example.com").into_iter().chain([
        ("PUT", "/v1.0/customer".to_owned(), json!({"email": "newer@example.com"})),
        ("PUT", "/v1.0/customer".to_owned(), json!({"email": "newest@example.com"})),
    ]) {
        let body = proved(body, Some(PASSWORD));
        tenure.call_with(&account.token, method, &path, body).await.ok();
    }
    let shown = tenure.call(&account.token, "GET", "/v1.0/customer").await.ok();
    assert_eq!(shown["email"], "newest@example.com");
    // Requests that give nobody more permissions need no password.
    let body = json!({"username": "ann", "password": PASSWORD, "permission": 64});
    tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await.ok();
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", shown).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_ones_own_password_ends_ones_keys_if_asked() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let ann = agent(&tenure, &account.token, "ann", ADMIN).await;
    let session = tenure.login("ann", PASSWORD).await;
    let works = async |token: &str| tenure.call(token, "GET", "/v1.0/me").await.status == 200;
    let mut keys = Vec::new();
    // More keys than one transaction can delete.
    for _ in 0..83 {
        keys.push(tenure.access_key(&session).await);
    }
    let foreign = tenure.access_key(&account.token).await;
    let change = async |token: &str, agent: &str, keys: Value| {
        let body = json!({"password": PASSWORD, "current_password": PASSWORD, "keys": keys});
        let call = tenure.request("PUT", &format!("{agent}/password")).bearer(token).json(&body);
        tenure.send(call.header("idempotency-key", &format!("password-{keys}"))).await
    };
    change(&session, &ann, json!(false)).await.ok();
    assert!(works(&keys[0]).await && works(&keys[82]).await);
    // The field is refused in changes of other agents' passwords.
    let refused = change(&account.token, &ann, json!(true)).await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    assert!(refused.message().starts_with("keys: "), "{}", refused.text);

    let elsewhere = tenure.login("ann", PASSWORD).await;
    let changed = change(&session, &ann, json!(true)).await.ok();
    assert_eq!(change(&session, &ann, json!(true)).await.ok(), changed);
    for key in &keys {
        assert!(!works(key).await);
    }
    assert!(works(&foreign).await && works(&session).await && !works(&elsewhere).await);
    let left = tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.ok();
    assert_eq!(left["result"].as_array().unwrap().len(), 1);
    // The events tell of all, without a gap in the numbers.
    let outbox = tenure.items("OutboxTable").await;
    let is_own =
        |event: &&Value| event["customer_id"]["S"] == *account.id && !event["sequence"].is_null();
    let own: Vec<_> = outbox.iter().filter(is_own).collect();
    let mut numbers: Vec<u64> =
        own.iter().map(|event| event["sequence"]["N"].as_str().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let deleted = own.iter().filter(|event| event["type"]["S"] == "accesskey_deleted");
    let told: usize = deleted
        .map(|event| {
            let subjects = event["subjects"]["B"].as_str().unwrap();
            data_encoding::BASE64.decode(subjects.as_bytes()).unwrap().len() / 16
        })
        .sum();
    assert_eq!(told, keys.len());
}

/// How an admin loses the right to act for an account.
#[derive(Clone, Copy, Debug)]
enum Eviction {
    Deleted,
    Demoted,
    Password,
    LoggedOut,
}

async fn evict(tenure: &Tenure, account: &Account, victim: &str, session: &str, how: Eviction) {
    let password = json!({"password": "another password", "current_password": PASSWORD});
    match how {
        Eviction::Deleted => tenure.call(&account.token, "DELETE", victim).await.ok(),
        Eviction::Demoted => {
            let path = format!("{victim}/permission");
            tenure.call_with(&account.token, "PUT", &path, json!({"permission": 16})).await.ok()
        }
        Eviction::Password => {
            let path = format!("{victim}/password");
            tenure.call_with(&account.token, "PUT", &path, password).await.ok()
        }
        Eviction::LoggedOut => {
            let body = json!({"everywhere": true});
            tenure.call_with(session, "POST", "/auth/logout", body).await.ok()
        }
    };
}

/// A request that [`Self::send`] holds back: until released, its transactions fail as if other writers had
/// locked the items.
struct Delayed {
    function: &'static str,
    method: &'static str,
    path: String,
    body: Value,
}

impl Delayed {
    /// Sends the request, waits until its first transaction has been refused, runs `meanwhile`, and then lets
    /// the transaction succeed. Returns the response.
    async fn send(
        self,
        tenure: &Arc<Tenure>,
        token: &str,
        meanwhile: impl Future<Output = ()>,
    ) -> Answer {
        let Self { function, method, path, body } = self;
        let faults = json!([{
            "fault": "conflict", "function": function, "operation": "TransactWriteItems",
            "nth": 1, "times": 1_000_000,
        }]);
        tenure.send(tenure.request("POST", "/_local/faults").json(&faults)).await.ok();
        let under_way = {
            let (tenure, token) = (Arc::clone(tenure), token.to_owned());
            tokio::spawn(async move { tenure.call_with(&token, method, &path, body).await })
        };
        let hits = async || {
            let faults = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
            faults["faults"][0]["hits"].as_u64().unwrap()
        };
        while hits().await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        meanwhile.await;
        tenure.send(tenure.request("POST", "/_local/faults").json(&json!([]))).await.ok();
        under_way.await.unwrap()
    }
}

/// Returns one of five requests, selected by `number`, that change who may act for an account or unregister
/// it.
fn request(number: usize, own: &str, target: &str) -> Delayed {
    let proved = |body: Value| proved(body, Some(PASSWORD));
    let (function, method, path, body) = match number % 5 {
        0 => {
            let body = new_admin("mallory");
            ("AgentCreateFunction", "POST", "/v1.0/agents".to_owned(), body)
        }
        1 => {
            let body = json!({"expire": DAY});
            ("AccesskeyCreateFunction", "POST", "/v1.0/accesskeys".to_owned(), body)
        }
        2 => {
            let body = proved(json!({"permission": ADMIN}));
            ("AgentPermissionUpdateFunction", "PUT", format!("{target}/permission"), body)
        }
        3 => {
            let body = proved(json!({"password": "password of mallory"}));
            ("AgentPasswordUpdateFunction", "PUT", format!("{own}/password"), body)
        }
        _ => {
            let body = json!({"password": PASSWORD});
            ("AuthUnregisterFunction", "POST", "/auth/unregister".to_owned(), body)
        }
    };
    Delayed { function, method, path, body }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_an_admin_who_is_evicted_meanwhile_changes_nothing() {
    let tenure = Arc::new(Tenure::start().await);
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let target = agent(&tenure, &account.token, "target", 16).await;
    let kinds = [Eviction::Deleted, Eviction::Demoted, Eviction::Password, Eviction::LoggedOut];
    let before = authority(&tenure, &account).await;
    for round in 0..8 {
        let (how, name) = (kinds[round % 4], format!("victim-{round}"));
        let victim = agent(&tenure, &account.token, &name, ADMIN).await;
        let session = tenure.login(&name, PASSWORD).await;
        let request = request(round, &victim, &target);
        let eviction = evict(&tenure, &account, &victim, &session, how);
        let answer = request.send(&tenure, &session, eviction).await;
        assert!([401, 403].contains(&answer.status), "{round} {how:?}: {}", answer.text);
        assert_eq!(authority(&tenure, &account).await, before, "{round} {how:?}");
        tenure.try_login(&name, "password of mallory").await.refused(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_admin_does_not_promote_themselves_with_a_request_under_way() {
    let tenure = Arc::new(Tenure::start().await);
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let victim = agent(&tenure, &account.token, "victim", ADMIN).await;
    let session = tenure.login("victim", PASSWORD).await;
    let body = json!({"permission": 96, "current_password": PASSWORD});
    let request = Delayed {
        function: "AgentPermissionUpdateFunction",
        method: "PUT",
        path: format!("{victim}/permission"),
        body,
    };
    let demotion = write_to_agent(&tenure, &account, &victim, "permission", 16);
    let answer = Box::pin(request.send(&tenure, &session, demotion)).await;
    assert_eq!(answer.refused(403), "PERMISSION_DENIED");
    assert!(answer.message().contains("was changed while"), "{}", answer.text);
    let shown = tenure.call(&account.token, "GET", &victim).await.ok();
    assert_eq!(shown["permission"], 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_meanwhile_does_not_change_its_own_agent() {
    let tenure = Arc::new(Tenure::start().await);
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let victim = agent(&tenure, &account.token, "victim", ADMIN).await;
    let session = tenure.login("victim", PASSWORD).await;
    let request = Delayed {
        function: "AgentUpdateFunction",
        method: "PUT",
        path: victim.clone(),
        body: json!({"name": "Mallory"}),
    };
    let end = write_to_agent(&tenure, &account, &victim, "epoch", 7);
    let answer = Box::pin(request.send(&tenure, &session, end)).await;
    assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    let shown = tenure.call(&account.token, "GET", &victim).await.ok();
    assert_eq!(shown["name"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_admin_who_is_demoted_meanwhile_changes_no_participants() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let me = tenure.call(&admin, "GET", "/v1.0/me").await.ok();
    let operators = Account { id: me["customer_id"].as_str().unwrap().to_owned(), token: admin };
    let victim = json!({"username": "victim", "password": PASSWORD, "permission": 1, "current_password": OPERATORS_PASSWORD});
    let victim = tenure.call_with(&operators.token, "POST", "/v1.0/agents", victim).await.ok();
    let victim = format!("/v1.0/agents/{}", victim["id"].as_str().unwrap());
    let session = tenure.login("victim", PASSWORD).await;
    let (path, required) = ("/v1.0/participants/carrier", json!({"required": true}));
    tenure.call_with(&operators.token, "PUT", path, required).await.ok();
    let before = tenure.items("ErasuresTable").await;
    for (function, method) in
        [("ParticipantSetFunction", "PUT"), ("ParticipantDeleteFunction", "DELETE")]
    {
        let body = json!({"required": false});
        let request = Delayed { function, method, path: path.to_owned(), body };
        let demotion = write_to_agent(&tenure, &operators, &victim, "permission", 16);
        let answer = Box::pin(request.send(&tenure, &session, demotion)).await;
        assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method}");
        assert!(answer.message().contains("was changed while"), "{}", answer.text);
        write_to_agent(&tenure, &operators, &victim, "permission", 1).await;
    }
    assert_eq!(tenure.items("ErasuresTable").await, before);
}

/// Changes an agent's item directly in the table, because the test holds back the function through which it would
/// otherwise be changed.
async fn write_to_agent(
    tenure: &Tenure,
    account: &Account,
    agent: &str,
    attribute: &str,
    value: u64,
) {
    let update = tenure.database().update_item().table_name("AccountsTable");
    update
        .key("pk", AttributeValue::S(format!("CUSTOMER#{}", account.id)))
        .key("sk", AttributeValue::S(agent.replace("/v1.0/agents/", "AGENT#")))
        .update_expression("SET #attribute = :value")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", AttributeValue::N(value.to_string()))
        .send()
        .await
        .unwrap();
}

/// Returns who may act for the account: its agents with their permissions (except those named `victim…`) and
/// its access keys. The last element is the account's status.
async fn authority(tenure: &Tenure, account: &Account) -> Vec<String> {
    let agents = tenure.call(&account.token, "GET", "/v1.0/agents").await.ok();
    let keys = tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.ok();
    let own = tenure.call(&account.token, "GET", "/v1.0/customer").await.ok();
    let agents = agents["result"].as_array().unwrap().iter();
    let agents = agents
        .filter(|agent| !agent["username"].as_str().unwrap().starts_with("victim"))
        .map(|agent| format!("{} {}", agent["username"], agent["permission"]));
    let keys = keys["result"].as_array().unwrap().iter().map(|key| key["id"].to_string());
    agents.chain(keys).chain([own["status"].to_string()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_is_evicted_meanwhile_changes_no_account() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let customer = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", customer.id);
    let nothing = json!({});
    for (function, method, below, sent) in [
        ("CustomerDeleteFunction", "DELETE", "", &nothing),
        ("CustomerFreezeFunction", "POST", "/freeze", &nothing),
        ("CustomerSuspendFunction", "POST", "/suspend", &nothing),
        ("HoldSetFunction", "PUT", "/hold", &json!({"reason": "Case 7"})),
        (
            "CustomerVerificationUpdateFunction",
            "PUT",
            "/verification",
            &json!({"email_verified": true}),
        ),
    ] {
        let mut body = new_admin("operator@localhost");
        (body["permission"], body["current_password"]) = (json!(1), json!(OPERATORS_PASSWORD));
        let operator = tenure.call_with(&admin, "POST", "/v1.0/agents", body).await.ok();
        let session = tenure.login("operator@localhost", PASSWORD).await;
        let key = tenure.access_key(&session).await;
        let path = format!("{path}{below}");
        let request = Delayed { function, method, path, body: sent.clone() };
        let operator = format!("/v1.0/agents/{}", operator["id"].as_str().unwrap());
        let eviction = async { drop(tenure.call(&admin, "DELETE", &operator).await.ok()) };
        let answer = request.send(&tenure, &key, eviction).await;
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    }
    let shown = tenure.call(&admin, "GET", &format!("{path}/overview")).await.ok();
    assert_eq!((&shown["status"], &shown["email_verified"]), (&json!("initial"), &json!(false)));
    assert_eq!((&shown["suspension"], &shown["holds"]), (&Value::Null, &json!([])));
}

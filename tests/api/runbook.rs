//! The runbook for operators: this test makes every API call in it, as it is written there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{PASSWORD, Tenure, root};

const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];

/// Returns the API calls in the runbook: `METHOD path` in backticks, where `…` stands for the path of an
/// account.
fn calls() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("infra/RUNBOOK.md")).unwrap();
    let spans = text.split('`').skip(1).step_by(2);
    let is_call = |span: &&str| {
        let (method, path) = span.split_once(' ').unwrap_or_default();
        METHODS.contains(&method) && path.starts_with(['/', '…'])
    };
    spans.filter(is_call).map(|call| call.replace('…', "/v1.0/customers/{id}")).collect()
}

/// Returns the body that a call of the runbook needs; null if it needs none.
fn body(call: &str, username: &str) -> Value {
    let path = call.split([' ', '?']).nth(1).unwrap_or_default();
    match (call.split(' ').next().unwrap_or_default(), path) {
        ("PUT", "/v1.0/customers/{id}") => json!({"email": "owner@example.com"}),
        ("PUT", "/v1.0/customers/{id}/verification") => json!({"email_verified": true}),
        ("PUT", "/v1.0/customers/{id}/holds/{name}") => json!({"reason": "Case 7"}),
        ("POST", "/auth/login") => json!({"username": username, "password": PASSWORD}),
        ("POST", "/auth/password-forgot") => json!({"username": username}),
        ("POST", "/auth/signup") => json!({"email": "new@example.com", "accepted_tos": true}),
        ("POST", "/auth/email-verify/resend") => json!({"email": "new@example.com"}),
        _ => Value::Null,
    }
}

/// The ids that replace the placeholders in a call.
struct Ids {
    account: String,
    agent: String,
    key: String,
    delivery: String,
}

impl Ids {
    /// Creates an account, an agent and an access key. Agent and key belong to that account if
    /// `is_customers`, otherwise to the project account.
    async fn create(tenure: &Tenure, admin: &str, username: &str, is_customers: bool) -> Self {
        let account = tenure.account(admin, username).await;
        let owner = if is_customers { account.token.as_str() } else { admin };
        let post = async |path: &str, body: Value| {
            let created = tenure.call_with(owner, "POST", path, body).await.ok();
            created["id"].as_str().unwrap().to_owned()
        };
        let agent = json!({"username": format!("ann-{username}@example.com")});
        let agent = post("/v1.0/agents", agent).await;
        let key = post("/v1.0/accesskeys", json!({"expire": 86_400})).await;
        let sent = tenure.call(&account.token, "GET", "/v1.0/webhook_deliveries").await.ok();
        let delivery = sent["result"][0]["id"].as_str().unwrap().to_owned();
        Self { account: account.id, agent, key, delivery }
    }

    fn fill(&self, path: &str) -> String {
        let id = match path.split('/').nth(2) {
            Some("accesskeys") => &self.key,
            Some("agents") => &self.agent,
            Some("webhook_deliveries") => &self.delivery,
            _ => &self.account,
        };
        let path = path.replace("{account id}", &self.account).replace("{agent id}", &self.agent);
        let path = path.replace("{id}", id).replace("{name}", "case-7");
        match path.rsplit_once('?') {
            Some((_, "email=")) => path + "owner@example.com",
            Some((_, "name=")) => path + "Name",
            _ => path,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_in_the_runbook_succeeds_as_it_is_written() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let calls = calls();
    assert!(calls.len() > 25, "{calls:?}");
    for (number, call) in calls.iter().enumerate() {
        let (method, path) = call.split_once(' ').unwrap();
        let username = format!("test{number}");
        let ids = Ids::create(&tenure, &admin, &username, path.contains("{account id}")).await;
        let is_of_frozen = ["/erasure", "/recover"].iter().any(|end| path.ends_with(end));
        if is_of_frozen {
            let freeze = ids.fill("/v1.0/customers/{id}/freeze");
            tenure.call(&admin, "POST", &freeze).await.ok();
        }
        let (path, body) = (ids.fill(path), body(call, &username));
        let request = tenure.request(method, &path);
        let request = if path.starts_with("/auth/") { request } else { request.bearer(&admin) };
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = tenure.send(request).await;
        assert_eq!(answer.status, 200, "{call}: {}", answer.text);
    }
}

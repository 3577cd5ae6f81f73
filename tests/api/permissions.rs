//! Functions can do only what their policies in the template grant.
//!
//! All permissions that the tests have used are written to a file. `infra/check_permissions.py` compares them
//! with the granted ones, and fails if one was never used.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use sam_local::{Options, Sinks};
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Template, Tenure, options, options_with};

/// The permissions in all stacks of this process: granted, used and refused.
static REPORT: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::new(BTreeMap::new());

/// Adds, when dropped, a stack's permissions to the report.
pub(crate) struct UsedPermissions(Sinks);

impl UsedPermissions {
    /// Returns the recorder for a stack; `None` if its template is an edited one, whose grants may be
    /// different.
    pub(crate) fn of(sinks: Sinks, ran: &Options) -> Option<Self> {
        (ran.template == options().template).then(|| Self(sinks))
    }
}

impl Drop for UsedPermissions {
    fn drop(&mut self) {
        let mut report = REPORT.lock().unwrap();
        let seen: BTreeMap<String, Vec<Value>> =
            serde_json::from_value(self.0.permissions()).expect("lists");
        for (name, permissions) in seen {
            let all = report.entry(name).or_default();
            let new: Vec<_> = permissions.into_iter().filter(|one| !all.contains(one)).collect();
            all.extend(new);
        }
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions.json");
        std::fs::write(file, json!(*report).to_string()).expect("the report is written");
    }
}

/// Returns the real template, without the first grant of this action to this function.
pub(crate) fn without_action(function: &str, action: &str) -> Template {
    Template::edited(|text| {
        let start = text.find(&format!("  {function}:\n")).unwrap();
        let (before, after) = text.split_at(start);
        let at = after.find(action).unwrap();
        let end = at + action.len();
        let end = end + usize::from(after[end..].starts_with(", ")) * 2;
        let rest = format!("{}{}", &after[..at], &after[end..]);
        format!("{before}{}", rest.replace(", ]", "]"))
    })
}

async fn refused(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("GET", "/_local/permissions")).await.ok()["refused"].clone()
}

fn says(tenure: &Tenure, words: &str) -> bool {
    tenure.stack.logs().iter().any(|line| line.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn ungranted_database_call_is_refused() {
    let template = without_action("CustomerGetFunction", "dynamodb:BatchGetItem");
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    assert_eq!(tenure.call(&admin, "GET", &path).await.refused(503), "SERVICE_UNAVAILABLE");
    let missing = json!([{
        "function": "CustomerGetFunction",
        "action": "dynamodb:BatchGetItem",
        "resource": "table/AccountsTable",
    }]);
    assert_eq!(refused(&tenure).await, missing);
    let words = "CustomerGetFunction is not authorized to perform: dynamodb:BatchGetItem on resource: \
                 arn:aws:dynamodb:us-east-1:000000000000:table/AccountsTable because";
    assert!(says(&tenure, words), "{:?}", tenure.stack.logs());
    tenure.call_with(&admin, "PUT", &path, json!({"name": "New"})).await.ok();
}

/// A token in the URL marks its session as exposed. Every function under /v1.0 that takes a credential must
/// have the permission to write that mark.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_may_mark_a_session_exposed_in_a_url() {
    // The test opens a session per function, which is more than the default allows.
    let tenure = Tenure::start_with(options_with("MaxSessions", "100")).await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let routes = tenure.stack.routes().iter().filter_map(|route| route.split_once(' '));
    // These routes take no session.
    let is_public = |path: &str| ["/v1.0/erasure-keys", "/v1.0/erasures/{ticket}"].contains(&path);
    let asks = |(_, path): &(&str, &str)| path.starts_with("/v1.0/") && !is_public(path);
    let mut marked = 0;
    for (method, path) in routes.filter(asks) {
        let token = tenure.login("test1", PASSWORD).await;
        let kind = path.replace("{kind}", "numbers");
        let path = kind.replace("{id}", "00000000-0000-7000-8000-000000000000");
        tenure.send(tenure.request(method, &format!("{path}?token={token}"))).await;
        let items = tenure.items("AccountsTable").await;
        let now = items.iter().filter(|item| item["url_exposed"]["BOOL"] == true).count();
        assert_eq!(now, marked + 1, "{method} {path} did not mark the session");
        marked = now;
    }
    assert!(marked > 25, "{marked}");
}

/// When an operator freezes an account, the transaction includes a condition check of the operator. Without
/// the grant for it, the whole transaction is refused.
#[tokio::test(flavor = "multi_thread")]
async fn transaction_needs_the_grant_of_every_action() {
    let template = without_action("CustomerFreezeFunction", "dynamodb:ConditionCheckItem");
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let answer = tenure.call(&admin, "POST", &format!("{path}/freeze")).await;
    assert_eq!(answer.refused(503), "SERVICE_UNAVAILABLE");
    assert_eq!(refused(&tenure).await[0]["action"], "dynamodb:ConditionCheckItem");
    assert_eq!(tenure.call(&admin, "GET", &path).await.ok()["status"], "initial");
}

#[tokio::test(flavor = "multi_thread")]
async fn function_without_policies_is_refused_everything() {
    let template = Template::edited(|text| {
        let start = text.find("  AgentGetFunction:").unwrap();
        let policies = start + text[start..].find("      Policies:").unwrap();
        let events = policies + text[policies..].find("      Events:").unwrap();
        format!("{}{}", &text[..policies], &text[events..])
    });
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let path = "/v1.0/agents/00000000-0000-7000-8000-000000000000";
    assert_eq!(tenure.call(&admin, "GET", path).await.refused(503), "SERVICE_UNAVAILABLE");
    assert_eq!(refused(&tenure).await[0]["function"], "AgentGetFunction");
}

#[tokio::test(flavor = "multi_thread")]
async fn ungranted_bus_and_signing_key_are_refused() {
    for (function, action, words) in [
        (
            "OutboxPublishFunction",
            "events:PutEvents",
            "events:PutEvents on resource: arn:aws:events:us-east-1:000000000000:event-bus/tenure-dev",
        ),
        (
            "PurgeRunFunction",
            "kms:Sign",
            "kms:Sign on resource: arn:aws:kms:us-east-1:000000000000:key/ReceiptKey",
        ),
    ] {
        let template = without_action(function, action);
        let tenure = Tenure::start_with(template.options()).await;
        let admin = tenure.admin().await;
        let account = tenure.account(&admin, "test1").await;
        let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        tenure.unregister(&account.token, now).await.ok();
        let path = "/_local/schedules/PurgeRunFunctionSchedule/run";
        tenure.send(tenure.request("POST", path)).await.ok();
        tenure.stack.settle().await;
        assert!(says(&tenure, words), "{words}: {:?}", tenure.stack.logs());
    }
}

//! Participants, the systems that take part in the erasure of accounts: the registry that lists them, the
//! access keys that are bound to them, and the list of what each is asked to erase.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use local::Description;
use serde_json::{Value, json};
use shared::domain::participant::ParticipantName;
use shared::domain::participation::{Answer, AnswerStatus, Answered, Participating, Participation};
use shared::domain::{Actor, Customer, Id, Timestamp};
use tokio::task::JoinSet;

use crate::harness::{OPERATORS_PASSWORD, PASSWORD, Tenure};
use crate::store::store;

const LIST: &str = "/v1.0/participants";
const CARRIER: &str = "/v1.0/participants/carrier";
const KEYS: &str = "/v1.0/accesskeys";
const DAY: u64 = 86_400;

impl Tenure {
    async fn register(&self, admin: &str, name: &str) -> Value {
        let path = format!("{LIST}/{name}");
        self.call_with(admin, "PUT", &path, json!({"required": true})).await.ok()
    }

    /// Returns the names of all participants.
    async fn participants(&self, admin: &str) -> Vec<String> {
        let list = self.call(admin, "GET", LIST).await.ok();
        let rows = list["result"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Creates an access key that is bound to a participant; returns its path and its token.
    async fn bound_key(&self, admin: &str, name: &str) -> (String, String) {
        let key = json!({"expire": DAY, "participant": name});
        let key = self.call_with(admin, "POST", KEYS, key).await.ok();
        assert_eq!((&key["participant"], &key["permission"]), (&json!(name), &json!(0)));
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        (format!("{KEYS}/{}", text("id")), text("token"))
    }

    /// Creates another agent of the project account and logs in as it; returns the agent's path and the
    /// session's token.
    async fn colleague(&self, admin: &str, username: &str, permission: u64) -> (String, String) {
        let agent = json!({"username": username, "password": PASSWORD, "permission": permission, "current_password": OPERATORS_PASSWORD});
        let agent = self.call_with(admin, "POST", "/v1.0/agents", agent).await.ok();
        let path = format!("/v1.0/agents/{}", agent["id"].as_str().unwrap());
        (path, self.login(username, PASSWORD).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_is_registered_changed_deleted_and_registered_again() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let new = tenure.register(&admin, "carrier").await;
    let shown = json!({"name": "carrier", "required": true, "timeout": 604_800, "detail": ""});
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(new[field], *value, "{field}");
    }
    assert_eq!((&new["tm_create"], &new["tm_delete"]), (&new["tm_update"], &Value::Null));
    assert_eq!(tenure.call(&admin, "GET", CARRIER).await.ok(), new);

    let change = async |body: Value| tenure.call_with(&admin, "PUT", CARRIER, body).await;
    for (body, required, timeout, detail) in [
        (json!({"timeout": 3_600}), true, 3_600, ""),
        (json!({"detail": "on call"}), true, 3_600, "on call"),
        (json!({"required": false}), false, 3_600, "on call"),
        (json!({"detail": "", "timeout": 7_200.0}), false, 7_200, ""),
    ] {
        let changed = change(body).await.ok();
        let found = (&changed["required"], &changed["timeout"], &changed["detail"]);
        assert_eq!(found, (&json!(required), &json!(timeout), &json!(detail)));
        assert_eq!(changed["tm_create"], new["tm_create"]);
        assert_eq!(tenure.call(&admin, "GET", CARRIER).await.ok(), changed);
    }
    // What `GET` returns can be sent back; read-only fields must then be unchanged.
    let mut whole = tenure.call(&admin, "GET", CARRIER).await.ok();
    change(whole.clone()).await.ok();
    whole["name"] = json!("another");
    assert_eq!(change(whole).await.refused(400), "INVALID_ARGUMENT");

    tenure.register(&admin, "archive").await;
    assert_eq!(tenure.participants(&admin).await, ["archive", "carrier"]);
    let deleted = tenure.call(&admin, "DELETE", CARRIER).await.ok();
    assert!(deleted["tm_delete"].is_string(), "{deleted}");
    for method in ["GET", "DELETE"] {
        let gone = tenure.call(&admin, method, CARRIER).await;
        assert_eq!(gone.refused(404), "PARTICIPANT_NOT_FOUND");
    }
    assert_eq!(tenure.participants(&admin).await, ["archive"]);
    // A participant that is registered again after its deletion starts with the default values.
    let needed = change(json!({"timeout": 3_600})).await;
    assert_eq!(needed.refused(400), "INVALID_ARGUMENT");
    assert!(needed.message().starts_with("required: is missing"), "{}", needed.text);
    let again = tenure.register(&admin, "carrier").await;
    assert_eq!((&again["required"], &again["timeout"]), (&json!(true), &json!(604_800)));
    assert!(again["tm_create"].as_str() > deleted["tm_delete"].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_timeouts_and_fields_out_of_bounds_are_refused() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let new = || json!({"required": true});
    let long = "x".repeat(41);
    for name in ["Carrier", "-a", "a-", "a_b", "a.b", "a%20b", "%C3%A4", &long] {
        for (method, below) in [("PUT", ""), ("GET", ""), ("DELETE", ""), ("GET", "/requests")] {
            let call = tenure.request(method, &format!("{LIST}/{name}{below}")).bearer(&admin);
            let answer = tenure.send(if method == "PUT" { call.json(&new()) } else { call }).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{method} {name}");
            let rule = "name: must be 1 to 40 lower-case letters, digits and hyphens";
            assert!(answer.message().starts_with(rule), "{}", answer.text);
        }
    }
    for name in ["a", "7", "a--b", &long[..40]] {
        assert_eq!(tenure.register(&admin, name).await["name"], *name);
    }
    for (body, field) in [
        (json!({}), "required"),
        (json!({"required": null}), "required"),
        (json!({"required": "true"}), "required"),
        (json!({"required": true, "timeout": 3_599}), "timeout"),
        (json!({"required": true, "timeout": 2_592_001}), "timeout"),
        (json!({"required": true, "timeout": null}), "timeout"),
        (json!({"required": true, "timeout": 3_600.5}), "timeout"),
        (json!({"required": true, "detail": null}), "detail"),
        (json!({"required": true, "detail": "x".repeat(2_001)}), "detail"),
        (json!({"required": true, "name": "carrier"}), "name"),
        (json!({"required": true, "surprise": 1}), "surprise"),
    ] {
        let answer = tenure.call_with(&admin, "PUT", CARRIER, body.clone()).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{body}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
    }
    assert_eq!(tenure.participants(&admin).await.len(), 4);
    for timeout in [3_600, 2_592_000] {
        let body = json!({"required": true, "timeout": timeout, "detail": "x".repeat(2_000)});
        let new = tenure.call_with(&admin, "PUT", CARRIER, body).await.ok();
        assert_eq!(new["timeout"], timeout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_concurrent_registrations_20_succeed() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let mut calls = JoinSet::new();
    for number in 0..64 {
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        calls.spawn(async move {
            let path = format!("{LIST}/system-{number}");
            loop {
                let body = json!({"required": number % 2 == 0});
                let answer = tenure.call_with(&admin, "PUT", &path, body).await;
                // A writer that is overtaken until its deadline gets 503, and tries again.
                if answer.status != 503 {
                    return (number, answer);
                }
            }
        });
    }
    let mut registered = BTreeSet::new();
    for (number, answer) in calls.join_all().await {
        if answer.status == 200 {
            registered.insert(format!("system-{number}"));
        } else {
            assert_eq!(answer.refused(409), "TOO_MANY_PARTICIPANTS");
        }
    }
    assert_eq!(registered.len(), 20);
    let listed: BTreeSet<_> = tenure.participants(&admin).await.into_iter().collect();
    assert_eq!(listed, registered);
    // A registered participant can still be changed; another one can be added only if one is deleted.
    let one = format!("{LIST}/{}", registered.first().unwrap());
    tenure.call_with(&admin, "PUT", &one, json!({"timeout": 3_600})).await.ok();
    tenure.call(&admin, "DELETE", &one).await.ok();
    tenure.register(&admin, "another").await;
    let full = tenure.call_with(&admin, "PUT", &one, json!({"required": true})).await;
    assert_eq!(full.refused(409), "TOO_MANY_PARTICIPANTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_guard_registrations_changes_and_deletions() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let call = async |method: &str, header: (&str, &str)| {
        let call = tenure.request(method, CARRIER).bearer(&admin).header(header.0, header.1);
        let body = json!({"required": true});
        tenure.send(if method == "PUT" { call.json(&body) } else { call }).await
    };
    let only_new = ("if-none-match", "*");
    for any in ["*", "\"0\""] {
        assert_eq!(call("PUT", ("if-match", any)).await.refused(412), "ETAG_MISMATCH");
    }
    let new = call("PUT", only_new).await;
    let first = new.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(new.status, 200);
    assert_eq!(call("PUT", only_new).await.refused(412), "ETAG_MISMATCH");
    assert_eq!(call("GET", ("if-none-match", &first)).await.status, 304);
    let second = call("PUT", ("if-match", &first)).await;
    let second = second.headers["etag"].to_str().unwrap().to_owned();
    for method in ["PUT", "DELETE", "GET"] {
        let outdated = call(method, ("if-match", &first)).await;
        assert_eq!(outdated.refused(412), "ETAG_MISMATCH", "{method}");
    }
    assert_eq!(call("DELETE", ("if-match", &second)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_project_admins_see_and_change_participants() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.register(&admin, "carrier").await;
    let key = tenure.access_key(&admin).await;
    let requests = format!("{CARRIER}/requests");
    for (method, path, body) in [
        ("GET", LIST, None),
        ("GET", CARRIER, None),
        ("PUT", CARRIER, Some(json!({"required": true}))),
        ("GET", &requests, None),
        ("DELETE", CARRIER, None),
    ] {
        let call = |token: &str| {
            let call = tenure.request(method, path).bearer(token);
            body.iter().fold(call, crate::harness::Call::json)
        };
        let denied = tenure.send(call(&account.token)).await;
        assert_eq!(denied.refused(403), "PERMISSION_DENIED", "{method} {path}");
        tenure.send(call(&key)).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_project_admins_bind_keys_and_only_to_registered_participants() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let bind = async |token: &str, body: Value| {
        let answer = tenure.call_with(token, "POST", KEYS, body).await;
        (answer.status, answer.body["error"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    let carrier = json!({"expire": DAY, "participant": "carrier"});
    assert_eq!(bind(&admin, carrier.clone()).await, (404, "PARTICIPANT_NOT_FOUND".to_owned()));
    tenure.register(&admin, "carrier").await;
    let key = tenure.access_key(&admin).await;
    for token in [&account.token, &key] {
        assert_eq!(bind(token, carrier.clone()).await, (403, "PERMISSION_DENIED".to_owned()));
    }
    for (field, body) in [
        ("permission", json!({"expire": DAY, "participant": "carrier", "permission": 1})),
        ("permission", json!({"expire": DAY, "permission": 0})),
        ("participant", json!({"expire": DAY, "participant": "Carrier"})),
        ("participant", json!({"expire": DAY, "participant": null})),
        ("participant", json!({"expire": DAY, "participant": 1})),
        ("expire", json!({"expire": 1, "participant": "carrier"})),
    ] {
        let answer = tenure.call_with(&admin, "POST", KEYS, body).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{field}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
    }

    let (path, _) = tenure.bound_key(&admin, "carrier").await;
    let change = async |token: &str, method: &str, path: &str, body: Value| {
        tenure.call_with(token, method, path, body).await
    };
    let rotate = format!("{path}/rotate");
    let rotated = change(&admin, "POST", &rotate, json!({})).await.ok();
    let renamed = change(&admin, "PUT", &path, json!({"name": "n"})).await.ok();
    let listed = tenure.call(&admin, "GET", KEYS).await.ok();
    let listed = listed["result"].as_array().unwrap();
    let shown = tenure.call(&admin, "GET", &path).await.ok();
    let one = listed.iter().find(|key| key["id"] == shown["id"]).unwrap();
    for key in [&rotated, &renamed, one, &shown] {
        assert_eq!((&key["participant"], &key["permission"]), (&json!("carrier"), &json!(0)));
    }
    assert!(listed.iter().any(|key| key["participant"].is_null() && key["permission"] != 0));
    // A caller who may not act for a participant cannot get a token of a key that is bound to it.
    let (_, colleague) = tenure.colleague(&admin, "colleague", 32).await;
    for (method, path) in [("POST", &rotate), ("PUT", &path), ("DELETE", &path)] {
        let denied = change(&colleague, method, path, json!({})).await;
        assert_eq!(denied.refused(403), "PERMISSION_DENIED", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_participant_gets_no_more_keys() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.register(&admin, "archive").await;
    tenure.register(&admin, "carrier").await;
    tenure.bound_key(&admin, "carrier").await;
    tenure.call(&admin, "DELETE", CARRIER).await.ok();
    let carrier = json!({"expire": DAY, "participant": "carrier"});
    let refused = tenure.call_with(&admin, "POST", KEYS, carrier).await;
    assert_eq!(refused.refused(404), "PARTICIPANT_NOT_FOUND");
    tenure.bound_key(&admin, "archive").await;
}

/// An access key that is bound to a participant can only list that participant's requests and answer them.
/// The tests in `isolation` try such keys on every route, in every state of their account.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_can_do_nothing_but_its_participants_part() {
    let tenure = Tenure::start_with(crate::harness::uncounted()).await;
    let admin = tenure.admin().await;
    tenure.register(&admin, "carrier").await;
    tenure.register(&admin, "archive").await;
    let (path, key) = tenure.bound_key(&admin, "carrier").await;
    let me = tenure.call(&admin, "GET", "/v1.0/me").await.ok();
    let ids = [me["customer_id"].as_str().unwrap(), path.rsplit('/').next().unwrap()];
    let own = "GET /v1.0/participants/{name}/requests";
    let before = tenure.accounts().await;
    let mut refused = 0;
    for (route, operation) in Description::of_api().unwrap().operations() {
        if operation["security"] == json!([]) || route.contains("/acknowledgements/") {
            continue;
        }
        let (method, described) = route.split_once(' ').unwrap();
        let described = described.replace("{kind}", "numbers");
        for (id, name) in [(ids[0], "carrier"), (ids[1], "carrier"), (ids[0], "archive")] {
            let path = described.replace("{id}", id).replace("{name}", name);
            let call = tenure.request(method, &path).bearer(&key);
            let call = if method == "GET" { call } else { call.json(&json!({})) };
            let answer = tenure.send(call).await;
            if route == own && name == "carrier" {
                assert_eq!(answer.ok(), json!({"result": [], "next_page_token": ""}));
                continue;
            }
            assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
            assert!(answer.message().contains("bound to a participant"), "{}", answer.text);
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_ends_with_the_project_admin_whom_it_acts_for_unless_another_rotates_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.register(&admin, "carrier").await;
    let (colleague, session) = tenure.colleague(&admin, "colleague", 1).await;
    let requests = format!("{CARRIER}/requests");
    let (path, key) = tenure.bound_key(&session, "carrier").await;
    tenure.call(&key, "GET", &requests).await.ok();
    let permission = format!("{colleague}/permission");
    tenure.call_with(&admin, "PUT", &permission, json!({"permission": 16})).await.ok();
    let denied = tenure.call(&key, "GET", &requests).await;
    assert_eq!(denied.refused(403), "PERMISSION_DENIED");
    assert!(denied.message().contains("1 (project admin)"), "{}", denied.text);
    let rotated = tenure.call_with(&admin, "POST", &format!("{path}/rotate"), json!({})).await.ok();
    tenure.call(rotated["token"].as_str().unwrap(), "GET", &requests).await.ok();
}

/// Returns what is stored of a participant's part in an erasure: what it is asked and answers. It is asked at
/// `now`; the account's id is made from `number`.
fn part(number: u8, name: &str, required: bool, now: Timestamp) -> Participation {
    let customer: Id<Customer> = Id::new(now, [number; 10]);
    let name = ParticipantName::parse(name).unwrap();
    let participating = Participating { name, required, timeout: Duration::from_hours(1) };
    Participation::new(customer, 1, &participating, now, now)
}

/// Writes a participant's part in an erasure, and the account's ledger (the item that records its erasure) as
/// it is once the purge has begun.
pub(crate) async fn insert(tenure: &Tenure, part: &Participation) {
    let customer = part.customer.to_string();
    let claimed = part.tm_ask.to_string();
    let row = tenure.database().put_item().table_name("ErasuresTable");
    let row = row.item("pk", AttributeValue::S(format!("CUSTOMER#{customer}")));
    let row = row.item("sk", AttributeValue::S("E".to_owned()));
    let row = row.item("customer_id", AttributeValue::S(customer));
    row.item("tm_claim", AttributeValue::S(claimed)).send().await.unwrap();
    assert!(store(tenure).insert_participation(part).await.unwrap());
}

fn answered(part: &Participation, status: AnswerStatus) -> Participation {
    let (retained, detail) = (Vec::new(), "begun".to_owned());
    let answer = Answer { status, found: 3, deleted: 2, retained, detail };
    match part.answered(answer, Actor::PURGE, part.tm_ask) {
        Ok(Answered::Changed(part)) => *part,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_the_open_parts_of_a_participant_page_by_page() {
    let tenure = Tenure::start().await;
    let store = store(&tenure);
    let admin = tenure.admin().await;
    tenure.register(&admin, "carrier").await;
    tenure.register(&admin, "archive").await;
    let (_, key) = tenure.bound_key(&admin, "carrier").await;
    let now = Timestamp::from_micros(tenure.now().await.as_microsecond()).unwrap();
    let long_ago = now.minus(Duration::from_hours(2));
    let mut open = BTreeSet::new();
    for number in 1..=5 {
        let part = part(number, "carrier", number % 2 == 0, now);
        insert(&tenure, &part).await;
        open.insert(part.customer.to_string());
    }
    let late = part(6, "carrier", true, long_ago);
    let begun = part(7, "carrier", true, now);
    open.extend([late.customer.to_string(), begun.customer.to_string()]);
    let completed = part(8, "carrier", true, now);
    let waived = part(9, "carrier", true, now);
    let optional = part(10, "carrier", false, long_ago);
    let another = part(11, "archive", true, now);
    for part in [&late, &begun, &completed, &waived, &optional, &another] {
        insert(&tenure, part).await;
    }
    store.update_answer(&begun, &answered(&begun, AnswerStatus::InProgress)).await.unwrap();
    store.update_answer(&completed, &answered(&completed, AnswerStatus::Completed)).await.unwrap();
    let Answered::Changed(without) = waived.waived("closed".to_owned(), Actor::PURGE, now) else {
        panic!("not waived")
    };
    store.update_answer(&waived, &without).await.unwrap();

    let requests = format!("{CARRIER}/requests");
    let all = tenure.call(&admin, "GET", &requests).await.ok();
    let (mut rows, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("{requests}?page_size=2&page_token={token}");
        let page = tenure.call(&key, "GET", &path).await.ok();
        assert!(page["result"].as_array().unwrap().len() <= 2);
        rows.extend(page["result"].as_array().unwrap().clone());
        pages += 1;
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((pages, &json!(rows)), (5, &all["result"]));
    let found: BTreeSet<_> =
        rows.iter().map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((found, rows.len()), (open, 7));
    let row = |part: &Participation| {
        let id = part.customer.to_string();
        rows.iter().find(|row| row["customer_id"] == id).unwrap().clone()
    };
    let (asked, begun) = (row(&late), row(&begun));
    let none = (&json!("asked"), &Value::Null, &Value::Null);
    assert_eq!((&asked["state"], &asked["found"], &asked["tm_answer"]), none);
    assert_eq!(asked["tm_deadline"], late.tm_deadline.to_string());
    let some = (&json!("in_progress"), &json!(3), &json!(2), &json!("begun"));
    assert_eq!((&begun["state"], &begun["found"], &begun["deleted"], &begun["detail"]), some);

    for bad in ["page_token=x", "page_token=~~", "page_size=0", "limit=1"] {
        let answer = tenure.call(&key, "GET", &format!("{requests}?{bad}")).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{bad}");
    }
    let nobody = tenure.call(&admin, "GET", "/v1.0/participants/nobody/requests").await;
    assert_eq!(nobody.refused(404), "PARTICIPANT_NOT_FOUND");
    // A deleted participant is still asked about erasures that have begun.
    tenure.call(&admin, "DELETE", CARRIER).await.ok();
    for token in [&admin, &key] {
        assert_eq!(tenure.call(token, "GET", &requests).await.ok(), all);
    }
}

//! Entity tags and preconditions: `If-Match` and `If-None-Match`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::harness::{Answer, PASSWORD, Tenure, counted};

const OTHER: &str = "\"0123456789abcdef0123456789abcdef\"";
const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

/// Sends a request with one more header.
async fn call(
    tenure: &Tenure,
    token: &str,
    (method, path): (&str, &str),
    (name, value): (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let request = tenure.request(method, path).bearer(token).header(name, value);
    tenure.send(body.into_iter().fold(request, crate::harness::Call::json)).await
}

fn tag(answer: &Answer) -> String {
    let tag = answer.headers["etag"].to_str().unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag}");
    tag.to_owned()
}

async fn tag_of(tenure: &Tenure, token: &str, path: &str) -> String {
    tag(&tenure.call(token, "GET", path).await)
}

async fn create(tenure: &Tenure, token: &str, path: &str, body: Value) -> String {
    let made = tenure.call_with(token, "POST", path, body).await.ok();
    format!("{path}/{}", made["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_if_none_match_gets_304() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let own = account.token.as_str();
    let key = create(&tenure, own, "/v1.0/accesskeys", json!({"expire": 86_400})).await;
    let agent = json!({"username": "ann", "password": PASSWORD});
    let agent = create(&tenure, own, "/v1.0/agents", agent).await;
    let number = create(&tenure, own, "/v1.0/numbers", json!({"data": {"a": 1.50}})).await;
    let customer = format!("/v1.0/customers/{}", account.id);
    let shown = [
        (&admin[..], &customer[..]),
        (own, "/v1.0/customer"),
        (own, "/v1.0/me"),
        (own, &key),
        (own, &agent),
        (own, &number),
    ];
    let mut tags = BTreeSet::new();
    for (token, path) in shown {
        let tag = tag_of(&tenure, token, path).await;
        assert_eq!(tag_of(&tenure, token, path).await, tag, "{path}");
        for known in [&tag, "*", &format!("{OTHER}, W/{tag}"), &format!(",{tag} , {OTHER}")] {
            let answer = call(&tenure, token, ("GET", path), ("if-none-match", known), None).await;
            assert_eq!((answer.status, &*answer.text), (304, ""), "{path}");
            assert_eq!(answer.headers["etag"], *tag);
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
        let other = call(&tenure, token, ("GET", path), ("if-none-match", OTHER), None).await;
        assert_eq!((other.status, other.headers["etag"].to_str().unwrap()), (200, &*tag));
        for header in ["if-none-match", "if-match"] {
            let answer = call(&tenure, token, ("GET", path), (header, "plain"), None).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
            assert!(answer.message().to_lowercase().contains(header), "{}", answer.text);
        }
        let stale = call(&tenure, token, ("GET", path), ("if-match", OTHER), None).await;
        assert_eq!(stale.refused(412), "ETAG_MISMATCH");
        tags.insert(tag);
    }
    // The account has one tag on both of its paths.
    assert_eq!(tags.len(), shown.len() - 1);
    // Permission is checked first.
    let denied = call(&tenure, own, ("GET", &customer), ("if-none-match", "*"), None).await;
    assert_eq!(denied.refused(403), "PERMISSION_DENIED");
}

/// A write that changes the representation at a path.
struct Change<'a> {
    token: &'a str,
    method: &'a str,
    /// The part of the change's path after the representation's path; the whole path if it begins with `/auth`.
    below: &'a str,
    body: Option<Value>,
}

impl Change<'_> {
    async fn with(&self, tenure: &Tenure, path: &str, header: (&str, &str)) -> Answer {
        let path = if self.below.starts_with("/auth") {
            self.below.to_owned()
        } else {
            format!("{path}{}", self.below)
        };
        call(tenure, self.token, (self.method, &path), header, self.body.as_ref()).await
    }
}

async fn tables(tenure: &Tenure) -> Vec<Value> {
    let mut items = tenure.accounts().await;
    items.extend(tenure.items("OutboxTable").await);
    items.extend(tenure.items("ErasuresTable").await);
    items
}

/// Checks that `change` fails with 412 and writes nothing if the entity tag does not match, and succeeds with
/// the current tag.
async fn only_if_it_matches(tenure: &Tenure, token: &str, path: &str, change: &Change<'_>) {
    let tag = tag_of(tenure, token, path).await;
    let name = format!("{} {path}{}", change.method, change.below);
    let before = tables(tenure).await;
    let weak = format!("W/{tag}");
    for (header, value) in [
        ("if-match", OTHER),
        ("if-match", &weak),
        ("if-match", &format!("{OTHER}, {weak}")),
        ("if-none-match", "*"),
        ("if-none-match", &tag),
    ] {
        let answer = change.with(tenure, path, (header, value)).await;
        assert_eq!(answer.refused(412), "ETAG_MISMATCH", "{name}");
        assert_eq!(answer.body["error"]["status"], "FAILED_PRECONDITION");
    }
    let answer = change.with(tenure, path, ("if-match", "xyzzy")).await;
    assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{name}");
    assert_eq!(tables(tenure).await, before, "{name} was refused, but writes");

    let done = change.with(tenure, path, ("if-match", &format!("{OTHER},{tag}"))).await;
    assert_eq!(done.status, 200, "{name}: {}", done.text);
    let now = tenure.call(token, "GET", path).await;
    if done.headers.contains_key("etag") {
        assert_eq!(tag_of(tenure, token, path).await, done.headers["etag"], "{name}");
    }
    assert!(now.status == 404 || tag_of(tenure, token, path).await != tag, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_writes_require_a_matching_etag() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let payer = create(&tenure, &account.token, "/v1.0/billing_accounts", json!({})).await;
    let payer = json!({"billing_account_id": payer.rsplit('/').next().unwrap()});
    let path = format!("/v1.0/customers/{}", account.id);
    for (token, path) in [(&admin, path.as_str()), (&account.token, "/v1.0/customer")] {
        for (below, body) in [
            ("", json!({"name": "x"})),
            ("/metadata", json!({"rtp_debug": true})),
            ("/billing_account_id", payer.clone()),
        ] {
            let change = Change { token, method: "PUT", below, body: Some(body) };
            only_if_it_matches(&tenure, token, path, &change).await;
        }
    }
    let password = json!({"password": PASSWORD});
    for (token, method, below, body) in [
        (&admin, "POST", "/freeze", None),
        (&admin, "POST", "/recover", None),
        (&account.token, "POST", "/auth/unregister", Some(password)),
        (&account.token, "DELETE", "/auth/unregister", None),
        (&admin, "DELETE", "", None),
    ] {
        let change = Change { token, method, below, body };
        only_if_it_matches(&tenure, &admin, &path, &change).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_writes_require_a_matching_etag() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (path, hold) = (format!("/v1.0/customers/{}", account.id), json!({"reason": "Case 7"}));
    let tag = tag_of(&tenure, &admin, &path).await;
    for (method, body) in [("PUT", Some(hold)), ("DELETE", None)] {
        let change = Change { token: &admin, method, below: "/hold", body };
        let refused = change.with(&tenure, &path, ("if-match", OTHER)).await;
        assert_eq!(refused.refused(412), "ETAG_MISMATCH");
        // The tag of an account does not cover its hold.
        change.with(&tenure, &path, ("if-match", &tag)).await.ok();
        assert_eq!(tag_of(&tenure, &admin, &path).await, tag);
    }
    assert_eq!(tenure.count_events(&account.id, "customer_held").await, 1);
    assert_eq!(tenure.count_events(&account.id, "customer_released").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_owned_items_require_a_matching_etag() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let token = account.token.as_str();
    let key = create(&tenure, token, "/v1.0/accesskeys", json!({"expire": 86_400})).await;
    let agent = json!({"username": "ann", "password": PASSWORD});
    let agent = create(&tenure, token, "/v1.0/agents", agent).await;
    let number = create(&tenure, token, "/v1.0/numbers", json!({})).await;
    let password = json!({"password": "another password", "current_password": PASSWORD});
    for (path, method, below, body) in [
        (&key, "PUT", "", Some(json!({"name": "x"}))),
        (&key, "POST", "/rotate", Some(json!({"overlap": 0}))),
        (&key, "DELETE", "", None),
        (&agent, "PUT", "/permission", Some(json!({"permission": 64}))),
        (&agent, "PUT", "/password", Some(password)),
        (&agent, "DELETE", "", None),
        (&number, "DELETE", "", None),
    ] {
        let change = Change { token, method, below, body };
        only_if_it_matches(&tenure, token, path, &change).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_password_change_requires_a_matching_etag() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let token = account.token.as_str();
    let me = tenure.call(token, "GET", "/v1.0/me").await;
    let (path, tag) =
        (format!("/v1.0/agents/{}/password", me.body["id"].as_str().unwrap()), tag(&me));
    let body = json!({"password": "another password", "current_password": PASSWORD});
    let put = async |tag: &str| {
        call(&tenure, token, ("PUT", &path), ("if-match", tag), Some(&body)).await
    };
    assert_eq!(put(OTHER).await.refused(412), "ETAG_MISMATCH");
    assert_eq!(tenure.try_login("test1", "another password").await.status, 401);
    let done = put(&tag).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(tag_of(&tenure, token, "/v1.0/me").await, done.headers["etag"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_are_checked_after_permission_and_existence() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (one, other) =
        (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    let body = json!({"name": "x"});
    for value in [OTHER, "*", "malformed"] {
        let put = async |token: &str, path: String| {
            call(&tenure, token, ("PUT", &path), ("if-match", value), Some(&body)).await
        };
        for id in [&one.id, &other.id, MISSING] {
            let answer = put(&one.token, format!("/v1.0/customers/{id}")).await;
            assert_eq!(answer.refused(403), "PERMISSION_DENIED");
        }
        let answer = put(&admin, format!("/v1.0/customers/{MISSING}")).await;
        assert_eq!(answer.refused(404), "CUSTOMER_NOT_FOUND");
        let answer = put(&one.token, format!("/v1.0/accesskeys/{MISSING}")).await;
        assert_eq!(answer.refused(404), "ACCESSKEY_NOT_FOUND");
    }
    // `*` matches any existing state.
    let any = ("if-match", "*");
    let path = format!("/v1.0/customers/{}", one.id);
    call(&tenure, &admin, ("PUT", &path), any, Some(&body)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_add_no_database_call() {
    let tenure = Tenure::start_with(counted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let tag = tag_of(&tenure, &admin, &path).await;
    let calls =
        |function: &str| tenure.stack.stats()["functions"][function]["dynamodb"]["calls"].clone();
    tenure.stack.reset_stats();
    let known = call(&tenure, &admin, ("GET", &path), ("if-none-match", &tag), None).await;
    assert_eq!(known.status, 304);
    assert_eq!(calls("CustomerGetFunction"), json!({"BatchGetItem": 1, "UpdateItem": 1}));
    let body = json!({"name": "x"});
    let put = async |tag: &str| {
        call(&tenure, &admin, ("PUT", &path), ("if-match", tag), Some(&body)).await.status
    };
    assert_eq!(put(OTHER).await, 412);
    assert_eq!(calls("CustomerUpdateFunction"), json!({"BatchGetItem": 1, "UpdateItem": 1}));
    assert_eq!(put(&tag).await, 200);
    let calls = calls("CustomerUpdateFunction");
    assert_eq!(calls, json!({"BatchGetItem": 2, "UpdateItem": 2, "TransactWriteItems": 1}));
}

/// All writers read the same tag before any of them writes. The losers are refused by the database condition
/// of their writes.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_with_one_etag_have_one_winner() {
    const WRITERS: usize = 64;
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (tenure, barrier) = (Arc::clone(&tenure), Arc::clone(&barrier));
        let (admin, path) = (admin.clone(), path.clone());
        writers.spawn(async move {
            let tag = tag_of(&tenure, &admin, &path).await;
            barrier.wait().await;
            let body = json!({"detail": number.to_string()});
            call(&tenure, &admin, ("PUT", &path), ("if-match", &tag), Some(&body)).await
        });
    }
    let (done, refused): (Vec<_>, Vec<_>) =
        writers.join_all().await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(done.len(), 1);
    for answer in refused {
        assert_eq!(answer.refused(412), "ETAG_MISMATCH");
    }
    assert_eq!(tenure.call(&admin, "GET", &path).await.ok(), done[0].body);
    assert_eq!(tenure.count_events(&account.id, "customer_updated").await, 1);
}

/// Each refused writer reads the account again and retries, until all have succeeded: no update overwrites
/// another.
#[tokio::test(flavor = "multi_thread")]
async fn retried_writes_with_etags_lose_no_change() {
    const WRITERS: usize = 64;
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let first = tag_of(&tenure, &admin, &path).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (tenure, admin, path) = (Arc::clone(&tenure), admin.clone(), path.clone());
        writers.spawn(async move {
            let body = json!({"detail": number.to_string()});
            loop {
                let seen = tag_of(&tenure, &admin, &path).await;
                let header = ("if-match", seen.as_str());
                let answer = call(&tenure, &admin, ("PUT", &path), header, Some(&body)).await;
                if answer.status == 200 {
                    return (seen, tag(&answer));
                }
                assert_eq!(answer.refused(412), "ETAG_MISMATCH");
            }
        });
    }
    let mut steps: std::collections::BTreeMap<_, _> =
        writers.join_all().await.into_iter().collect();
    assert_eq!(steps.len(), WRITERS, "a state was changed twice");
    let mut state = first;
    while let Some(next) = steps.remove(&state) {
        state = next;
    }
    assert!(steps.is_empty(), "a change was lost");
    assert_eq!(tag_of(&tenure, &admin, &path).await, state);
    assert_eq!(tenure.count_events(&account.id, "customer_updated").await, WRITERS);
}

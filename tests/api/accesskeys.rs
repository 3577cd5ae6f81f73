//! Access keys: permissions, rotation, last use.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{PASSWORD, Tenure, slow, uncounted};

const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

/// Creates an access key; returns its path and its token.
async fn create(tenure: &Tenure, token: &str, body: Value) -> (String, String) {
    let key = tenure.call_with(token, "POST", "/v1.0/accesskeys", body).await.ok();
    let path = format!("/v1.0/accesskeys/{}", key["id"].as_str().unwrap());
    (path, key["token"].as_str().unwrap().to_owned())
}

async fn rotate(tenure: &Tenure, token: &str, path: &str, body: Value) -> Value {
    tenure.call_with(token, "POST", &format!("{path}/rotate"), body).await.ok()
}

async fn status(tenure: &Tenure, token: &str) -> u16 {
    tenure.call(token, "GET", "/v1.0/accesskeys").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_limited_to_its_permission() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for (permission, expected) in [(16, 403), (64, 403), (80, 403), (32, 200), (112, 200)] {
        // A number without a fractional part is an integer.
        let body = json!({"expire": 86_400.0, "permission": f64::from(permission)});
        let (path, token) = create(&tenure, &account.token, body).await;
        assert_eq!(status(&tenure, &token).await, expected, "{permission}");
        let shown = tenure.call(&account.token, "GET", &path).await.ok();
        assert_eq!(shown["permission"], permission);
    }
    // A key gets the permission of its creator unless the request says otherwise.
    let project = create(&tenure, &admin, json!({"expire": 86_400})).await.1;
    tenure.call(&project, "GET", "/v1.0/customers").await.ok();
    let (path, key) = create(&tenure, &account.token, json!({"expire": 86_400})).await;
    assert_eq!(tenure.call(&key, "GET", &path).await.ok()["permission"], 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_key_requests_name_the_field() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (path, _) = create(&tenure, &account.token, json!({"expire": 86_400})).await;
    let rotate = format!("{path}/rotate");
    let before = tenure.accounts().await;
    for (path, body, field) in [
        ("/v1.0/accesskeys", json!({}), "expire"),
        ("/v1.0/accesskeys", json!({"expire": 86_399}), "expire"),
        ("/v1.0/accesskeys", json!({"expire": 0}), "expire"),
        ("/v1.0/accesskeys", json!({"expire": null}), "expire"),
        ("/v1.0/accesskeys", json!({"expire": 86_400, "permission": null}), "permission"),
        ("/v1.0/accesskeys", json!({"expire": 86_400, "agent_id": MISSING}), "agent_id"),
        (&rotate, json!({"expire": 86_399}), "expire"),
        (&rotate, json!({"expire": null}), "expire"),
        (&rotate, json!({"overlap": -1}), "overlap"),
        (&rotate, json!({"overlap": 2_592_001}), "overlap"),
        (&rotate, json!({"overlap": "0"}), "overlap"),
        (&rotate, json!({"permission": 32}), "permission"),
    ] {
        let answer = tenure.call_with(&account.token, "POST", path, body.clone()).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{path} {body}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_rotate_keys_and_only_in_their_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let (path, _) = create(&tenure, &ours.token, json!({"expire": 86_400})).await;
    let (their_path, _) = create(&tenure, &theirs.token, json!({"expire": 86_400})).await;
    let body = json!({"expire": 86_400, "permission": 80});
    let (_, manager) = create(&tenure, &ours.token, body).await;
    assert_eq!(status(&tenure, &manager).await, 403);
    let before = tenure.accounts().await;
    let missing = format!("/v1.0/accesskeys/{MISSING}");
    for path in [path.as_str(), &their_path, &missing, "/v1.0/accesskeys/x"] {
        let rotate = format!("{path}/rotate");
        let anonymous = tenure.send(tenure.request("POST", &rotate).json(&json!({}))).await;
        assert_eq!(anonymous.refused(401), "AUTHENTICATION_REQUIRED", "{path}");
        let denied = tenure.call_with(&manager, "POST", &rotate, json!({})).await;
        assert_eq!(denied.refused(403), "PERMISSION_DENIED", "{path}");
    }
    for path in [&their_path, &missing] {
        for token in [&ours.token, &admin] {
            let answer =
                tenure.call_with(token, "POST", &format!("{path}/rotate"), json!({})).await;
            assert_eq!(answer.refused(404), "ACCESSKEY_NOT_FOUND");
        }
    }
    let malformed =
        tenure.call_with(&ours.token, "POST", "/v1.0/accesskeys/x/rotate", json!({})).await;
    assert_eq!(malformed.refused(400), "INVALID_ID");
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_token_works_until_the_overlap_ends() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"name": "CI", "detail": "pipeline", "expire": 10 * 86_400});
    let (path, first) = create(&tenure, &account.token, body).await;
    let before = tenure.call(&account.token, "GET", &path).await.ok();

    // A key can rotate itself: token, prefix and times change, nothing else.
    let rotated = rotate(&tenure, &first, &path, json!({})).await;
    let second = rotated["token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert!(second.starts_with(rotated["token_prefix"].as_str().unwrap()));
    let after = tenure.call(&second, "GET", &path).await.ok();
    let mut expected = before.clone();
    for field in ["token_prefix", "tm_update", "tm_last_use"] {
        expected[field] = after[field].clone();
    }
    assert_eq!(after, expected);
    assert!(after["tm_update"].as_str() > before["tm_update"].as_str());
    assert_eq!((status(&tenure, &first).await, status(&tenure, &second).await), (200, 200));

    // The default overlap is one day.
    tenure.stack.advance_clock(86_400 - 60).await.unwrap();
    assert_eq!((status(&tenure, &first).await, status(&tenure, &second).await), (200, 200));
    tenure.stack.advance_clock(120).await.unwrap();
    assert_eq!((status(&tenure, &first).await, status(&tenure, &second).await), (401, 200));

    // An overlap of 0 ends all old tokens at once; `expire` counts from now, and only people prolong a key.
    let third = rotate(&tenure, &second, &path, json!({})).await["token"].clone();
    let body = json!({"overlap": 0, "expire": 20 * 86_400});
    let person = tenure.login("test1", PASSWORD).await;
    let fourth = rotate(&tenure, &person, &path, body).await["token"].clone();
    let (third, fourth) = (third.as_str().unwrap(), fourth.as_str().unwrap());
    for old in [&second, third] {
        assert_eq!(status(&tenure, old).await, 401);
    }
    tenure.advance_days(19).await;
    assert_eq!(status(&tenure, fourth).await, 200);

    // An old token does not outlive the key.
    let body = json!({"overlap": 30 * 86_400, "expire": 30 * 86_400});
    let person = tenure.login("test1", PASSWORD).await;
    let fifth = rotate(&tenure, &person, &path, body).await["token"].clone();
    tenure.advance_days(2).await;
    assert_eq!(status(&tenure, fourth).await, 401);
    assert_eq!(status(&tenure, fifth.as_str().unwrap()).await, 200);
    assert_eq!(tenure.count_events(&account.id, "accesskey_updated").await, 4);
    // When a key is deleted, all its tokens end.
    let admin = tenure.login("test1", PASSWORD).await;
    tenure.call(&admin, "DELETE", &path).await.ok();
    assert_eq!(status(&tenure, fifth.as_str().unwrap()).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_rotations_keep_every_issued_token_valid() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (path, first) = create(&tenure, &account.token, json!({"expire": 86_400})).await;
    let mut calls = JoinSet::new();
    for number in 0..12 {
        let (tenure, token, path) = (Arc::clone(&tenure), account.token.clone(), path.clone());
        calls.spawn(async move {
            if number % 3 == 0 {
                // Updates do not conflict with rotations.
                tenure.call_with(&token, "PUT", &path, json!({"name": "n"})).await.ok();
                return None;
            }
            Some(tenure.call_with(&token, "POST", &format!("{path}/rotate"), json!({})).await)
        });
    }
    let answers: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!won.is_empty());
    for answer in lost {
        assert_eq!(answer.refused(409), "ALREADY_ROTATED");
    }
    // All tokens that were issued work, and so does the first one.
    assert_eq!(status(&tenure, &first).await, 200);
    for answer in &won {
        assert_eq!(status(&tenure, answer.body["token"].as_str().unwrap()).await, 200);
    }
    assert_eq!(tenure.call(&first, "GET", &path).await.ok()["name"], "n");
}

/// An access key belongs to the agent that created it or, after a rotation, to the agent that rotated it, and
/// ends with that agent.
#[tokio::test(flavor = "multi_thread")]
async fn key_ends_with_its_agent_unless_another_agent_rotates_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut body = json!({"username": "second", "password": PASSWORD, "permission": 32});
    body["current_password"] = json!(PASSWORD);
    let second = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await.ok();
    let session = tenure.login("second", PASSWORD).await;
    let (left, kept) = (
        create(&tenure, &session, json!({"expire": 86_400})).await,
        create(&tenure, &session, json!({"expire": 86_400})).await,
    );
    let shown = tenure.call(&account.token, "GET", &left.0).await.ok();
    assert_eq!(shown["agent_id"], second["id"]);

    let taken = rotate(&tenure, &account.token, &kept.0, json!({})).await;
    assert_ne!(taken["agent_id"], second["id"]);
    let path = format!("/v1.0/agents/{}", second["id"].as_str().unwrap());
    tenure.call(&account.token, "DELETE", &path).await.ok();
    for token in [&left.1, &kept.1] {
        assert_eq!(status(&tenure, token).await, 401);
    }
    assert_eq!(status(&tenure, taken["token"].as_str().unwrap()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_use_of_a_key_is_written_once_a_day() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (path, key) = create(&tenure, &account.token, json!({"expire": 30 * 86_400})).await;
    let shown = async || {
        let token = tenure.login("test1", PASSWORD).await;
        let listed = tenure.call(&token, "GET", "/v1.0/accesskeys").await.ok();
        let shown = tenure.call(&token, "GET", &path).await.ok();
        assert_eq!(listed["result"][0], shown);
        shown["tm_last_use"].clone()
    };
    assert_eq!(shown().await, Value::Null);

    let mut days = Vec::new();
    for _ in 0..2 {
        tenure.stack.reset_stats();
        for _ in 0..4 {
            tenure.call(&key, "GET", "/v1.0/accesskeys").await.ok();
        }
        let calls =
            tenure.stack.stats()["functions"]["AccesskeyListFunction"]["dynamodb"]["calls"].clone();
        assert_eq!(calls, json!({"BatchGetItem": 4, "Query": 4, "UpdateItem": 1}));
        // An invalid token records no use.
        assert_eq!(status(&tenure, &format!("{key}0")).await, 401);
        // An update keeps the recorded day.
        let token = tenure.login("test1", PASSWORD).await;
        let renamed = tenure.call_with(&token, "PUT", &path, json!({"name": "n"})).await.ok();
        let day = shown().await;
        assert_eq!(renamed["tm_last_use"], day);
        days.push(day.as_str().unwrap().to_owned());
        tenure.advance_days(1).await;
    }
    assert!(days.iter().all(|day| day.ends_with("T00:00:00Z")) && days[0] < days[1], "{days:?}");
}

/// In a request that writes, the first use of the access key is recorded concurrently with that write.
#[tokio::test(flavor = "multi_thread")]
async fn recording_first_use_adds_no_round_trip_to_a_write() {
    let tenure = Tenure::start_with(slow(uncounted())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let steps = async |key: &str, function: &str, method: &str, path: &str, body: Value| {
        tenure.stack.reset_stats();
        tenure.call_with(key, method, path, body).await.ok();
        let stats = tenure.stack.stats();
        let stats = &stats["functions"][function]["dynamodb"];
        (stats["steps"].as_u64().unwrap(), stats["calls"]["UpdateItem"].as_u64().unwrap_or(0))
    };
    let (path, key) = create(&tenure, &account.token, json!({"expire": 86_400})).await;
    let rename = json!({"name": "x"});
    let function = "AccesskeyUpdateFunction";
    assert_eq!(steps(&key, function, "PUT", &path, rename.clone()).await, (2, 1));
    assert_eq!(steps(&key, function, "PUT", &path, rename).await, (2, 0));
    // A `GET` makes a single database call, so the record of the first use is a second step.
    let (path, key) = create(&tenure, &account.token, json!({"expire": 86_400})).await;
    let function = "AccesskeyGetFunction";
    assert_eq!(steps(&key, function, "GET", &path, json!({})).await, (2, 1));
    assert_eq!(steps(&key, function, "GET", &path, json!({})).await, (1, 0));
}

//! Sessions: limits on wrong passwords, expiry, tokens exposed in URLs, caps, and separation of accounts.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, STRANGER, Tenure, options_with, slow, uncounted};

const KEYS: &str = "/v1.0/accesskeys";

#[tokio::test(flavor = "multi_thread")]
async fn guesses_in_a_session_count_for_that_session_alone() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let other = tenure.login("test1", PASSWORD).await;

    let (wrong, right) = (json!({"password": "wrong password"}), json!({"password": PASSWORD}));
    for _ in 0..5 {
        let refused = tenure.unregister(&account.token, wrong.clone()).await;
        assert_eq!(refused.refused(403), "INVALID_PASSWORD");
    }
    let refused = tenure.unregister(&account.token, right.clone()).await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused.body["error"]["details"], json!([{"limited_by": "session"}]));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    // No other session has to wait, nor does a log-in with the user name, even from elsewhere.
    tenure.try_login_from(STRANGER, "test1", PASSWORD).await.ok();
    tenure.unregister(&other, right.clone()).await.ok();
    tenure.call(&other, "DELETE", "/auth/unregister").await.ok();
    // The sixth attempt, after the wait; a success clears the count.
    tenure.stack.advance_clock(31).await.unwrap();
    tenure.unregister(&account.token, right).await.ok();
    let refused = tenure.unregister(&account.token, wrong).await;
    assert_eq!(refused.refused(403), "INVALID_PASSWORD");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_credential_is_rejected() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let path = "/v1.0/customers";

    let none = tenure.send(tenure.request("GET", path)).await;
    assert_eq!(none.refused(401), "AUTHENTICATION_REQUIRED");
    for query in
        [format!("token={admin}&token={admin}"), format!("token={admin}&accesskey={admin}")]
    {
        let twice = tenure.send(tenure.request("GET", &format!("{path}?{query}"))).await;
        assert_eq!(twice.refused(400), "AMBIGUOUS_CREDENTIALS");
    }
    let headers = tenure.request("GET", path).bearer(&admin).bearer(&admin);
    assert_eq!(tenure.send(headers).await.refused(400), "AMBIGUOUS_CREDENTIALS");
    let both = tenure.call(&admin, "GET", &format!("{path}?token={admin}")).await;
    assert_eq!(both.refused(400), "AMBIGUOUS_CREDENTIALS");
    for name in ["token", "accesskey"] {
        tenure.send(tenure.request("GET", &format!("{path}?{name}={admin}"))).await.ok();
    }
    // Routes under /auth ignore credentials in the query.
    let in_url =
        tenure.send(tenure.request("DELETE", &format!("/auth/unregister?token={admin}"))).await;
    assert_eq!(in_url.refused(401), "AUTHENTICATION_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_tokens_are_rejected_without_reading() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let flipped: String = admin.chars().map(|c| if c == 'a' { 'A' } else { 'a' }).collect();
    let damaged = [
        &admin[1..],
        &admin[..admin.len() - 1],
        &format!("{admin}0"),
        &flipped,
        "x",
        "eyJhbGciOiJub25lIn0.e30.",
    ];
    tenure.stack.reset_stats();
    for token in damaged {
        for path in [
            "/v1.0/customers/5e4a0680-804e-11ec-8477-2fea5968d85b",
            "/v1.0/accesskeys/5e4a0680-804e-11ec-8477-2fea5968d85b",
        ] {
            assert_eq!(tenure.call(token, "GET", path).await.refused(401), "INVALID_CREDENTIALS");
        }
    }
    let stats = tenure.stack.stats();
    for function in ["CustomerGetFunction", "AccesskeyGetFunction"] {
        assert_eq!(stats["functions"][function]["dynamodb"]["calls"], json!({}), "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_expire() {
    let tenure = Tenure::start_with(options_with("SessionIdleHours", "168")).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    tenure.call(&key, "GET", "/v1.0/accesskeys").await.ok();
    tenure.advance_days(1).await;
    assert_eq!(
        tenure.call(&key, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.ok();
    tenure.advance_days(6).await;
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_cannot_see_or_change_each_other() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let their_key = tenure
        .call_with(&theirs.token, "POST", "/v1.0/accesskeys", json!({"expire": 86_400}))
        .await
        .ok();
    let key_path = format!("/v1.0/accesskeys/{}", their_key["id"].as_str().unwrap());
    let customer_path = format!("/v1.0/customers/{}", theirs.id);
    let before = tenure.accounts().await;

    // Without permission, existing, missing and malformed ids get the same answer.
    for path in [
        customer_path.as_str(),
        "/v1.0/customers/5e4a0680-804e-11ec-8477-2fea5968d85b",
        "/v1.0/customers/x",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            assert_eq!(
                tenure
                    .call_with(&ours.token, method, path, json!({"name": "x"}))
                    .await
                    .refused(403),
                "PERMISSION_DENIED"
            );
        }
    }
    assert_eq!(
        tenure.call(&ours.token, "GET", "/v1.0/customers").await.refused(403),
        "PERMISSION_DENIED"
    );
    let create = crate::harness::new_customer("third");
    assert_eq!(
        tenure.call_with(&ours.token, "POST", "/v1.0/customers", create).await.refused(403),
        "PERMISSION_DENIED"
    );
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(
            tenure
                .call_with(&ours.token, method, &key_path, json!({"name": "x"}))
                .await
                .refused(404),
            "ACCESSKEY_NOT_FOUND"
        );
    }
    assert_eq!(tenure.accounts().await, before);
}

const SESSIONS: &str = "/v1.0/sessions";

/// Returns the rows of a list of sessions.
async fn list(tenure: &Tenure, token: &str, query: &str) -> Vec<Value> {
    let list = tenure.call(token, "GET", &format!("{SESSIONS}{query}")).await.ok();
    assert_eq!(list["next_page_token"], "");
    list["result"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_session_ends_when_an_agent_has_as_many_as_it_may() {
    let tenure = Tenure::start_with(options_with("MaxSessions", "3")).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut tokens = vec![account.token];
    for _ in 0..2 {
        tokens.push(tenure.login("test1", PASSWORD).await);
    }
    for token in &tokens {
        assert!(tenure.is_valid(token).await);
    }
    tokens.push(tenure.login("test1", PASSWORD).await);
    assert!(!tenure.is_valid(&tokens[0]).await && tenure.is_valid(&tokens[1]).await);
    // A log-out makes room for another session; sessions of other agents do not count.
    tenure.call(&tokens[2], "POST", "/auth/logout").await.ok();
    tokens.push(tenure.login("test1", PASSWORD).await);
    tenure.account(&admin, "test2").await;
    for (number, is_live) in [(1, true), (2, false), (3, true), (4, true)] {
        assert_eq!(tenure.is_valid(&tokens[number]).await, is_live, "{number}");
    }
    // Sessions that have ended in another way make room before sessions that are still valid.
    tenure.call_with(&tokens[1], "POST", "/auth/logout", json!({"everywhere": true})).await.ok();
    let new = [tenure.login("test1", PASSWORD).await, tenure.login("test1", PASSWORD).await];
    let new = [&new[0], &new[1], &tenure.login("test1", PASSWORD).await];
    for token in new {
        assert!(tenure.is_valid(token).await);
    }
    let partition = tenure.partition(&account.id).await;
    let kept = partition.iter().filter(|sk| sk.starts_with("SESSION#"));
    assert_eq!(kept.count(), 3, "{partition:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_a_day_without_use() {
    const HOUR: i64 = 3600;
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let unused = tenure.login("test1", PASSWORD).await;
    let last_use = async || {
        let shown = list(&tenure, &account.token, "").await;
        let own = shown.into_iter().find(|session| session["current"] == true).unwrap();
        own["tm_last_use"].clone()
    };
    let first = last_use().await;
    tenure.stack.advance_clock(HOUR / 2).await.unwrap();
    assert!(tenure.is_valid(&account.token).await);
    assert_eq!(last_use().await, first, "recorded once an hour");
    tenure.stack.advance_clock(HOUR / 2).await.unwrap();
    assert!(tenure.is_valid(&account.token).await);
    assert_ne!(last_use().await, first);
    tenure.stack.advance_clock(23 * HOUR).await.unwrap();
    assert!(!tenure.is_valid(&unused).await);
    assert_eq!(list(&tenure, &account.token, "").await.len(), 1);
    // A refused request is a use, too.
    tenure.stack.advance_clock(23 * HOUR).await.unwrap();
    tenure.call(&account.token, "GET", "/v1.0/customers").await.refused(403);
    tenure.stack.advance_clock(23 * HOUR).await.unwrap();
    assert!(tenure.is_valid(&account.token).await);
    tenure.stack.advance_clock(24 * HOUR).await.unwrap();
    let refused = tenure.unregister(&account.token, json!({"password": PASSWORD})).await;
    assert_eq!(refused.refused(401), "INVALID_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_agent_and_by_admins() {
    let tenure = Tenure::start().await;
    let operator = tenure.admin().await;
    let account = tenure.account(&operator, "test1").await;
    let stranger = tenure.account(&operator, "test2").await;
    let agent = json!({"username": "ann", "password": PASSWORD, "permission": 16});
    let ann = tenure.call_with(&account.token, "POST", "/v1.0/agents", agent).await.ok();
    let of_ann = format!("?agent_id={}", ann["id"].as_str().unwrap());
    let (one, two) = (tenure.login("ann", PASSWORD).await, tenure.login("ann", PASSWORD).await);
    let id = |session: &Value| session["id"].as_str().unwrap().to_owned();

    // The list has the caller's own sessions, newest first, without tokens and their hashes.
    let own = list(&tenure, &two, "").await;
    assert_eq!(own, list(&tenure, &two, &of_ann).await);
    let shown: Vec<_> = own.iter().map(|session| session["current"].as_bool().unwrap()).collect();
    assert_eq!(shown, [true, false]);
    assert!(own[0]["tm_create"].as_str() >= own[1]["tm_create"].as_str());
    assert!(own.iter().all(|session| session["agent_id"] == ann["id"]));
    // By default, an admin's list shows only the admin's own sessions; the query can name another agent.
    assert_eq!(list(&tenure, &account.token, "").await.len(), 1);
    let by_admin = list(&tenure, &account.token, &of_ann).await;
    assert!(by_admin.iter().all(|session| session["current"] == false));
    assert_eq!(by_admin.iter().map(id).collect::<Vec<_>>(), own.iter().map(id).collect::<Vec<_>>());

    // Other agents neither see nor end these sessions.
    let admins = id(&list(&tenure, &account.token, "").await[0]);
    let of_admin = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let of_admin = format!("?agent_id={}", id(&of_admin));
    let anns = id(&own[1]);
    for (method, path) in [
        ("GET", format!("{SESSIONS}{of_admin}")),
        ("DELETE", format!("{SESSIONS}/{admins}{of_admin}")),
    ] {
        assert_eq!(tenure.call(&one, method, &path).await.refused(403), "PERMISSION_DENIED");
    }
    for (token, path, reason) in [
        (&one, format!("{SESSIONS}/{admins}"), "SESSION_NOT_FOUND"),
        (&account.token, format!("{SESSIONS}/{anns}"), "SESSION_NOT_FOUND"),
        (&stranger.token, format!("{SESSIONS}/{anns}"), "SESSION_NOT_FOUND"),
        (&stranger.token, format!("{SESSIONS}/{anns}{of_ann}"), "AGENT_NOT_FOUND"),
    ] {
        assert_eq!(tenure.call(token, "DELETE", &path).await.refused(404), reason, "{path}");
    }
    let list_of_ann = format!("{SESSIONS}{of_ann}");
    let refused = tenure.call(&stranger.token, "GET", &list_of_ann).await;
    assert_eq!(refused.refused(404), "AGENT_NOT_FOUND");
    let refused = tenure.call(&account.token, "GET", &format!("{SESSIONS}?agent_id=x")).await;
    assert_eq!(refused.refused(400), "INVALID_REQUEST_PARAMETER");
    assert!(tenure.is_valid(&one).await && tenure.is_valid(&account.token).await);

    // The agent ends one of its sessions, an admin another. The admin's access key cannot end sessions of admins.
    let path = format!("{SESSIONS}/{anns}");
    let ended = tenure.call(&two, "DELETE", &path).await.ok();
    assert!(ended["tm_delete"].is_string() && ended["id"] == anns.as_str());
    assert!(!tenure.is_valid(&one).await && tenure.is_valid(&two).await);
    assert_eq!(tenure.call(&two, "DELETE", &path).await.refused(404), "SESSION_NOT_FOUND");
    let key = tenure.access_key(&account.token).await;
    let path = format!("{SESSIONS}/{admins}");
    assert_eq!(tenure.call(&key, "DELETE", &path).await.refused(403), "PERMISSION_DENIED");
    let path = format!("{SESSIONS}/{}{of_ann}", id(&own[0]));
    tenure.call(&key, "DELETE", &path).await.ok();
    assert!(!tenure.is_valid(&two).await);
    assert!(list(&tenure, &account.token, &of_ann).await.is_empty());

    // In a frozen account, sessions can be ended, and the last one ends itself.
    let other = tenure.login("test1", PASSWORD).await;
    let other = id(&list(&tenure, &other, "").await[0]);
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    for ended in [other, admins] {
        tenure.call(&account.token, "DELETE", &format!("{SESSIONS}/{ended}")).await.ok();
    }
    assert!(!tenure.is_valid(&account.token).await);
}

/// A logout everywhere ends sessions without deleting their items, which stay in the table until they expire.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_shows_neither_in_lists_nor_by_its_id() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = list(&tenure, &account.token, "").await;
    tenure
        .call_with(&account.token, "POST", "/auth/logout", json!({"everywhere": true}))
        .await
        .ok();
    let token = tenure.login("test1", PASSWORD).await;
    assert_eq!(list(&tenure, &token, "").await.len(), 1);
    let path = format!("{SESSIONS}/{}", before[0]["id"].as_str().unwrap());
    assert_eq!(tenure.call(&token, "DELETE", &path).await.refused(404), "SESSION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_ends_a_day_after_its_token_was_in_a_url() {
    let tenure = Tenure::start_with(slow(uncounted())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let kept = tenure.login("test1", PASSWORD).await;
    let get = async |path: &str| {
        tenure.stack.reset_stats();
        tenure.send(tenure.request("GET", &format!("{path}?token={}", account.token))).await
    };
    let calls = |function: &str| -> Value {
        tenure.stack.stats()["functions"][function]["dynamodb"].clone()
    };
    let is_marked = async || {
        let items = tenure.items("AccountsTable").await;
        let marked = items.iter().filter(|item| item["url_exposed"]["BOOL"] == true).count();
        assert!(marked <= 1, "{items:?}");
        marked == 1
    };

    let plain = tenure.call(&account.token, "GET", KEYS).await;
    assert!(!plain.headers.contains_key("deprecation") && !is_marked().await);
    plain.ok();
    // A refused request marks the session, too.
    let refused = get("/v1.0/customers").await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    is_deprecated(&refused);
    assert!(is_marked().await);
    assert_eq!(calls("CustomerListFunction")["steps"], 2);
    // The mark is written once.
    for _ in 0..2 {
        let answer = get(KEYS).await;
        is_deprecated(&answer);
        answer.ok();
        assert_eq!(calls("AccesskeyListFunction")["steps"], 1);
        assert_eq!(calls("AccesskeyListFunction")["wcu"], 0.0);
    }
    // Later uses do not extend the day.
    tenure.stack.advance_clock(23 * 3600).await.unwrap();
    get(KEYS).await.ok();
    assert!(tenure.is_valid(&account.token).await && tenure.is_valid(&kept).await);
    tenure.stack.advance_clock(3600).await.unwrap();
    assert!(!tenure.is_valid(&account.token).await);
    assert!(tenure.is_valid(&kept).await);

    // A session that expires within the day is not extended.
    for _ in 0..6 {
        tenure.stack.advance_clock(22 * 3600).await.unwrap();
        assert!(tenure.is_valid(&kept).await);
    }
    tenure.send(tenure.request("GET", &format!("{KEYS}?token={kept}"))).await.ok();
    tenure.stack.advance_clock(43_200).await.unwrap();
    assert!(!tenure.is_valid(&kept).await);
}

/// DynamoDB may delete expired items days late.
#[tokio::test(flavor = "multi_thread")]
async fn expired_session_is_rejected_before_ttl_deletes_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let sessions = tenure.partition(&account.id).await;
    let session = sessions.into_iter().find(|sk| sk.starts_with("SESSION#")).unwrap();
    tenure
        .database()
        .update_item()
        .table_name("AccountsTable")
        .key("pk", AttributeValue::S(format!("CUSTOMER#{}", account.id)))
        .key("sk", AttributeValue::S(session))
        .update_expression("SET tm_expire = :past")
        .expression_attribute_values(":past", AttributeValue::S("2026-01-01T00:00:00Z".to_owned()))
        .send()
        .await
        .unwrap();
    assert!(!tenure.is_valid(&account.token).await);
}

fn is_deprecated(answer: &Answer) {
    assert!(answer.headers["deprecation"].to_str().unwrap().starts_with('@'));
    assert!(answer.headers["link"].to_str().unwrap().contains("rel=\"deprecation\""));
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_in_a_url_adds_no_round_trip_to_a_write() {
    let tenure = Tenure::start_with(slow(uncounted())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.stack.reset_stats();
    let path = format!("/v1.0/customer/metadata?token={}", account.token);
    tenure.send(tenure.request("PUT", &path).json(&json!({"rtp_debug": true}))).await.ok();
    let stats = tenure.stack.stats();
    let calls = &stats["functions"]["OwnMetadataUpdateFunction"]["dynamodb"];
    assert_eq!(calls["steps"], 2, "{calls}");
    assert_eq!(calls["calls"]["UpdateItem"], 1, "{calls}");
}

//! The end of sessions: logout, logout everywhere, and a token that was in a URL.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure, slow, uncounted};

const KEYS: &str = "/v1.0/accesskeys";

#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_only_the_calling_session() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let other = tenure.login("test1", PASSWORD).await;

    assert_eq!(tenure.call(&other, "POST", "/auth/logout").await.ok(), json!({}));
    assert!(!tenure.is_valid(&other).await && tenure.is_valid(&account.token).await);
    assert_eq!(
        tenure.call(&other, "POST", "/auth/logout").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    let third = tenure.login("test1", PASSWORD).await;
    for body in [json!({"everywhere": 1}), json!({"everywhere": null}), json!({"x": 1}), json!([])]
    {
        tenure.call_with(&third, "POST", "/auth/logout", body).await.refused(400);
    }
    let plain = tenure.request("POST", "/auth/logout").bearer(&third).body("{}");
    assert_eq!(tenure.send(plain).await.refused(415), "UNSUPPORTED_MEDIA_TYPE");
    assert!(tenure.is_valid(&third).await);
    tenure.call_with(&third, "POST", "/auth/logout", json!({"everywhere": false})).await.ok();
    assert!(!tenure.is_valid(&third).await && tenure.is_valid(&account.token).await);
    // Routes under /auth ignore credentials in the query.
    let in_url = tenure.request("POST", &format!("/auth/logout?token={}", account.token));
    assert_eq!(tenure.send(in_url).await.refused(401), "AUTHENTICATION_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_everywhere_ends_all_sessions_of_the_agent() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let bystander = tenure.account(&admin, "test2").await;
    let other = tenure.login("test1", PASSWORD).await;
    let key = tenure.access_key(&account.token).await;

    tenure.call_with(&other, "POST", "/auth/logout", json!({"everywhere": true})).await.ok();
    for _ in 0..2 {
        for token in [&account.token, &other] {
            assert!(!tenure.is_valid(token).await);
            let everywhere = json!({"everywhere": true});
            tenure.call_with(token, "POST", "/auth/logout", everywhere).await.refused(401);
            tenure.unregister(token, json!({"password": PASSWORD})).await.refused(401);
        }
        // Keys and other agents are unaffected.
        assert!(tenure.is_valid(&key).await && tenure.is_valid(&bystander.token).await);
        // The second round is answered by new processes.
        tenure.stack.advance_clock(60).await.unwrap();
    }
    let new = tenure.login("test1", PASSWORD).await;
    assert!(tenure.is_valid(&new).await && !tenure.is_valid(&other).await);
    tenure.unregister(&new, json!({"password": PASSWORD})).await.ok();
    // Sessions of a frozen account can be ended.
    let second = tenure.login("test1", PASSWORD).await;
    tenure.call(&second, "POST", "/auth/logout").await.ok();
    assert_eq!(tenure.call(&second, "GET", KEYS).await.refused(401), "INVALID_CREDENTIALS");
    tenure.call_with(&new, "POST", "/auth/logout", json!({"everywhere": true})).await.ok();
    assert_eq!(tenure.call(&new, "GET", KEYS).await.refused(401), "INVALID_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_key_cannot_log_out() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let before = tenure.accounts().await;
    for body in [json!({}), json!({"everywhere": true})] {
        let answer = tenure.call_with(&key, "POST", "/auth/logout", body).await;
        assert_eq!(answer.refused(403), "PERMISSION_DENIED");
    }
    assert_eq!(tenure.accounts().await, before);
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

/// DynamoDB deletes expired items up to days late.
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

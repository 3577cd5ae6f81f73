//! Logout, and logout everywhere.

use serde_json::json;

use crate::harness::{PASSWORD, Tenure};

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

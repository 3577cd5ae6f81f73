//! Credentials: throttles, places, expiry, and isolation of accounts.

use serde_json::json;

use crate::harness::{PASSWORD, Tenure};

#[tokio::test(flavor = "multi_thread")]
async fn login_and_unregister_share_one_throttle() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;

    for _ in 0..3 {
        assert_eq!(
            tenure.try_login("TEST1", "wrong password").await.refused(401),
            "INVALID_CREDENTIALS"
        );
    }
    for _ in 0..2 {
        let wrong = json!({"password": "wrong password"});
        assert_eq!(tenure.unregister(&account.token, wrong).await.refused(403), "INVALID_PASSWORD");
    }
    for answer in [
        tenure.try_login("test1", PASSWORD).await,
        tenure.unregister(&account.token, json!({"password": PASSWORD})).await,
    ] {
        assert_eq!(answer.refused(429), "RATE_LIMIT_EXCEEDED");
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    tenure.stack.advance_clock(31).await.unwrap();
    // The sixth attempt, after the wait; a success clears the count.
    tenure.login("test1", PASSWORD).await;
    assert_eq!(
        tenure.try_login("test1", "wrong password").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    // Another user name is not throttled.
    tenure.admin().await;
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
    let tenure = Tenure::start().await;
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

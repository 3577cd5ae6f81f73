//! Error messages: each says what is wrong, what is accepted, and what to do next.

use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure};

async fn with_header(tenure: &Tenure, authorization: &str) -> Answer {
    let request = tenure.request("GET", "/v1.0/me").header("authorization", authorization);
    tenure.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_login_dead_token_and_basic_scheme_have_different_messages() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    tenure.send(tenure.request("POST", "/auth/logout").bearer(&account.token)).await.ok();
    let answers = [
        tenure.try_login("test1", "wrong password").await,
        tenure.call(&account.token, "GET", "/v1.0/me").await,
        with_header(&tenure, "Basic dGVzdDE6c2VjcmV0").await,
        with_header(&tenure, &account.token).await,
    ];
    let messages = answers.map(|answer| {
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
        answer.message().to_owned()
    });
    assert_eq!(messages[0], "The user name or the password is wrong.");
    assert!(messages[1].starts_with("The token is malformed, has expired or was revoked"));
    assert!(messages[2].starts_with("Authorization: only the scheme Bearer is supported"));
    assert_eq!(messages[2], messages[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_any_length_is_a_401_at_login() {
    let tenure = Tenure::start().await;
    tenure.account(&tenure.admin().await, "test1").await;
    for password in ["", "short", &"x".repeat(2000)] {
        assert_eq!(tenure.try_login("test1", password).await.refused(401), "INVALID_CREDENTIALS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_the_permission_needed_and_the_callers() {
    let tenure = Tenure::start().await;
    let account = tenure.account(&tenure.admin().await, "test1").await;
    let ann = json!({"username": "ann", "password": PASSWORD, "permission": 16});
    tenure.call_with(&account.token, "POST", "/v1.0/agents", ann).await.ok();
    let ann = tenure.login("ann", PASSWORD).await;
    let denied = tenure.call_with(&ann, "POST", "/v1.0/numbers", json!({})).await;
    assert_eq!(denied.refused(403), "PERMISSION_DENIED");
    assert_eq!(
        denied.message(),
        "This needs the permission 32 (admin) or 64 (manager); yours is 16 (agent)."
    );
    let key = tenure.access_key(&account.token).await;
    let denied = tenure.send(tenure.request("POST", "/auth/logout").bearer(&key)).await;
    assert_eq!(denied.refused(403), "PERMISSION_DENIED");
    assert!(denied.message().contains("access key"), "{}", denied.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_conflict_names_the_status_and_what_would_help() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let post = async |below: &str| tenure.call(&admin, "POST", &format!("{path}{below}")).await;
    let recover = post("/recover").await;
    assert_eq!(recover.refused(409), "STATE_INVALID");
    assert!(recover.message().contains("only a frozen account can be recovered"));
    post("/freeze").await.ok();
    let update = tenure.call_with(&admin, "PUT", &path, json!({"name": "x"})).await;
    assert_eq!(update.refused(409), "STATE_INVALID");
    assert!(update.message().contains("is frozen") && update.message().contains("recover"));
    tenure.call(&admin, "DELETE", &path).await.ok();
    let freeze = post("/freeze").await;
    assert_eq!(freeze.refused(409), "STATE_INVALID");
    assert!(freeze.message().contains("is deleted"), "{}", freeze.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_body_and_a_byte_order_mark_are_named() {
    let tenure = Tenure::start().await;
    let send = async |content_type: &str, body: &str| {
        let request = tenure.request("POST", "/auth/login").body(body);
        let is_typed = !content_type.is_empty();
        tenure
            .send(if is_typed { request.header("content-type", content_type) } else { request })
            .await
    };
    for content_type in ["", "application/json", "text/plain"] {
        let missing = send(content_type, "").await;
        assert_eq!(missing.refused(400), "INVALID_JSON_BODY");
        assert!(missing.message().starts_with("The body is missing"), "{}", missing.text);
    }
    let marked = send("application/json", "\u{feff}{}").await;
    assert!(marked.message().contains("byte order mark"), "{}", marked.text);
}

/// Media types are accepted with parameters, quoted or not (RFC 9110 §8.3), and with the suffix `+json` (RFC 6839
/// §3.1).
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_json_in_utf8_is_accepted() {
    let tenure = Tenure::start().await;
    tenure.account(&tenure.admin().await, "test1").await;
    let body: Value = json!({"username": "test1", "password": PASSWORD});
    let send = async |content_type: &str| {
        let request = tenure.request("POST", "/auth/login").header("content-type", content_type);
        tenure.send(request.body(body.to_string())).await
    };
    for accepted in [
        "application/json;",
        "application/json; charset=utf8",
        "application/json; charset=\"UTF-8\"",
        "application/json; version=1",
        "application/vnd.example+json",
    ] {
        send(accepted).await.ok();
    }
    for refused in ["application/json; charset=utf-16", "application/json; charset=latin-1"] {
        assert_eq!(send(refused).await.refused(415), "UNSUPPORTED_MEDIA_TYPE");
    }
}

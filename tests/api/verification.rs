//! Verification: what operators record about an account's address and identity, and what an account may do
//! without it.

use serde_json::{Value, json};

use crate::harness::{Account, Answer, Tenure, options_with};

impl Tenure {
    /// Sends a verification of the account as an operator.
    async fn verify(&self, admin: &str, account: &Account, body: Value) -> Answer {
        let path = format!("/v1.0/customers/{}/verification", account.id);
        self.call_with(admin, "PUT", &path, body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_activates_an_account_without_mail_and_the_event_names_the_identity() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;

    let active = tenure.verify(&admin, &account, json!({"email_verified": true})).await.ok();
    assert_eq!((&active["status"], &active["email_verified"]), (&json!("active"), &json!(true)));
    assert_eq!(active["identity_verification_status"], "none");
    for status in ["pending", "rejected", "verified"] {
        let body = json!({"identity_verification_status": status});
        let known = tenure.verify(&admin, &account, body).await.ok();
        assert_eq!(known["identity_verification_status"], *status);
        assert_eq!((&known["status"], &known["email_verified"]), (&json!("active"), &json!(true)));
    }
    // A repetition changes nothing.
    let body = json!({"email_verified": true, "identity_verification_status": "verified"});
    let again = tenure.verify(&admin, &account, body).await.ok();
    assert_eq!(again, tenure.verify(&admin, &account, json!({})).await.ok());
    let changed = "customer_identity_verification_updated";
    assert_eq!(
        tenure.events_of(&account.id).await,
        ["customer_created", "customer_updated", changed, changed, changed]
    );
    // A list by status finds the account.
    let found = tenure.call(&admin, "GET", "/v1.0/customers?status=active").await.ok();
    assert_eq!(found["result"][0]["id"], account.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_is_unverified_and_the_account_stays_active() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.verify(&admin, &account, json!({"email_verified": true})).await.ok();
    let path = format!("/v1.0/customers/{}", account.id);
    for (email, verified) in [("TEST1@example.com", true), ("other@example.com", false)] {
        let body = json!({"email": email});
        let changed = tenure.call_with(&admin, "PUT", &path, body).await.ok();
        assert_eq!(changed["email_verified"], verified, "{email}");
        assert_eq!(changed["status"], "active");
    }
    // Unregistering and recovering restores the former status.
    tenure.unregister(&account.token, json!({"password": crate::harness::PASSWORD})).await.ok();
    let refused = tenure.verify(&admin, &account, json!({"email_verified": true})).await;
    assert_eq!(refused.refused(409), "STATE_INVALID");
    let recovered = tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    assert_eq!(recovered["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_with_the_tag_of_another_address_is_refused() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let seen = tenure.call(&admin, "GET", &path).await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let body = json!({"email": "other@example.com"});
    tenure.call_with(&admin, "PUT", &path, body).await.ok();
    let call = tenure.request("PUT", &format!("{path}/verification")).bearer(&admin);
    let call = call.header("if-match", &tag).json(&json!({"email_verified": true}));
    assert_eq!(tenure.send(call).await.refused(412), "ETAG_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_names_what_it_does_not_accept() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for (body, message) in [
        (json!({"email_verified": "yes"}), "email_verified: "),
        (json!({"email_verified": null}), "email_verified: "),
        (json!({"identity_verification_status": "maybe"}), "identity_verification_status: "),
        (json!({"status": "active"}), "status: "),
    ] {
        let refused = tenure.verify(&admin, &account, body).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
        assert!(refused.message().starts_with(message), "{}", refused.text);
    }
    let body = json!({"username": "test2", "password": crate::harness::PASSWORD});
    let nowhere = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    let id = nowhere["id"].as_str().unwrap().to_owned();
    let nowhere = Account { id, token: String::new() };
    let refused = tenure.verify(&admin, &nowhere, json!({"email_verified": true})).await;
    assert_eq!(refused.refused(409), "EMAIL_MISSING");
    let body = json!({"email_verified": false, "identity_verification_status": "rejected"});
    tenure.verify(&admin, &nowhere, body).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_addresses_must_be_verified_an_initial_account_has_no_resources() {
    let tenure = Tenure::start_with(options_with("RequireVerifiedEmail", "true")).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let named = format!("/v1.0/numbers?customer_id={}", account.id);
    let number = tenure.call_with(&admin, "POST", &named, json!({})).await.ok();
    let one = format!("/v1.0/numbers/{}", number["id"].as_str().unwrap());
    let calls = [
        ("GET", "/v1.0/numbers", Value::Null),
        ("POST", "/v1.0/numbers", json!({})),
        ("GET", &one, Value::Null),
        ("PUT", &one, json!({"name": "x"})),
        ("DELETE", &one, Value::Null),
    ];
    let send = async |method: &str, path: &str, body: &Value| {
        let call = tenure.request(method, path).bearer(&account.token);
        tenure.send(if body.is_null() { call } else { call.json(body) }).await
    };
    let before = tenure.accounts().await;
    for (method, path, body) in &calls {
        let refused = send(method, path, body).await;
        assert_eq!(refused.refused(403), "EMAIL_VERIFICATION_REQUIRED", "{method} {path}");
    }
    assert_eq!(tenure.accounts().await, before);
    // Everything else in the account is still possible.
    tenure.call(&account.token, "GET", "/v1.0/customer").await.ok();
    tenure.access_key(&account.token).await;

    tenure.verify(&admin, &account, json!({"email_verified": true})).await.ok();
    for (method, path, body) in &calls {
        send(method, path, body).await.ok();
    }
}

//! Updates of accounts, by operators and by their owners.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Account, PASSWORD, Tenure};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Creates two accounts, to be updated in the two possible ways: the first by an operator, the second by
/// its owner. Returns for each the token and the path of the update, and the account.
async fn ways(tenure: &Tenure, admin: &str) -> [(String, String, Account); 2] {
    let (one, other) = (tenure.account(admin, "test1").await, tenure.account(admin, "test2").await);
    [
        (admin.to_owned(), format!("/v1.0/customers/{}", one.id), one),
        (other.token.clone(), "/v1.0/customer".to_owned(), other),
    ]
}

/// Returns the body that updates `field`. An owner who changes the e-mail address also has to send the
/// password.
fn update(path: &str, field: &str, value: &Value) -> Value {
    let mut body = json!({field: value});
    if field == "email" && path == "/v1.0/customer" {
        body["current_password"] = json!(PASSWORD);
    }
    body
}

/// Returns the representation of an account, without the fields that only its owner sees.
async fn shown(tenure: &Tenure, token: &str, path: &str) -> Value {
    let mut shown = tenure.call(token, "GET", path).await.ok();
    for own in ["webhook_secret", "webhook_disabled"] {
        shown.as_object_mut().unwrap().remove(own);
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn put_keeps_absent_and_clears_blank_fields() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for (token, path, account) in ways(&tenure, &admin).await {
        let whole = tenure.call(&token, "GET", &path).await.ok();
        assert_eq!(whole["id"], account.id);
        for (field, value) in [
            ("name", "N"),
            ("detail", "D"),
            ("email", "n@example.org"),
            ("phone_number", "+1"),
            ("address", "A"),
            ("webhook_method", "PUT"),
            ("webhook_uri", "https://example.org/"),
        ] {
            let before = shown(&tenure, &token, &path).await;
            for said in [value, ""] {
                let body = update(&path, field, &json!(said));
                let after = tenure.call_with(&token, "PUT", &path, body).await.ok();
                let mut expected = before.clone();
                expected[field] = json!(said);
                expected["tm_update"] = after["tm_update"].clone();
                assert_eq!(after, expected, "{field}");
                assert_eq!(shown(&tenure, &token, &path).await, after);
            }
            let body = update(&path, field, &before[field]);
            tenure.call_with(&token, "PUT", &path, body).await.ok();
        }
        let nothing = shown(&tenure, &token, &path).await;
        assert_eq!(tenure.call_with(&token, "PUT", &path, json!({})).await.ok(), nothing);
        let metadata = format!("{path}/metadata");
        let switched =
            tenure.call_with(&token, "PUT", &metadata, json!({"rtp_debug": true})).await.ok();
        assert_eq!(switched["metadata"], json!({"rtp_debug": true}));
        let same = tenure.call_with(&token, "PUT", &metadata, json!({})).await.ok();
        assert_eq!(same["metadata"], json!({"rtp_debug": true}));
        for refused in [json!({"status": "active"}), json!({"name": null}), json!({"id": NIL})] {
            let answer = tenure.call_with(&token, "PUT", &path, refused).await;
            assert_eq!(answer.refused(400), "INVALID_ARGUMENT");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_or_deleted_account_is_not_changed() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let changes = [
        ("", json!({"name": "x"})),
        ("/metadata", json!({"rtp_debug": true})),
        ("/billing_account_id", json!({"billing_account_id": NIL})),
    ];
    tenure.call(&admin, "POST", &format!("{path}/freeze")).await.ok();
    for status in ["frozen", "deleted"] {
        let before = tenure.call(&admin, "GET", &path).await.ok();
        assert_eq!(before["status"], status);
        for (below, body) in changes.clone() {
            let answer = tenure.call_with(&admin, "PUT", &format!("{path}{below}"), body).await;
            assert_eq!(answer.refused(409), "STATE_INVALID", "{below} of a {status} account");
        }
        assert_eq!(tenure.call(&admin, "GET", &path).await.ok(), before);
        tenure.call(&admin, "DELETE", &path).await.ok();
    }
}

/// Tries to set an e-mail address; returns the status: 200, or 409 with the reason `EMAIL_TAKEN`.
async fn try_email(tenure: &Tenure, (token, path): (&str, &str), email: &str) -> u16 {
    let body = update(path, "email", &json!(email));
    let answer = tenure.call_with(token, "PUT", path, body).await;
    if answer.status != 200 {
        assert_eq!(answer.refused(409), "EMAIL_TAKEN");
    }
    answer.status
}

#[tokio::test(flavor = "multi_thread")]
async fn email_that_an_operator_sets_is_unique_while_an_account_has_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let [(_, path, _), (.., other)] = ways(&tenure, &admin).await;
    let other = format!("/v1.0/customers/{}", other.id);
    let (one, other) = ((admin.as_str(), path.as_str()), (admin.as_str(), other.as_str()));

    // Addresses that differ only in case are the same address; the owner of one may change its case.
    for (who, email, status) in [
        (other, "test1@example.com", 409),
        (other, "TEST1@Example.COM", 409),
        (one, "Test1@Example.com", 200),
        (other, "test1@example.com", 409),
        // Cleared, it is free at once, and can be claimed again.
        (one, "", 200),
        (one, "test1@example.com", 200),
        (other, "test1@example.com", 409),
        (one, "new@example.com", 200),
        (other, "test1@example.com", 200),
        (one, "test1@example.com", 409),
        // A withheld address is not unique.
        (one, "[email protected]", 200),
        (other, "[email protected]", 200),
        (one, "test1@example.com", 200),
    ] {
        assert_eq!(try_email(&tenure, who, email).await, status, "{email}");
    }
    let locks = tenure.accounts().await;
    let locks = locks.iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("EMAIL#"));
    let locks: Vec<_> = locks.map(|item| &item["sk"]["S"].as_str().unwrap()[..1]).collect();
    assert_eq!(locks, ["L", "M"], "the lock and the entry of one account");
}

#[tokio::test(flavor = "multi_thread")]
async fn email_in_another_spelling_is_taken_and_found() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let [(_, path, _), (.., other)] = ways(&tenure, &admin).await;
    let other = format!("/v1.0/customers/{}", other.id);
    let (one, other) = ((admin.as_str(), path.as_str()), (admin.as_str(), other.as_str()));
    for (email, spelling, found) in [
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "Ann@B%C3%9CCHER.example"),
        ("ann@xn--bcher-kva.example", "ann@bu\u{308}cher.example", "ann@b%C3%BCcher.example"),
        ("jose\u{301}@example.com", "JOSÉ@example.com", "jos%C3%A9@example.com"),
        ("straße@example.com", "STRASSE@example.com", "strasse@example.com"),
        (
            "संपर्क@डेटामेल.भारत",
            "संपर्क@xn--c2bd4bq2d9bd.xn--h2brj9c",
            "%E0%A4%B8%E0%A4%82%E0%A4%AA%E0%A4%B0%E0%A5%8D%E0%A4%95@xn--c2bd4bq2d9bd.xn--h2brj9c",
        ),
    ] {
        assert_eq!(try_email(&tenure, one, email).await, 200, "{email}");
        assert_eq!(try_email(&tenure, other, spelling).await, 409, "{spelling}");
        // The spelling can be changed, and the one that was given last is shown.
        assert_eq!(try_email(&tenure, one, spelling).await, 200, "{spelling}");
        let query = format!("/v1.0/customers?email={found}");
        let rows = tenure.call(&admin, "GET", &query).await.ok();
        assert_eq!(rows["result"][0]["email"], spelling, "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_email_claims_have_one_winner() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let mut calls = JoinSet::new();
    for number in 0..12 {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        calls.spawn(async move {
            let path = format!("/v1.0/customers/{}", account.id);
            let email = if number % 2 == 0 { "one@example.com" } else { "ONE@example.com" };
            let won = try_email(&tenure, (&admin, &path), email).await == 200;
            (format!("test{number}@example.com"), path, won)
        });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|(.., won)| *won).count(), 1);
    let outsider = format!("/v1.0/customers/{}", tenure.account(&admin, "outsider").await.id);
    for (own, path, won) in answers {
        let shown = tenure.call(&admin, "GET", &path).await.ok();
        assert_eq!(shown["email"] == own, !won, "{shown}");
        // Losers keep their address and its lock; the winner has released its old one.
        let status = try_email(&tenure, (&admin, &outsider), &own).await;
        assert_eq!(status, if won { 200 } else { 409 }, "{own}");
    }
}

async fn billing_account(tenure: &Tenure, token: &str) -> String {
    let made = tenure.call_with(token, "POST", "/v1.0/billing_accounts", json!({})).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

fn pays(id: &str) -> Value {
    json!({"billing_account_id": id})
}

#[tokio::test(flavor = "multi_thread")]
async fn billing_account_must_exist_in_the_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let stranger = tenure.account(&admin, "stranger").await;
    let foreign = billing_account(&tenure, &stranger.token).await;
    for (token, path, account) in ways(&tenure, &admin).await {
        let set = format!("{path}/billing_account_id");
        let (one, other) = (
            billing_account(&tenure, &account.token).await,
            billing_account(&tenure, &account.token).await,
        );
        let number =
            tenure.call_with(&account.token, "POST", "/v1.0/numbers", json!({})).await.ok();
        let number = number["id"].as_str().unwrap();
        for missing in [&foreign, number, &account.id, "5e4a0680-804e-11ec-8477-2fea5968d85b"] {
            let answer = tenure.call_with(&token, "PUT", &set, pays(missing)).await;
            assert_eq!(answer.refused(404), "BILLING_ACCOUNT_NOT_FOUND");
        }
        for bad in [
            json!({}),
            pays(""),
            pays("x"),
            pays(&one.replace('-', "")),
            json!({"billing_account_id": null}),
            json!({"billing_account_id": 5}),
            json!({"billing_account_id": one, "x": 1}),
        ] {
            let answer = tenure.call_with(&token, "PUT", &set, bad.clone()).await;
            assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{bad}");
            assert!(
                answer.message().contains("billing_account_id") || bad["x"] == 1,
                "{}",
                answer.text
            );
        }
        assert_eq!(tenure.call(&token, "GET", &path).await.ok()["billing_account_id"], NIL);

        let set_to = async |id: &str| {
            let told = tenure.call_with(&token, "PUT", &set, pays(&id.to_uppercase())).await.ok();
            assert_eq!(told["billing_account_id"], id);
            assert_eq!(shown(&tenure, &token, &path).await, told);
        };
        let delete = async |id: &str| {
            tenure.call(&account.token, "DELETE", &format!("/v1.0/billing_accounts/{id}")).await
        };
        // The billing account in use cannot be deleted; any other can.
        set_to(&one).await;
        assert_eq!(delete(&one).await.refused(409), "BILLING_ACCOUNT_IN_USE");
        set_to(&other).await;
        delete(&one).await.ok();
        assert_eq!(
            tenure.call_with(&token, "PUT", &set, pays(&one)).await.refused(404),
            "BILLING_ACCOUNT_NOT_FOUND"
        );
        assert_eq!(delete(&other).await.refused(409), "BILLING_ACCOUNT_IN_USE");
        set_to(NIL).await;
        delete(&other).await.ok();

        // A billing account in use does not prevent the deletion of the account.
        let last = billing_account(&tenure, &account.token).await;
        set_to(&last).await;
        tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
        assert!(tenure.stack.settle().await);
        assert_eq!(tenure.partition(&account.id).await, ["A"]);
        let gone =
            tenure.call(&admin, "GET", &format!("/v1.0/customers/{}", account.id)).await.ok();
        assert_eq!(gone["billing_account_id"], NIL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn me_is_the_calling_agent_or_the_agent_of_the_key() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ann = json!({"username": "ann", "password": PASSWORD, "name": "Ann", "permission": 16});
    let ann = tenure.call_with(&account.token, "POST", "/v1.0/agents", ann).await.ok();
    let session = tenure.login("ann", PASSWORD).await;
    assert_eq!(tenure.call(&session, "GET", "/v1.0/me").await.ok(), ann);

    let key = tenure.access_key(&account.token).await;
    let own = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    assert_eq!((&own["username"], &own["customer_id"]), (&json!("test1"), &json!(account.id)));
    assert_eq!(tenure.call(&key, "GET", "/v1.0/me").await.ok(), own);
    // The route `/v1.0/{kind}` does not match `/v1.0/me`.
    assert_eq!(tenure.call(&session, "POST", "/v1.0/me").await.refused(404), "ROUTE_NOT_FOUND");
}

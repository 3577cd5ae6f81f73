//! Updates replace the fields in the body and keep all others; what `GET` returns can be sent back with
//! `PUT`.

use serde_json::{Value, json};

use crate::harness::{Answer, OPERATORS_PASSWORD, PASSWORD, Tenure, new_customer};

impl Tenure {
    async fn put(&self, token: &str, path: &str, body: &Value, if_match: &str) -> Answer {
        let request = self.request("PUT", path).bearer(token).json(body);
        let has_tag = !if_match.is_empty();
        self.send(if has_tag { request.header("if-match", if_match) } else { request }).await
    }
}

/// Creates an agent, a number and an access key; returns the path of each, and the fields that an update may
/// change.
async fn items(tenure: &Tenure, token: &str) -> [(String, Vec<&'static str>); 3] {
    let create = async |collection: &str, body: Value| {
        let created = tenure.call_with(token, "POST", collection, body).await.ok();
        format!("{collection}/{}", created["id"].as_str().unwrap())
    };
    let ann = json!({"username": "ann", "password": PASSWORD});
    [
        (create("/v1.0/agents", ann).await, vec!["name", "detail"]),
        (create("/v1.0/numbers", json!({"data": {"a": 1}})).await, vec!["name", "detail", "data"]),
        (create("/v1.0/accesskeys", json!({"expire": 86_400})).await, vec!["name", "detail"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn put_keeps_absent_and_clears_blank_fields() {
    let tenure = Tenure::start().await;
    let token = tenure.account(&tenure.admin().await, "test1").await.token;
    for (path, fields) in items(&tenure, &token).await {
        for field in fields {
            let (set, blank) = match field {
                "data" => (json!({"b": [2]}), json!({})),
                _ => (json!("changed"), json!("")),
            };
            let before = tenure.call(&token, "GET", &path).await.ok();
            for value in [set, blank] {
                let body = json!({field: value});
                let changed = tenure.put(&token, &path, &body, "").await.ok();
                let mut expected = before.clone();
                expected[field] = value;
                expected["tm_update"] = changed["tm_update"].clone();
                assert_eq!(changed, expected, "{path}");
                assert_eq!(tenure.call(&token, "GET", &path).await.ok(), expected, "{path}");
            }
        }
        for body in [json!({"surprise": 1}), json!({"name": null}), json!({"name": 1})] {
            assert_eq!(tenure.put(&token, &path, &body, "").await.refused(400), "INVALID_ARGUMENT");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_with_an_outdated_tag_changes_nothing() {
    let tenure = Tenure::start().await;
    let token = tenure.account(&tenure.admin().await, "test1").await.token;
    for (path, _) in items(&tenure, &token).await {
        let got = tenure.call(&token, "GET", &path).await;
        let tag = got.headers["etag"].to_str().unwrap().to_owned();
        let changed = tenure.put(&token, &path, &json!({"name": "a"}), &tag).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let late = tenure.put(&token, &path, &json!({"name": "b"}), &tag).await;
        assert_eq!(late.refused(412), "ETAG_MISMATCH");
        let late = tenure.request("DELETE", &path).bearer(&token).header("if-match", &tag);
        assert_eq!(tenure.send(late).await.refused(412), "ETAG_MISMATCH");
        let now = tenure.call(&token, "GET", &path).await;
        assert_eq!(now.body["name"], "a");
        assert_eq!(now.headers["etag"], changed.headers["etag"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_representation_can_be_put_back_and_changed_read_only_fields_are_named() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let created = tenure.call_with(&admin, "POST", "/v1.0/customers", new_customer("test2")).await;
    let id = created.ok()["id"].as_str().unwrap().to_owned();
    let mut paths = vec![
        (&account.token, "/v1.0/customer".to_owned()),
        (&admin, format!("/v1.0/customers/{id}")),
    ];
    paths.extend(items(&tenure, &account.token).await.map(|(path, _)| (&account.token, path)));
    for (token, path) in paths {
        let got = tenure.call(token, "GET", &path).await.ok();
        let same = tenure.put(token, &path, &got, "").await.ok();
        assert_eq!(without_update(&same), without_update(&got), "{path}");
        let now = tenure.call(token, "GET", &path).await.ok();
        for field in ["id", "tm_create", "tm_update", "tm_delete"] {
            let mut changed = now.clone();
            changed[field] = json!("2000-01-01T00:00:00Z");
            let refused = tenure.put(token, &path, &changed, "").await;
            assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{path}");
            let message = refused.message();
            assert!(message.starts_with(&format!("{field}: is read-only")), "{message}");
        }
        assert_eq!(tenure.call(token, "GET", &path).await.ok(), now);
    }
}

/// A client sends back a representation that another client has meanwhile changed. The status is 412, because
/// of the entity tag, and not 400, because of the outdated read-only `tm_update` in the body.
#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_representation_put_back_with_its_tag_is_412() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut paths = vec![
        (&account.token, "/v1.0/customer".to_owned()),
        (&admin, format!("/v1.0/customers/{}", account.id)),
    ];
    paths.extend(items(&tenure, &account.token).await.map(|(path, _)| (&account.token, path)));
    for (token, path) in paths {
        let got = tenure.call(token, "GET", &path).await;
        let tag = got.headers["etag"].to_str().unwrap().to_owned();
        tenure.put(token, &path, &json!({"name": "another's"}), "").await.ok();
        let mut changed = got.ok();
        changed["detail"] = json!("mine");
        let late = tenure.put(token, &path, &changed, &tag).await;
        assert_eq!(late.refused(412), "ETAG_MISMATCH", "{path}");
    }
}

/// Returns an account without the fields that the test must not compare: the time of the update, and two
/// webhook fields that the response to `PUT /v1.0/customer` does not have.
fn without_update(shown: &Value) -> Value {
    let mut shown = shown.clone();
    for field in ["tm_update", "webhook_secret", "webhook_disabled"] {
        shown.as_object_mut().unwrap().remove(field);
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_updates_an_agent_who_may_do_more() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let me = tenure.call(&admin, "GET", "/v1.0/me").await.ok();
    let path = format!("/v1.0/agents/{}", me["id"].as_str().unwrap());
    let mut bob = json!({"username": "bob", "password": PASSWORD, "permission": 32});
    bob["current_password"] = json!(OPERATORS_PASSWORD);
    tenure.call_with(&admin, "POST", "/v1.0/agents", bob).await.ok();
    let bob = tenure.login("bob", PASSWORD).await;
    let refused = tenure.put(&bob, &path, &json!({"name": "x"}), "").await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    assert_eq!(
        refused.message(),
        "The permission 1 (project admin) + 32 (admin) exceeds yours, which is 32 (admin): nobody can grant, \
         or change who has, more than they have."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_answers_without_a_credential_and_without_a_table() {
    let tenure = Tenure::start().await;
    let answer = tenure.send(tenure.request("GET", "/ping")).await;
    assert_eq!(answer.ok(), json!({"message": "pong"}));
    assert_eq!(tenure.stack.stats()["functions"]["PingFunction"]["dynamodb"]["calls"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_answers_when_the_session_expires() {
    let tenure = Tenure::start().await;
    tenure.account(&tenure.admin().await, "test1").await;
    let session = tenure.try_login("test1", PASSWORD).await.ok();
    let end: jiff::Timestamp = session["tm_expire"].as_str().unwrap().parse().unwrap();
    let hours = (end - tenure.now().await).as_hours();
    assert!((24 * 7 - 1..=24 * 7).contains(&hours), "{hours}");
}

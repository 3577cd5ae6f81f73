//! The log: which fields it has, and that no input of clients appears in it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure};

/// Returns the log lines with this message that belong to the request of this response.
async fn lines_of(tenure: &Tenure, answer: &Answer, message: &str) -> Vec<Value> {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let lines = tenure.stack.logs();
        let lines: Vec<Value> =
            lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let own = |message: &str| {
            let all = lines.iter();
            let own = all.filter(|line| line["request_id"] == id && line["message"] == message);
            own.cloned().collect::<Vec<_>>()
        };
        // The last line of a request. The stack may read it after the answer.
        if !own("request").is_empty() || Instant::now() > deadline {
            return own(message);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_id_is_the_gateways_and_the_clients_is_kept_beside() {
    let tenure = Tenure::start().await;
    let ask = |id: &str| tenure.request("GET", "/nowhere").header("x-request-id", id);
    let mut seen = Vec::new();
    for (sent, kept) in [
        ("my-request_1", json!("my-request_1")),
        ("my-request_1", json!("my-request_1")),
        ("a b", Value::Null),
        ("x\"y", Value::Null),
        (&"x".repeat(64), json!("x".repeat(64))),
        (&"x".repeat(65), Value::Null),
    ] {
        let answer = tenure.send(ask(sent)).await;
        answer.refused(404);
        let id = answer.headers["x-request-id"].clone();
        // The access log has the same id, as `$context.requestId`.
        assert_eq!(id, answer.headers["apigw-requestid"]);
        assert!(!seen.contains(&id), "{id:?} twice");
        seen.push(id);
        let line = &lines_of(&tenure, &answer, "request").await[0];
        assert_eq!(line["client_request_id"], kept, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_log_names_who_asked_by_ids_and_role() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let agent = json!({"type": "agent", "id": me["id"], "role": "customer_admin", "customer_id": account.id});
    for (token, expected) in [(&account.token, &agent["id"]), (&key, &Value::Null)] {
        let answer = tenure.call(token, "GET", "/v1.0/numbers").await;
        let actor = &lines_of(&tenure, &answer, "request").await[0]["actor"];
        assert_eq!(actor["customer_id"], account.id, "{actor}");
        assert_eq!(actor["role"], "customer_admin");
        if *expected == Value::Null {
            assert_eq!(actor["type"], "access_key");
        } else {
            assert_eq!(*actor, agent);
        }
    }
    let nobody = tenure.send(tenure.request("GET", "/v1.0/numbers")).await;
    assert_eq!(lines_of(&tenure, &nobody, "request").await[0].get("actor"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_permission_is_logged_with_actor_and_route() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let refused = tenure.call(&account.token, "DELETE", &path).await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    let line = &lines_of(&tenure, &refused, "authorization_denied").await[0];
    assert_eq!(line["route"], "DELETE /v1.0/customers/{id}");
    assert_eq!(line["actor"]["customer_id"], account.id);
    assert_eq!(line["actor"]["role"], "customer_admin");
    // A bad token, or a status that forbids the call, is not logged as a denied permission.
    let unknown = tenure.call("vbs_unknown", "DELETE", &path).await;
    unknown.refused(401);
    tenure.call(&admin, "POST", &format!("{path}/freeze")).await.ok();
    let frozen = tenure.call(&account.token, "GET", "/v1.0/numbers").await;
    assert_eq!(frozen.refused(403), "ACCOUNT_FROZEN");
    for answer in [unknown, frozen] {
        assert_eq!(lines_of(&tenure, &answer, "authorization_denied").await, Vec::<Value>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_json_with_known_fields_for_any_input() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let injection = "canary\\n{\"level\":\"ERROR\",\"message\":\"canary\"}";
    let requests = [
        tenure.request("GET", "/v1.0/customers?page_size=canary").bearer(&admin),
        tenure.request("GET", "/v1.0/customers?canary=1").bearer(&admin),
        tenure
            .request("GET", "/v1.0/customers?name=canary&email=canary@example.com")
            .bearer(&admin),
        tenure.request("GET", "/v1.0/customers?name=canary&page_token=canary").bearer(&admin),
        tenure.request("GET", "/v1.0/customers/canary").bearer(&admin),
        tenure.request("GET", "/canary%0a%1b[31m").header("x-request-id", injection),
        tenure.request("GET", "/canary").header("user-agent", &"canary".repeat(1000)),
        tenure.request("POST", "/auth/login").json(&json!({"canary": "canary"})),
        tenure.request("POST", "/auth/login").json(&json!({"username": "canary", "password": 1})),
        tenure.request("POST", "/auth/login").header("content-type", "canary").body("canary"),
        tenure
            .request("POST", "/auth/login")
            .header("content-type", "application/json")
            .body(b"{\"username\":\"canary\xff\"".to_vec()),
        tenure.request("POST", "/auth/logout").bearer("vbs_canary"),
        tenure.request("GET", "/v1.0/customers?token=canary"),
    ];
    for request in requests {
        let answer = tenure.send(request).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text);
    }
    for query in ["name=canary", "email=canary@example.com"] {
        tenure.call(&admin, "GET", &format!("/v1.0/customers?{query}")).await.ok();
    }
    let lines = tenure.stack.logs();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        assert!(!line.contains("canary"), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        // A line is a message of ours, an event of a library (with its place in the code), or metrics.
        let is_known = ["message", "at", "_aws"].iter().any(|field| line.get(field).is_some());
        assert!(is_known, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_has_its_reason_as_the_type_of_the_error() {
    let tenure = Tenure::start().await;
    let path = "/2015-03-31/functions/AdminBootstrapFunction/invocations";
    for (event, reason) in
        [(json!({"username": "ann"}), "INVALID_ARGUMENT"), (json!("ann"), "INVALID_JSON_BODY")]
    {
        let answer = tenure.send(tenure.request("POST", path).json(&event)).await;
        assert_eq!(answer.body["errorType"], reason, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_invocation_echoes_no_input() {
    let tenure = Tenure::start().await;
    let bodies = [
        json!("canary-password"),
        json!(["canary", "canary-password"]),
        json!({"username": "canary", "password": ["canary-password"]}),
        json!({"username": "canary user", "password": "canary-password"}),
        json!({"username": "canary", "password": "canary"}),
        json!({"username": "canary", "password": "canary-password", "more": "canary"}),
    ];
    for body in bodies {
        let path = "/2015-03-31/functions/AdminBootstrapFunction/invocations";
        let answer = tenure.send(tenure.request("POST", path).json(&body)).await;
        assert!(answer.body["errorMessage"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    assert!(!tenure.stack.logs().join("\n").contains("canary"));
    // A direct invocation of an API function returns no data.
    for event in [json!({}), json!({"body": PASSWORD}), json!("canary")] {
        let path = "/2015-03-31/functions/CustomerListFunction/invocations";
        let answer = tenure.send(tenure.request("POST", path).json(&event)).await;
        assert!(!answer.text.contains("result"), "{}", answer.text);
    }
}

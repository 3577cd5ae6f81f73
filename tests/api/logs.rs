//! The log: its fields, and no input of clients.

use serde_json::{Value, json};

use crate::harness::{PASSWORD, Tenure};

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
        // A message of ours, the place of a library's event, or metrics.
        let is_known = ["message", "at", "_aws"].iter().any(|field| line.get(field).is_some());
        assert!(is_known, "{line}");
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

//! Invalid input: the response's status, its reason, the field that it names, and that nothing is written.

use serde_json::json;

use crate::harness::{Tenure, new_customer};

#[tokio::test(flavor = "multi_thread")]
async fn invalid_fields_are_named() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = tenure.accounts().await;

    // Field and value, set in an otherwise valid body.
    let long = "x".repeat(3000);
    let creates = [
        ("username", json!(5)),
        ("username", json!(null)),
        ("username", json!("")),
        ("username", json!("a b")),
        ("username", json!(long)),
        ("username", json!("a\u{200b}b")),
        ("username", json!("a\u{202e}b")),
        ("username", json!("a\u{0}")),
        ("password", json!(12_345_678)),
        ("password", json!(null)),
        ("password", json!([])),
        ("password", json!("short")),
        ("password", json!("e\u{301}".repeat(7))),
        ("password", json!("Password1")),
        ("password", json!("         ")),
        ("password", json!("test2-test2")),
        ("password", json!("Tenure 2026")),
        ("password", json!("")),
        ("password", json!("x".repeat(1025))),
        ("name", json!(true)),
        ("name", json!(null)),
        ("name", json!("x".repeat(256))),
        ("name", json!("a\u{0}b")),
        ("name", json!("a\u{202e}b")),
        ("name", json!("a\u{200b}b")),
        ("detail", json!({})),
        ("detail", json!(long)),
        ("email", json!("not-an-address")),
        ("email", json!("[withheld]")),
        ("email", json!("a\u{200b}b@example.com")),
        ("email", json!("a@exam\u{ad}ple.com")),
        ("email", json!("a@b@c")),
        ("email", json!(1)),
        ("email", json!("a@example.com\r\nBcc: b@example.com")),
        ("phone_number", json!(15_551_234_567_u64)),
        ("address", json!("x".repeat(1025))),
        ("webhook_method", json!("PATCH")),
        ("webhook_method", json!("post")),
        ("webhook_method", json!("POST\r\nX: y")),
        // System-managed fields.
        ("id", json!(account.id)),
        ("status", json!("active")),
        ("email_verified", json!(true)),
        ("permission", json!(1)),
        ("billing_account_id", json!(account.id)),
        ("tm_create", json!("2024-01-15T10:30:00Z")),
        ("customer_id", json!(account.id)),
        ("surprise", json!(1)),
    ];
    for (field, value) in creates {
        let mut body = new_customer("test2");
        body[field] = value;
        let answer = tenure.call_with(&admin, "POST", "/v1.0/customers", body.clone()).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{body}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
        assert_eq!(answer.body["error"]["details"][0]["field"], field);
    }
    for field in ["username", "password"] {
        let mut body = new_customer("test2");
        body.as_object_mut().unwrap().remove(field);
        let answer = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await;
        assert!(answer.message().starts_with(&format!("{field}: is missing")), "{}", answer.text);
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_fields_of_changes_are_named() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = tenure.accounts().await;
    let customer = format!("/v1.0/customers/{}", account.id);

    let others = [
        (&admin, "PUT", customer.as_str(), "name", json!(null)),
        (&admin, "PUT", customer.as_str(), "username", json!("x")),
        (&admin, "PUT", customer.as_str(), "metadata", json!({"rtp_debug": true})),
        (&account.token, "PUT", "/v1.0/customer/metadata", "rtp_debug", json!("true")),
        (&account.token, "PUT", "/v1.0/customer/metadata", "rtp_debug", json!(null)),
        (&account.token, "PUT", "/v1.0/customer/metadata", "rtp_debug", json!({"rtp_debug": true})),
        (&account.token, "PUT", "/v1.0/customer/metadata", "other", json!(true)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(86_399)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(0)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(-1)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(1e300)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(86_400.5)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!(u64::MAX)),
        (&account.token, "POST", "/v1.0/accesskeys", "expire", json!("86400")),
        (&account.token, "POST", "/v1.0/accesskeys", "token", json!("vb_x")),
        (&account.token, "POST", "/auth/unregister", "force", json!(true)),
    ];
    for (token, method, path, field, value) in others {
        let answer = tenure.call_with(token, method, path, json!({ field: value })).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{method} {path} {field}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
    }
    let missing = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", json!({})).await;
    assert!(missing.message().starts_with("expire: is missing"), "{}", missing.text);
    for body in [
        json!({"username": "test1", "password": 5}),
        json!({"username": "test1"}),
        json!({"username": "test1", "password": null}),
    ] {
        assert_eq!(
            tenure.send(tenure.request("POST", "/auth/login").json(&body)).await.refused(400),
            "INVALID_ARGUMENT"
        );
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_are_rejected() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let before = tenure.accounts().await;
    let good = new_customer("test1").to_string();
    let twice = good.replacen('{', r#"{"name":"a","#, 1);
    let deep = format!(r#"{{"name":{}"#, "[".repeat(50_000));
    let bodies: [(&str, &[u8], u16, &str); 13] = [
        ("application/json", b"", 400, "INVALID_JSON_BODY"),
        ("application/json", b"{", 400, "INVALID_JSON_BODY"),
        ("application/json", b"[]", 400, "INVALID_JSON_BODY"),
        ("application/json", b"null", 400, "INVALID_JSON_BODY"),
        ("application/json", b"\xef\xbb\xbf{}", 400, "INVALID_JSON_BODY"),
        ("application/json", b"{\"username\":\"\xff\"}", 400, "INVALID_JSON_BODY"),
        ("application/json", br#"{"username":"\ud800"}"#, 400, "INVALID_JSON_BODY"),
        ("application/json", br#"{"username":"a"}{}"#, 400, "INVALID_JSON_BODY"),
        ("application/json", twice.as_bytes(), 400, "INVALID_ARGUMENT"),
        ("application/json", deep.as_bytes(), 400, "INVALID_JSON_BODY"),
        ("text/plain", good.as_bytes(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("application/x-www-form-urlencoded", b"username=a", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("application/json; charset=utf-16", good.as_bytes(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ];
    for (content_type, body, status, reason) in bodies {
        let request = tenure
            .request("POST", "/v1.0/customers")
            .bearer(&admin)
            .header("content-type", content_type);
        let answer = tenure.send(request.body(body.to_vec())).await;
        assert_eq!(
            answer.refused(status),
            reason,
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    }
    for encoding in ["gzip", "br", "identity, gzip"] {
        let request = tenure.request("POST", "/v1.0/customers").bearer(&admin);
        let request = request.header("content-encoding", encoding);
        let answer = tenure.send(request.json(&new_customer("test1"))).await;
        assert_eq!(answer.refused(415), "UNSUPPORTED_MEDIA_TYPE", "{encoding}");
    }
    let digits = "9".repeat(60_000);
    let numbers =
        ["1e999", "-0", "-1", "18446744073709551616", "NaN", "0x10", "01", "1_0", &digits];
    for number in numbers {
        let request = tenure.request("POST", "/v1.0/accesskeys").bearer(&admin);
        let request = request.header("content-type", "application/json");
        let body = format!(r#"{{"expire":{number}}}"#);
        tenure.send(request.body(body)).await.refused(400);
    }
    for size in [64 * 1024 + 1, 1024 * 1024, 5 * 1024 * 1024] {
        let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(size - 11));
        let request = tenure
            .request("POST", "/v1.0/customers")
            .bearer(&admin)
            .header("content-type", "application/json");
        assert_eq!(tenure.send(request.body(body)).await.refused(413), "BODY_TOO_LARGE");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_ids_pages_and_routes_are_rejected() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for id in [
        "x",
        "1",
        "00000000-0000-0000-0000-000000000000",
        "%00",
        "..%2f..",
        "5e4a0680804e11ec84772fea5968d85b",
    ] {
        for (method, path) in [
            ("GET", "customers"),
            ("DELETE", "customers"),
            ("GET", "accesskeys"),
            ("DELETE", "accesskeys"),
            ("GET", "agents"),
            ("DELETE", "agents"),
        ] {
            assert_eq!(
                tenure.call(&admin, method, &format!("/v1.0/{path}/{id}")).await.refused(400),
                "INVALID_ID",
                "{id}"
            );
        }
    }
    let missing = "5E4A0680-804E-11EC-8477-2FEA5968D85B";
    assert_eq!(
        tenure.call(&admin, "GET", &format!("/v1.0/customers/{missing}")).await.refused(404),
        "CUSTOMER_NOT_FOUND"
    );
    assert_eq!(
        tenure.call(&admin, "DELETE", &format!("/v1.0/accesskeys/{missing}")).await.refused(404),
        "ACCESSKEY_NOT_FOUND"
    );

    let queries = [
        "page_size=0",
        "page_size=-1",
        "page_size=1e3",
        "page_size=abc",
        "page_size=",
        "page_size=%31%20",
        "page_size=1&page_size=2",
        "page_token=x",
        "page_token=2024-01-15",
        "page_token=99999-01-01T00:00:00Z",
        "page_token=2024-01-15T10:30:00Z~x",
        "page_token=%7B%22pk%22%3A%22x%22%7D",
        "page_token=%27%20OR%201",
        "surprise=1",
    ];
    for query in queries {
        for path in ["customers", "accesskeys", "agents"] {
            let answer = tenure.call(&admin, "GET", &format!("/v1.0/{path}?{query}")).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query}");
        }
    }
    let named = format!("/v1.0/customers?customer_id={}", missing.to_lowercase());
    let answer = tenure.call(&admin, "GET", &named).await;
    assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
    for query in [
        "page_size=1",
        "page_size=100",
        "page_size=1000000000",
        "page_size=99999999999999999999999",
        "page_token=",
    ] {
        tenure.call(&admin, "GET", &format!("/v1.0/customers?{query}")).await.ok();
    }

    let routes = [
        ("GET", "/"),
        ("GET", "/v1.0"),
        ("GET", "/v1.0/customers/"),
        ("GET", "//v1.0/customers"),
        ("GET", "/V1.0/customers"),
        ("GET", "/auth/login"),
        ("PATCH", "/v1.0/customers"),
        ("TRACE", "/v1.0/customers"),
        ("POST", "/v1.0/customer/metadata"),
        // These match `/v1.0/{kind}/{id}`, but name no kind.
        ("GET", "/v1.0/customer/metadata"),
        ("DELETE", "/v1.0/customer/metadata"),
        ("GET", "/v1.0/Numbers"),
        ("GET", "/v1.0/number"),
        ("POST", "/v1.0/sessions"),
        ("GET", "/v1.0/sessions/5e4a0680-804e-11ec-8477-2fea5968d85b"),
        ("PUT", "/v1.0/number/5e4a0680-804e-11ec-8477-2fea5968d85b"),
        ("GET", "/v1.0/numbers/"),
        ("PUT", "/auth/unregister"),
    ];
    for (method, path) in routes {
        assert_eq!(
            tenure.call(&admin, method, path).await.refused(404),
            "ROUTE_NOT_FOUND",
            "{method} {path}"
        );
        let anonymous = tenure.send(tenure.request(method, path)).await;
        assert_eq!(anonymous.refused(404), "ROUTE_NOT_FOUND", "{method} {path}");
    }
}

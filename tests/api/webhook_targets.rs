//! Validation of webhook URIs when an account is written.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::harness::{Tenure, new_customer, options, options_with, quick};

const HOSTILE: &str = include_str!("../data/webhook_uris_hostile.json");
const GOOD: &str = include_str!("../data/webhook_uris_good.json");

fn list(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

fn customer_with(uri: &Value) -> Value {
    let mut body = new_customer("test2");
    body["webhook_uri"] = uri.clone();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_webhook_uris_are_rejected_and_nothing_written() {
    let tenure = Tenure::start_with(quick(options())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let before = tenure.accounts().await;

    let mut uris: Vec<Value> = list(HOSTILE).into_iter().map(Value::from).collect();
    assert!(uris.len() >= 300);
    uris.extend([json!(null), json!(5), json!(["https://example.com/"]), json!({}), json!(true)]);
    let calls = uris.iter().flat_map(|uri| {
        [
            ("POST", "/v1.0/customers", customer_with(uri)),
            ("PUT", &path, json!({ "webhook_uri": uri })),
        ]
    });
    let refused = |(method, path, body): (_, _, Value)| {
        let (tenure, admin) = (&tenure, &admin);
        async move {
            let uri = body["webhook_uri"].clone();
            let answer = tenure.call_with(admin, method, path, body).await;
            assert_eq!(answer.refused(400), "INVALID_WEBHOOK_URI", "{method} {uri}");
            assert!(answer.message().starts_with("webhook_uri: must"), "{}", answer.text);
            assert_eq!(answer.body["error"]["details"][0]["field"], "webhook_uri");
        }
    };
    stream::iter(calls).for_each_concurrent(8, refused).await;
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_webhook_uris_are_stored_as_sent() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut body = new_customer("test1");
    body["webhook_uri"] = json!("");
    let created = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    assert_eq!(created["webhook_uri"], "");

    let path = format!("/v1.0/customers/{}", created["id"].as_str().unwrap());
    let good = list(GOOD);
    assert!(good.len() >= 40);
    for uri in good.iter().map(String::as_str).chain([""]) {
        let updated =
            tenure.call_with(&admin, "PUT", &path, json!({ "webhook_uri": uri })).await.ok();
        assert_eq!(updated["webhook_uri"], uri);
        let shown = tenure.call(&admin, "GET", &path).await.ok();
        assert_eq!(shown["webhook_uri"], uri);
    }
}

/// The API's own domain is refused as a webhook's host, by every route that sets a webhook.
#[tokio::test(flavor = "multi_thread")]
async fn the_apis_own_domain_is_no_target() {
    let mut options = options_with("DomainName", "api.example.com");
    let certificate = "arn:aws:acm:us-east-1:123456789012:certificate/a".to_owned();
    options.parameters.insert("CertificateArn".to_owned(), certificate);
    let tenure = Tenure::start_with(options).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    for (uri, is_own) in [
        ("https://api.example.com/v1.0/customer/webhook_test?accesskey=vb_x", true),
        ("https://API.EXAMPLE.COM:443/", true),
        ("https://hooks.api.example.com/", false),
        ("https://example.com/?api.example.com", false),
    ] {
        for (token, method, path, body) in [
            (&admin, "PUT", path.as_str(), json!({ "webhook_uri": uri })),
            (&account.token, "PUT", "/v1.0/customer", json!({ "webhook_uri": uri })),
            (&admin, "POST", "/v1.0/customers", customer_with(&json!(uri))),
        ] {
            let answer = tenure.call_with(token, method, path, body).await;
            if is_own {
                assert_eq!(answer.refused(400), "INVALID_WEBHOOK_URI", "{method} {path} {uri}");
                let rule = "webhook_uri: must have another host than this API";
                assert!(answer.message().starts_with(rule), "{}", answer.text);
            } else if method == "PUT" {
                assert_eq!(answer.ok()["webhook_uri"], uri);
            }
        }
    }
}

/// The parameter `WebhookAllowLoopback` allows loopback addresses, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn loopback_webhooks_are_allowed_only_by_parameter() {
    let loopback = ["http://127.0.0.1:8080/hook", "http://[::1]:8080/", "http://localhost:8080/"];
    for (value, is_allowed) in [("true", true), ("false", false)] {
        let tenure = Tenure::start_with(options_with("WebhookAllowLoopback", value)).await;
        let admin = tenure.admin().await;
        let account = tenure.account(&admin, "test1").await;
        let path = format!("/v1.0/customers/{}", account.id);
        for uri in loopback {
            let answer =
                tenure.call_with(&admin, "PUT", &path, json!({ "webhook_uri": uri })).await;
            if is_allowed {
                assert_eq!(answer.ok()["webhook_uri"], uri);
            } else {
                assert_eq!(answer.refused(400), "INVALID_WEBHOOK_URI", "{uri}");
            }
        }
        for uri in [
            "https://127.0.0.1/",
            "http://127.0.0.2:8080/",
            "http://169.254.169.254/",
            "http://example.com/",
            "http://u@localhost:8080/",
        ] {
            let answer =
                tenure.call_with(&admin, "PUT", &path, json!({ "webhook_uri": uri })).await;
            assert_eq!(answer.refused(400), "INVALID_WEBHOOK_URI", "{uri}");
        }
    }
}

/// A webhook to the deployment itself is refused, because it could cause the next webhook, and so on.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_the_deployment_itself_are_no_targets() {
    let mut options = options();
    let certificate = "arn:aws:acm:us-east-1:123456789012:certificate/0";
    for (name, value) in [("DomainName", "api.example.com"), ("CertificateArn", certificate)] {
        options.parameters.insert(name.to_owned(), value.to_owned());
    }
    let tenure = Tenure::start_with(options).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let set = async |host: &str| {
        let body = json!({"webhook_method": "POST", "webhook_uri": format!("https://{host}/hook")});
        tenure.call_with(&account.token, "PUT", "/v1.0/customer", body).await
    };
    assert_eq!(set("api.example.com").await.refused(400), "INVALID_WEBHOOK_URI");
    assert_eq!(set("API.Example.com.").await.refused(400), "INVALID_WEBHOOK_URI");
    // The host name that API Gateway assigns is accepted here: only the function that sends webhooks knows
    // it, and refuses to send.
    set("Api.execute-api.us-east-1.amazonaws.com").await.ok();
    tenure.call(&account.token, "POST", "/v1.0/customer/webhook_test").await.ok();
    assert!(tenure.stack.settle().await);
    let log = tenure.call(&account.token, "GET", "/v1.0/webhook_deliveries").await.ok();
    assert_eq!(log["result"][0]["last_result"], "blocked", "{log}");
}

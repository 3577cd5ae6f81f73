//! Undocumented parameters: a route refuses query parameters that its OpenAPI description does not have, and
//! headers that would change the meaning of the request.

use std::collections::BTreeSet;

use local::Description;
use serde_json::{Value, json};

use crate::harness::{Answer, Tenure};

/// Returns a route's method, and its path with an id that does not exist.
fn path(route: &str) -> (&str, String) {
    let (method, path) = route.split_once(' ').unwrap();
    let path = path.replace("{kind}", "numbers");
    (method, path.replace("{id}", "01900000-0000-7000-8000-000000000000"))
}

/// Returns the names of an operation's documented parameters in the query or in the header, as `place` says.
fn described(
    description: &Description,
    route: &str,
    operation: &Value,
    place: &str,
) -> BTreeSet<String> {
    let of_path = &description.document()["paths"][route.split_once(' ').unwrap().1];
    let parameters = [operation, of_path].map(|item| item["parameters"].as_array());
    let parameters = parameters.into_iter().flatten().flatten();
    let parameters = parameters.map(|parameter| description.resolve(parameter));
    parameters
        .filter(|parameter| parameter["in"] == place)
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

impl Tenure {
    async fn send_to(&self, admin: &str, route: &str, query: &str, header: &str) -> Answer {
        let (method, path) = path(route);
        let mut request = self.request(method, &format!("{path}{query}")).bearer(admin);
        if !header.is_empty() {
            request = request.header(header, "*");
        }
        self.send(request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_query_parameter_is_refused_with_those_that_are_described() {
    let tenure = Tenure::start().await;
    let (admin, description) = (tenure.admin().await, &Description::of_api().unwrap());
    let before = tenure.accounts().await;
    for (route, operation) in description.operations() {
        let answer = tenure.send_to(&admin, &route, "?dry_run=1", "").await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{route}");
        assert_eq!(answer.body["error"]["details"], json!([{"field": "dry_run"}]), "{route}");
        let message = answer.body["error"]["message"].as_str().unwrap();
        let accepted = message.strip_prefix("dry_run: unknown query parameter; accepted: ");
        let accepted = accepted.and_then(|names| names.strip_suffix('.')).unwrap_or(message);
        let accepted: BTreeSet<_> =
            accepted.split(", ").filter(|name| *name != "none").map(str::to_owned).collect();
        assert_eq!(accepted, described(description, &route, operation, "query"), "{route}");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_would_change_the_meaning_is_refused_where_it_is_not_described() {
    let tenure = Tenure::start().await;
    let (admin, description) = (tenure.admin().await, &Description::of_api().unwrap());
    let before = tenure.accounts().await;
    for (route, operation) in description.operations() {
        let described = described(description, &route, operation, "header");
        for header in [
            "Prefer",
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
        ] {
            if described.contains(header) {
                continue;
            }
            let answer = tenure.send_to(&admin, &route, "", header).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{route} {header}");
            assert_eq!(answer.body["error"]["details"], json!([{"field": header}]), "{route}");
        }
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_admin_names_the_account_of_a_new_resource() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let answer = tenure.call_with(&admin, "POST", "/v1.0/numbers", json!({})).await;
    assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
    assert_eq!(answer.body["error"]["details"], json!([{"field": "customer_id"}]));
    let path = format!("/v1.0/numbers?customer_id={}", account.id);
    tenure.call_with(&admin, "POST", &path, json!({})).await.ok();
    tenure.call_with(&account.token, "POST", "/v1.0/numbers", json!({})).await.ok();
}

/// Outside of `/v1.0`, `token` and `accesskey` in the query are not credentials: they are refused like any
/// unknown query parameter.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_the_url_of_auth_routes_are_refused_without_being_repeated() {
    let tenure = Tenure::start().await;
    for name in ["token", "accesskey"] {
        let path = format!("/auth/login?{name}=canary");
        let answer = tenure.send(tenure.request("POST", &path).json(&json!({}))).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
}

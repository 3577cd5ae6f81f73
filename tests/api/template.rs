//! The template is what runs, and holds to our rules.

use std::collections::BTreeSet;

use sam_local::{Options, Stack};
use serde_json::json;

use crate::harness::{Template, Tenure, options, root};

/// A template without the lines from `first` to the next blank one.
fn without_block(text: &str, first: &str) -> String {
    let start = text.find(first).unwrap();
    let end = start + text[start..].find("\n\n").unwrap();
    format!("{}{}", &text[..start], &text[end..])
}

#[test]
fn every_binary_is_a_function_and_every_function_a_binary() {
    let text = Template::text();
    let named: BTreeSet<_> = text
        .split("Binary: ")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().to_owned())
        .collect();
    let files = std::fs::read_dir(root().join("functions/src/bin")).unwrap();
    let built: BTreeSet<_> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(named, built);
}

#[test]
fn no_permission_is_wider_than_named_and_none_reads_whole_tables() {
    // A key's own policy names the key as `*`: there is no other way to write it.
    let text = without_block(&Template::text(), "  ReceiptKey:");
    for line in text.lines().filter(|line| line.contains("Action:") || line.contains("Resource:")) {
        assert!(!line.contains('*') && !line.contains("Scan"), "{line}");
    }
}

/// Query strings have credentials, names and addresses in them.
#[test]
fn the_access_log_says_no_more_than_it_names() {
    let text = Template::text();
    let format = text.lines().find(|line| line.trim().starts_with("Format: ")).unwrap();
    let named = format.split("$context.").skip(1).map(|rest| rest.split('"').next().unwrap());
    let known = [
        "requestId",
        "identity.sourceIp",
        "routeKey",
        "status",
        "responseLatency",
        "responseLength",
    ];
    assert_eq!(named.collect::<Vec<_>>(), known);
}

#[tokio::test]
async fn a_production_does_not_let_webhooks_go_to_itself() {
    let parameters = [("Stage", "prod"), ("WebhookAllowLoopback", "true")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let refused = Stack::start(Options { parameters, ..options() }).await;
    let error = refused.err().expect("the template refuses it").to_string();
    assert!(error.contains("Rules.NoLoopbackInProduction"), "{error}");
}

#[test]
fn a_keys_policy_is_about_this_account_and_named_actions() {
    let text = Template::text();
    let start = text.find("      KeyPolicy:").unwrap();
    let policy = &text[start..start + text[start..].find("\n\n").unwrap()];
    assert_eq!(policy.matches('*').count(), policy.matches("Resource: \"*\"").count(), "{policy}");
    for principal in policy.lines().filter(|line| line.contains("Principal")) {
        assert!(principal.contains("${AWS::AccountId}:root"), "{principal}");
    }
}

#[test]
fn no_deployment_moves_the_clock_or_the_endpoints_or_knows_hosts_of_its_own() {
    let text = Template::text();
    for variable in ["TENURE_CLOCK_OFFSET_SECONDS", "AWS_ENDPOINT_URL", "LOCAL_HOSTS"] {
        assert!(!text.contains(variable), "{variable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_taken_out_is_gone_and_only_that() {
    let template = Template::edited(|text| without_block(&text, "  CustomerListFunction:"));
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    assert_eq!(tenure.call(&admin, "GET", "/v1.0/customers").await.refused(404), "ROUTE_NOT_FOUND");
    tenure.account(&admin, "test1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_taken_out_breaks_what_needs_it_and_only_that() {
    let template = Template::edited(|text| text.replace(", BUS_NAME: !Ref Bus}", "}"));
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let batch = json!({"Records": []});
    let path = "/2015-03-31/functions/OutboxPublishFunction/invocations";
    let answer = tenure.send(tenure.request("POST", path).json(&batch)).await;
    assert!(answer.headers.contains_key("x-amz-function-error"), "{}", answer.text);
    assert!(tenure.stack.logs().iter().any(|line| line.contains("BUS_NAME is not set")));
}

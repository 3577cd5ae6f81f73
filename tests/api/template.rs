//! Rules for `template.yaml`, and tests that the local stack runs what the template says.

use std::collections::BTreeSet;
use std::process::Command;

use sam_local::{Options, Stack};
use serde_json::{Value, json};
use shared::store::backfill::INDEX_KEYS;

use crate::harness::{Template, Tenure, options, root};

/// Returns the template without the lines from `first` to the next blank line.
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
    let built: BTreeSet<_> =
        binaries().iter().map(|binary| binary["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, built);
}

/// Cargo would link a test harness for each binary, which takes longer than running all unit tests.
#[test]
fn no_binary_is_built_as_a_test_harness() {
    for binary in binaries() {
        assert_eq!(binary["test"], false, "add {} to functions/Cargo.toml", binary["name"]);
    }
}

/// Returns the binary targets of the package `functions`, from `cargo metadata`.
fn binaries() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages.find(|package| package["name"] == "functions").unwrap();
    let targets = package["targets"].as_array().unwrap().iter();
    targets.filter(|target| target["kind"][0] == "bin").cloned().collect()
}

/// When an update adds an index, the backfill writes its key attributes into the accounts that exist already.
/// It must know all of them.
#[test]
fn the_backfill_writes_every_index_key_of_the_accounts_table() {
    let text = Template::text();
    let table = text.split("\n  AccountsTable:").nth(1).unwrap();
    let table = table.split("\n  OutboxTable:").next().unwrap();
    let declared = table.split("- {AttributeName: ").skip(1);
    let declared = declared.filter(|rest| rest.lines().next().unwrap().contains("AttributeType"));
    let declared: BTreeSet<_> = declared.map(|rest| rest.split(',').next().unwrap()).collect();
    // Every account has a status.
    let own = ["pk", "sk", "status"];
    assert_eq!(declared, INDEX_KEYS.into_iter().chain(own).collect::<BTreeSet<_>>());
}

#[test]
fn no_policy_has_wildcards_or_scans() {
    // A key policy can name its key only as `*`.
    let text = without_block(&Template::text(), "  ReceiptKey:");
    for line in text.lines().filter(|line| line.contains("Action:") || line.contains("Resource:")) {
        assert!(!line.contains('*') && !line.contains("Scan"), "{line}");
    }
}

/// Query strings, which hold credentials, names and addresses, must not appear in the access log.
#[test]
fn access_log_has_only_listed_fields() {
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
        "integrationStatus",
        "integrationErrorMessage",
    ];
    assert_eq!(named.collect::<Vec<_>>(), known);
}

#[tokio::test]
async fn production_rejects_loopback_webhooks_and_a_grace_of_less_than_a_week() {
    for (parameter, value, rule) in [
        ("WebhookAllowLoopback", "true", "Rules.NoLoopbackInProduction"),
        ("GraceDays", "0", "Rules.GraceInProduction"),
        ("GraceDays", "1", "Rules.GraceInProduction"),
        ("GraceDays", "8", "GraceDays"),
    ] {
        // Loopback webhooks are on in the tests, where nothing else is said.
        let off = ("WebhookAllowLoopback", "false");
        let parameters = [("Stage", "prod"), off, (parameter, value)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let refused = Stack::start(Options { parameters, ..options() }).await;
        let error = refused.err().expect("the template rejects it").to_string();
        assert!(error.contains(rule), "{parameter}={value}: {error}");
    }
}

#[test]
fn key_policy_names_this_account_and_its_actions() {
    let text = Template::text();
    let start = text.find("      KeyPolicy:").unwrap();
    let policy = &text[start..start + text[start..].find("\n\n").unwrap()];
    assert_eq!(policy.matches('*').count(), policy.matches("Resource: \"*\"").count(), "{policy}");
    for principal in policy.lines().filter(|line| line.contains("Principal")) {
        assert!(principal.contains("${AWS::AccountId}:root"), "{principal}");
    }
}

#[test]
fn template_sets_no_variables_of_the_local_stack() {
    let text = Template::text();
    for variable in ["TENURE_CLOCK_OFFSET_SECONDS", "AWS_ENDPOINT_URL", "LOCAL_HOSTS"] {
        assert!(!text.contains(variable), "{variable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_route_is_gone_and_no_other() {
    let template = Template::edited(|text| without_block(&text, "  CustomerListFunction:"));
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    assert_eq!(tenure.call(&admin, "GET", "/v1.0/customers").await.refused(404), "ROUTE_NOT_FOUND");
    tenure.account(&admin, "test1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_variable_breaks_only_its_function() {
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

/// Returns the template's functions: each with the name of its binary and the text of its resource.
fn functions(text: &str) -> Vec<(String, String)> {
    let resource = |block: &str| {
        let (_, rest) = block.split_once("Binary: ")?;
        Some((rest.split('}').next()?.to_owned(), block.to_owned()))
    };
    text.split("\n\n").filter_map(resource).collect()
}

/// With `ReportBatchItemFailures` in the event source mapping, Lambda retries only those records that the
/// function reports as failed. Exactly the functions that report such records must have the setting.
#[test]
fn batches_are_reported_in_part_where_the_function_says_what_has_failed() {
    for (binary, resource) in functions(&Template::text()) {
        let source = root().join(format!("functions/src/bin/{binary}.rs"));
        let names_failures = std::fs::read_to_string(source).unwrap().contains("BatchFailures");
        let is_heard = resource.contains("FunctionResponseTypes: [ReportBatchItemFailures]");
        assert_eq!(is_heard, names_failures, "{binary}");
    }
}

/// An invocation that no caller waits for (asynchronous, or by a schedule, rule or stream) is retried and, if
/// it keeps failing, kept in a queue. Bounces of mail are the exception: they hold addresses, which no queue
/// may keep.
#[test]
fn what_a_background_function_cannot_do_is_kept_in_a_queue() {
    let mut background = 0;
    for (binary, resource) in functions(&Template::text()) {
        let events = resource.split_once("\n      Events:\n").map_or("", |(_, events)| events);
        let lines = |begin: &str| events.lines().filter(|line| line.starts_with(begin)).count();
        let sources = lines("          Type: ") - lines("          Type: HttpApi");
        if sources == 0 || binary == "mail_feedback" {
            continue;
        }
        background += 1;
        let invocations = "\n        DestinationConfig: {OnFailure: {Type: SQS, Destination: ";
        assert!(resource.contains(invocations), "{binary}: invocations");
        let queues = lines("            DeadLetterConfig: {Arn: ")
            + lines("            DestinationConfig: {OnFailure: {Type: SQS, Destination: ");
        assert_eq!(queues, sources, "{binary}: what its sources cannot deliver");
    }
    assert!(background >= 5, "{background} functions");
}

/// The program sets `expires_at` in items that expire. A table whose TTL attribute had another name would
/// keep them for ever. The table of erasures has no TTL.
#[test]
fn items_expire_by_the_attribute_that_the_program_writes() {
    let text = Template::text();
    let expires = |table: &str| {
        let table = text.split(&format!("\n  {table}:\n")).nth(1).unwrap();
        let table = table.split("\n\n").next().unwrap();
        let ttl = table.split("TimeToLiveSpecification: ").nth(1)?;
        Some(ttl.lines().next().unwrap().to_owned())
    };
    let by_expiry = Some("{AttributeName: expires_at, Enabled: true}".to_owned());
    assert_eq!(expires("AccountsTable"), by_expiry);
    assert_eq!(expires("OutboxTable"), by_expiry);
    assert_eq!(expires("ErasuresTable"), None);
}

/// The crate `sam-local` can run any SAM template: its sources do not mention functions, tables or other
/// resources of this template.
#[test]
fn sam_local_names_nothing_of_this_template() {
    let text = Template::text();
    let section = |name: &str| text.split(&format!("\n{name}:\n")).nth(1).unwrap();
    let lines = |name: &str| {
        section(name).lines().take_while(|line| !line.starts_with(|c: char| c.is_alphabetic()))
    };
    let is_id = |line: &&str| line.starts_with("  ") && !line[2..].starts_with([' ', '#', '-']);
    let ids = lines("Parameters").chain(lines("Resources")).filter(is_id);
    let ids = ids.filter_map(|line| line.trim().strip_suffix(':'));
    let binaries = text.split("Binary: ").skip(1).map(|rest| rest.split('}').next().unwrap());
    // Names of at most five characters are too general, and some names are AWS's own.
    let is_ours = |name: &&str| {
        // `DeletionProtection` begins the name of an AWS property.
        name.len() > 5 && !text.contains(&format!("::{name}\n")) && *name != "DeletionProtection"
    };
    let names: BTreeSet<_> = ids.chain(binaries).chain(["tenure"]).filter(is_ours).collect();
    assert!(names.contains("AccountsTable") && names.contains("PurgeSchedule"), "{names:?}");
    let mut directories = vec![root().join("infra/sam-local")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                directories.push(entry);
                continue;
            }
            let source = std::fs::read_to_string(&entry).unwrap();
            let found: Vec<_> = names.iter().filter(|name| source.contains(**name)).collect();
            assert!(found.is_empty(), "{}: {found:?}", entry.display());
        }
    }
}

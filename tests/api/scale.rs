//! Purges of large accounts: they are complete even if the purge is killed. Their cost is measured in
//! database calls and capacity units, not in time.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use serde_json::{Value, json};

use crate::harness::{Account, PASSWORD, Tenure, options, options_with, quick};

/// Writes `count` items of about `bytes` bytes each directly into an account's partition. `kind` is the
/// prefix of their sort keys.
pub(crate) async fn fill(
    tenure: &Tenure,
    account: &Account,
    kind: &str,
    count: usize,
    bytes: usize,
) {
    let client = tenure.database();
    let text = |text: String| AttributeValue::S(text);
    let put = |number: usize| {
        let id = uuid::Uuid::from_u128(number as u128 + 1);
        let put = PutRequest::builder()
            .item("pk", text(format!("CUSTOMER#{}", account.id)))
            .item("sk", text(format!("{kind}#{id}")))
            .item("data", text("x".repeat(bytes - 150)));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(25) {
        let writes = batch.iter().map(|number| put(*number)).collect();
        client.batch_write_item().request_items("AccountsTable", writes).send().await.unwrap();
    }
}

/// Returns the items of an account that do not expire.
async fn lasting(tenure: &Tenure, account: &Account) -> Vec<Value> {
    let pk = format!("CUSTOMER#{}", account.id);
    let items = tenure.accounts().await.into_iter();
    items.filter(|item| item["pk"]["S"] == *pk && item.get("expires_at").is_none()).collect()
}

/// Removes an account's webhook: failing deliveries would in time be recorded in the account's own item.
async fn without_webhook(tenure: &Tenure, account: &Account) {
    let body = json!({"webhook_method": "", "webhook_uri": ""});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", body).await.ok();
}

/// Returns the record of an account's erasure, as the API shows it.
async fn ledger(tenure: &Tenure, account: &Account) -> Value {
    let admin = tenure.admin().await;
    tenure.call(&admin, "GET", &format!("/v1.0/customers/{}/erasure", account.id)).await.ok()
}

async fn run_purge(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn purge_costs_about_one_wcu_per_item() {
    // TENURE_SCALE sets another size; 100,000 take minutes.
    let count = option_env!("TENURE_SCALE").map_or(3_000, |count| count.parse().unwrap());
    let tenure = Tenure::start_with(quick(options_with("PurgeSchedule", "rate(365 days)"))).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let neighbour = tenure.account(&admin, "test2").await;
    fill(&tenure, &account, "NUMBER", count, 1000).await;
    without_webhook(&tenure, &neighbour).await;
    let kept = lasting(&tenure, &neighbour).await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(31).await;
    tenure.stack.reset_stats();
    let started = std::time::Instant::now();
    let mut runs = 0;
    while tenure.partition(&account.id).await.len() > 1 {
        runs += 1;
        let run = run_purge(&tenure).await;
        println!("{run}");
    }
    println!("{runs} runs, {:?}", started.elapsed());

    let cost = &tenure.stack.stats()["functions"]["PurgeRunFunction"]["dynamodb"];
    println!("{cost}");
    let per_item = |units: &Value| units.as_f64().unwrap() / count as f64;
    assert!(per_item(&cost["wcu"]) <= 1.08, "{cost}");
    assert!(per_item(&cost["rcu"]) <= 0.27, "{cost}");
    assert_eq!(lasting(&tenure, &neighbour).await, kept);
    let ledger = ledger(&tenure, &account).await;
    assert_eq!(ledger["resources"]["numbers"], json!({"found": count, "deleted": count}));
}

/// The six calls: read the account and its ledger; query a page of items; claim the account for the purge and
/// count the page; delete the items; query a page, which is empty; finish.
#[tokio::test(flavor = "multi_thread")]
async fn purge_of_a_small_account_takes_six_calls() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    fill(&tenure, &account, "FLOW", 8, 200).await;
    tenure.stack.reset_stats();
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    let cost = &tenure.stack.stats()["functions"]["PurgeRunFunction"]["dynamodb"];
    let calls =
        json!({"BatchGetItem": 1, "BatchWriteItem": 1, "Query": 2, "TransactWriteItems": 2});
    assert_eq!(cost["calls"], calls);
}

/// Purges accounts whose number of items is just below, at or above the limits of a batch, a transaction or a
/// page. Another account keeps all its items.
#[tokio::test(flavor = "multi_thread")]
async fn purge_counts_exactly_around_batch_and_page_limits() {
    let tenure = Tenure::start_with(quick(options())).await;
    let admin = tenure.admin().await;
    let neighbour = tenure.account(&admin, "neighbour").await;
    fill(&tenure, &neighbour, "FLOW", 30, 200).await;
    let kept = lasting(&tenure, &neighbour).await;
    for size in [0, 1, 24, 25, 26, 99, 100, 101, 1001] {
        let account = tenure.account(&admin, &format!("test{size}")).await;
        fill(&tenure, &account, "FLOW", size, 200).await;
        fill(&tenure, &account, "CONTACT", size, 200).await;
        tenure.stack.reset_stats();
        tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
        assert!(tenure.stack.settle().await);
        // The number of items per page is bounded, too.
        let stats = tenure.stack.stats();
        let pages = &stats["functions"]["PurgeRunFunction"]["dynamodb"]["calls"]["Query"];
        assert!(pages.as_u64().unwrap() > 2 * size as u64 / 1_000, "{size}: {pages}");
        assert_eq!(tenure.partition(&account.id).await, ["A"], "{size}");
        let ledger = ledger(&tenure, &account).await;
        assert_eq!(ledger["stage"], "finished", "{size}");
        for kind in ["flows", "contacts"] {
            let counted = match size {
                0 => Value::Null,
                size => json!({"found": size, "deleted": size}),
            };
            assert_eq!(ledger["resources"][kind], counted, "{size} {kind}");
        }
    }
    assert_eq!(lasting(&tenure, &neighbour).await, kept);
}

/// The purge is killed (`SIGKILL`) before or after random calls. It finishes in the end, and has counted each
/// item once.
#[tokio::test(flavor = "multi_thread")]
async fn purge_killed_fifty_times_finishes_and_counts_exactly() {
    const COUNT: usize = 3000;
    let tenure = Tenure::start_with(quick(options_with("PurgeSchedule", "rate(365 days)"))).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.access_key(&account.token).await;
    fill(&tenure, &account, "NUMBER", COUNT, 200).await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(31).await;
    let kill = |fault: &str, seed: u64| json!({"fault": fault, "function": "PurgeRunFunction", "probability": 0.2, "seed": seed, "times": 25});
    let rules = json!([kill("crash_before", 1), kill("crash_after", 2)]);
    tenure.send(tenure.request("POST", "/_local/faults").body(rules.to_string())).await.ok();
    // Invocations by events are killed as well as scheduled ones.
    let mut kills = 0;
    for _ in 0..200 {
        let run = tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run");
        tenure.send(run).await;
        assert!(tenure.stack.settle().await);
        let faults = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
        let rules = faults["faults"].as_array().unwrap().iter();
        kills = rules.map(|rule| rule["hits"].as_u64().unwrap()).sum();
        if kills == 50 {
            break;
        }
    }
    assert_eq!(kills, 50);
    run_purge(&tenure).await;
    let ledger = ledger(&tenure, &account).await;
    assert_eq!(ledger["stage"], "finished", "{ledger}");
    assert_eq!(ledger["resources"]["numbers"], json!({"found": COUNT, "deleted": COUNT}));
    for kind in ["agents", "accesskeys"] {
        assert_eq!(ledger["resources"][kind], json!({"found": 1, "deleted": 1}));
    }
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert_eq!(tenure.count_events(&account.id, "customer_deleted").await, 1);
}

/// Every personal field of the accounts, and of items of every kind, contains one certain word. A day after
/// the purge, that word is stored nowhere, in no encoding.
#[tokio::test(flavor = "multi_thread")]
async fn no_personal_data_is_left_of_a_hundred_purged_accounts() {
    const WORD: &str = "residue7q";
    let tenure = Tenure::start_with(quick(options_with("BreakerAccounts", "1000"))).await;
    let admin = tenure.admin().await;
    let resource = json!({"name": WORD, "detail": WORD, "data": {"note": WORD}});
    let mut accounts = Vec::new();
    for number in 0..100 {
        let account = tenure.account(&admin, &format!("{WORD}{number}")).await;
        let key = json!({"name": WORD, "detail": WORD, "expire": 86_400});
        tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", key).await.ok();
        for kind in shared::domain::owned::Kind::ALL.iter().filter(|kind| kind.is_resource()) {
            let path = format!("/v1.0/{}", kind.plural());
            tenure.call_with(&account.token, "POST", &path, resource.clone()).await.ok();
        }
        accounts.push(account);
    }
    assert!(tenure.items("AccountsTable").await.len() >= 100 * 15);
    for account in &accounts {
        tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    }
    // Webhook URIs and secrets are kept for the deletion events for a day, because no receiver responds.
    tenure.advance_days(1).await;
    assert!(tenure.stack.settle().await);
    for table in ["AccountsTable", "OutboxTable", "ErasuresTable"] {
        for item in tenure.items(table).await {
            let text = item.to_string();
            assert!(!crate::canaries::shows(WORD, &text), "{table}: {text}");
        }
    }
    let said = tenure.stack.logs().into_iter();
    for line in said.chain(tenure.stack.events().iter().map(Value::to_string)) {
        assert!(!crate::canaries::shows(WORD, &line), "{line}");
    }
}

//! What a purge costs, whatever the size of the account: counted, not timed.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use serde_json::{Value, json};

use crate::harness::{Account, Tenure};
use crate::store::client;

/// Puts `count` numbers of about `bytes` each into an account, past the API, as fast as it goes.
async fn fill(tenure: &Tenure, account: &Account, count: usize, bytes: usize) {
    let client = client(tenure);
    let text = |text: String| AttributeValue::S(text);
    let put = |number: usize| {
        let id = uuid::Uuid::from_u128(number as u128 + 1);
        let put = PutRequest::builder()
            .item("pk", text(format!("CUSTOMER#{}", account.id)))
            .item("sk", text(format!("NUMBER#{id}")))
            .item("data", text("x".repeat(bytes - 150)));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(25) {
        let writes = batch.iter().map(|number| put(*number)).collect();
        client.batch_write_item().request_items("AccountsTable", writes).send().await.unwrap();
    }
}

/// What an account has that does not expire.
async fn lasting(tenure: &Tenure, account: &Account) -> Vec<Value> {
    let pk = format!("CUSTOMER#{}", account.id);
    let items = tenure.accounts().await.into_iter();
    items.filter(|item| item["pk"]["S"] == *pk && item.get("expires_at").is_none()).collect()
}

async fn run_purge(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn a_purge_costs_a_unit_for_each_thing_and_hardly_more() {
    // More can be asked for: 100,000 take minutes.
    let count = option_env!("TENURE_SCALE").map_or(3_000, |count| count.parse().unwrap());
    let options = crate::harness::options_with("PurgeSchedule", "rate(365 days)");
    let quick = local::Options { latency: std::time::Duration::ZERO, ..options };
    let tenure = Tenure::start_with(quick).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let neighbour = tenure.account(&admin, "test2").await;
    fill(&tenure, &account, count, 1000).await;
    let kept = lasting(&tenure, &neighbour).await;
    tenure.unregister(&account.token, json!({"password": crate::harness::PASSWORD})).await.ok();
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
    assert!(per_item(&cost["wcu"]) <= 1.1, "{cost}");
    assert!(per_item(&cost["rcu"]) <= 0.2, "{cost}");
    assert_eq!(lasting(&tenure, &neighbour).await, kept);
    let admin = tenure.admin().await;
    let path = format!("/v1.0/customers/{}/erasure", account.id);
    let ledger = tenure.call(&admin, "GET", &path).await.ok();
    assert_eq!(ledger["resources"]["numbers"], json!({"found": count, "deleted": count}));
}

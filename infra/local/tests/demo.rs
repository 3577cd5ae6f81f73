//! Checks that the demonstration contains every state that it promises, and that it goes on when the clock is moved.
//!
//! The test runs the built functions, which are in the directory above its own: `cargo test` builds them first.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use local::demo::{self, Client};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use sam_local::Stack;
use serde_json::{Value, json};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Maximum time until every participant that answers has answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stack with the demonstration, and an operator's session on it.
struct World {
    stack: Stack,
    client: Client,
    operator: String,
}

impl World {
    async fn make() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let options = local::options(root.join("template.yaml"), binaries());
        let stack = Stack::start(demo::options(options)).await.unwrap();
        if let Err(error) = demo::make(&stack, &|_| {}).await {
            let log = stack.logs();
            panic!("{error}\n{}", log[log.len().saturating_sub(15)..].join("\n"));
        }
        let client = Client::new(&stack);
        let operator = client.log_in(local::USERNAME, local::PASSWORD).await.unwrap();
        Self { stack, client, operator }
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(path, &self.operator).await.unwrap()
    }

    /// Returns the accounts of a list by company name; deleted accounts by id.
    async fn list(&self, filter: &str) -> BTreeMap<String, Value> {
        let page = self.get(&format!("/v1.0/customers?{filter}")).await;
        assert_eq!(page["next_page_token"], "", "{filter} has one page");
        let rows = page["result"].as_array().unwrap().iter();
        let name = |row: &Value| match row["name"].as_str() {
            Some("") | None => row["id"].as_str().unwrap().to_owned(),
            Some(name) => name.to_owned(),
        };
        rows.map(|row| (name(row), row.clone())).collect()
    }

    /// Returns the erasure of every deleted account, as the API shows it.
    async fn erasures(&self) -> Vec<Value> {
        let mut erasures = Vec::new();
        for row in self.list("deleted=true").await.values() {
            let id = row["id"].as_str().unwrap();
            erasures.push(self.get(&format!("/v1.0/customers/{id}/erasure")).await);
        }
        erasures
    }

    async fn overview(&self, account: &Value) -> Value {
        let id = account["id"].as_str().unwrap();
        self.get(&format!("/v1.0/customers/{id}/overview")).await
    }
}

/// Returns the directory of the functions' executables, which is the parent of this test's directory.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

/// Returns the number of occurrences of each value.
fn counts<'a>(values: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut counts = BTreeMap::<_, u64>::new();
    for value in values {
        *counts.entry(value.as_str().unwrap_or("null").to_owned()).or_default() += 1;
    }
    json!(counts)
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Checks that one of these keys has signed the receipt, and returns its claims.
fn verified(receipt: &str, keys: &Value) -> Value {
    let (signed, signature) = receipt.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]);
    let coordinate = |name: &str| decoded(key.unwrap()[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signature = Signature::from_slice(&decoded(signature)).unwrap();
    VerifyingKey::from_sec1_bytes(&point).unwrap().verify(signed.as_bytes(), &signature).unwrap();
    serde_json::from_slice(&decoded(claims)).unwrap()
}

/// Returns an erasure's number of items over all kinds; `what` is `found` or `deleted`.
fn total(erasure: &Value, what: &str) -> u64 {
    let kinds = erasure["resources"].as_object().unwrap().values();
    kinds.map(|kind| kind[what].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_occurs_and_thirty_days_later_those_who_left_are_erased() {
    let world = World::make().await;
    accounts_are_in_every_state(&world).await;
    erasures_are_in_every_stage(&world).await;
    some_webhooks_arrive_and_others_fail(&world).await;
    people_can_log_in_and_a_second_world_is_refused(&world).await;
    what_is_due_within_thirty_days_is_erased(world).await;
}

async fn accounts_are_in_every_state(world: &World) {
    let mut all = world.list("").await;
    let deleted = world.list("deleted=true").await;
    assert_eq!((all.len(), deleted.len()), (31, 9));
    let statuses = counts(all.values().map(|account| &account["status"]));
    assert_eq!(statuses, json!({"initial": 3, "active": 14, "frozen": 14}));

    let mut stages = Vec::new();
    for account in all.values_mut() {
        *account = world.overview(account).await;
        stages.push(account["stage"].clone());
    }
    let expected = json!({"null": 14, "scheduled": 10, "withdrawn": 2, "held": 3, "due": 2});
    assert_eq!(counts(&stages), expected);
    let by_operator = all.values().filter(|account| account["frozen_by_operator"] == true);
    assert_eq!(by_operator.count(), 2);
    assert_eq!(world.list("suspended=true").await.len(), 2);
    assert_eq!(world.list("hold=true").await.len(), 3);

    // A hold keeps the first in the list eleven days beyond its date, and no account has the whole grace period left.
    let due = world.get("/v1.0/customers?status=frozen&sort=due").await;
    let due: Vec<_> = due["result"].as_array().unwrap().iter().collect();
    assert_eq!(due[0]["name"], "Cobalt Securities");
    let names: Vec<_> = due[1..4].iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Elmwood Printing", "Driftwood Rentals", "Velvet Fox Theatre"]);
    let clock = world.client.get("/_local/clock", "").await.unwrap();
    let now = clock["now"].as_str().unwrap();
    assert!(due[2]["tm_deletion_scheduled"].as_str().unwrap() < now);
    assert!(due[3]["tm_deletion_scheduled"].as_str().unwrap() > now);
}

async fn erasures_are_in_every_stage(world: &World) {
    let erasures = world.erasures().await;
    let stages = counts(erasures.iter().map(|erasure| &erasure["stage"]));
    let expected = json!({"running": 2, "awaiting": 1, "incomplete": 1, "finished": 5});
    assert_eq!(stages, expected);
    let of = |stage: &'static str| erasures.iter().filter(move |one| one["stage"] == stage);

    let quarantined: Vec<_> = of("running").filter(|one| one["quarantined"] == 1).collect();
    let half: Vec<_> = of("running").filter(|one| one["quarantined"] == 0).collect();
    let ([quarantined], [half]) = (&quarantined[..], &half[..]) else { panic!("{erasures:#?}") };
    assert_eq!(total(quarantined, "found"), total(quarantined, "deleted"));
    assert!(total(half, "deleted") > 0, "{half}");
    assert!(total(half, "found") > total(half, "deleted"), "{half}");

    for erasure in of("awaiting").chain(of("incomplete")) {
        let answers = erasure["participants"].as_array().unwrap().iter();
        let answers: Vec<_> = answers.map(|one| (&one["name"], &one["state"])).collect();
        let (archive, carrier) = (json!("archive"), json!("carrier"));
        let (asked, completed) = (json!("asked"), json!("completed"));
        assert_eq!(answers, [(&archive, &asked), (&carrier, &completed)]);
    }
    let waived = of("finished").filter(|one| one["participants"][0]["state"] == "waived");
    assert_eq!(waived.count(), 1);

    let keys = world.client.get("/v1.0/erasure-keys", "").await.unwrap();
    for erasure in of("finished") {
        let claims = verified(erasure["receipt"].as_str().unwrap(), &keys);
        assert_eq!((&claims["final"], &claims["sub"]), (&json!(true), &erasure["customer_id"]));
    }
    let reasons = counts(of("finished").map(|erasure| &erasure["reason"]));
    assert_eq!(reasons, json!({"unregister": 3, "immediate": 1, "delete": 1}));
}

async fn some_webhooks_arrive_and_others_fail(world: &World) {
    let failing = world.list("webhooks=failing").await;
    let names: Vec<_> = failing.keys().map(String::as_str).collect();
    assert_eq!(names, ["Harborline Freight", "Inkwell Press", "Juniper Street Bakery"]);
    let deliveries = async |account: &Value| {
        let id = account["id"].as_str().unwrap();
        let page = world.get(&format!("/v1.0/webhook_deliveries?customer_id={id}")).await;
        counts(page["result"].as_array().unwrap().iter().map(|one| &one["status"]))
    };
    assert_eq!(deliveries(&failing["Harborline Freight"]).await["delivered"], Value::Null);
    let working = world.list("name=Alder").await;
    let delivered = deliveries(&working["Alder & Finch Joinery"]).await;
    assert!(delivered["delivered"].as_u64() > Some(10), "{delivered}");
    assert_eq!(delivered.as_object().unwrap().len(), 1, "{delivered}");
}

async fn people_can_log_in_and_a_second_world_is_refused(world: &World) {
    for username in [demo::ACTIVE, demo::LEAVING] {
        world.client.log_in(username, demo::PASSWORD).await.unwrap();
    }
    let refused = demo::make(&world.stack, &|_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("--reset"), "{refused}");
}

/// Returns the number of erasures that have a receipt, final or not.
fn receipts(erasures: &[Value]) -> usize {
    erasures.iter().filter(|erasure| !erasure["receipt"].is_null()).count()
}

/// Returns the number of mails that brought a receipt, the last mail of an account.
fn last_mails(stack: &Stack) -> usize {
    let mail = stack.mail();
    let has_ticket = |message: &&Value| message["text"].as_str().unwrap().contains("vbt_");
    mail.iter().filter(has_ticket).count()
}

/// Waits until no erasure waits for a participant that may still answer.
async fn everybody_has_answered(world: &World) {
    let waits = |erasure: &Value| erasure["stage"] == "awaiting";
    while !world.stack.settle().await || world.erasures().await.iter().any(waits) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn what_is_due_within_thirty_days_is_erased(mut world: World) {
    assert_eq!(last_mails(&world.stack), receipts(&world.erasures().await));
    world.stack.advance_clock(30 * DAY - HOUR).await.unwrap();
    assert!(world.stack.settle().await);
    world.stack.advance_clock(HOUR).await.unwrap();
    world.operator = world.client.log_in(local::USERNAME, local::PASSWORD).await.unwrap();
    tokio::time::timeout(PATIENCE, everybody_has_answered(&world)).await.unwrap();
    let erasures = world.erasures().await;
    // A last mail waits for its receipt for a day: that of the half purged account has come too late.
    assert_eq!(last_mails(&world.stack) + 1, receipts(&erasures));
    let stages = counts(erasures.iter().map(|erasure| &erasure["stage"]));
    // The one that is quarantined, and the two that wait for the archive.
    assert_eq!(stages, json!({"running": 1, "incomplete": 2, "finished": 18}));
    let frozen = world.list("status=frozen").await;
    assert_eq!(frozen.keys().collect::<Vec<_>>(), ["Birchwood Legal", "Cobalt Securities"]);
    world.stack.stop().await;
}

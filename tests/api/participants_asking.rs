//! Participants are asked to erase what they keep for an account, until they have answered.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use shared::domain::digest::sha256;

use crate::harness::{Account, PASSWORD, Tenure, root, uncounted};
use crate::permissions::without_action;
use crate::receipt::claims_of;
use crate::receiver::{Arrival, Receiver};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// An entry of the registry of participants: name, whether required, timeout in seconds, and when the
/// participant was deleted.
type Participant<'a> = (&'a str, bool, i64, Option<&'a str>);

/// Overwrites the registry with these participants.
async fn register(tenure: &Tenure, version: u64, participants: &[Participant<'_>]) {
    let participant = |(name, required, timeout, deleted): &Participant<'_>| {
        let mut one = HashMap::from([
            ("required".to_owned(), AttributeValue::Bool(*required)),
            ("timeout".to_owned(), number(timeout)),
            ("detail".to_owned(), text("")),
            ("tm_create".to_owned(), text("2026-01-01T00:00:00Z")),
            ("tm_update".to_owned(), text("2026-01-01T00:00:00Z")),
        ]);
        one.extend(deleted.map(|time| ("tm_delete".to_owned(), text(time))));
        ((*name).to_owned(), AttributeValue::M(one))
    };
    let active = participants.iter().filter(|(_, _, _, deleted)| deleted.is_none());
    let active = active.map(|(name, ..)| text(*name)).collect();
    let participants = participants.iter().map(participant).collect();
    let put = tenure.database().put_item().table_name("ErasuresTable");
    let put = put.item("pk", text("PARTICIPANTS")).item("sk", text("R"));
    let put = put.item("participants", AttributeValue::M(participants));
    let put = put.item("active", AttributeValue::L(active));
    put.item("version", number(version)).send().await.unwrap();
}

async fn delete(tenure: &Tenure, account: &Account) {
    let admin = tenure.admin().await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
}

/// Returns the `detail` of the events of this type about an account that have reached the event bus, oldest
/// first.
async fn seen(tenure: &Tenure, account: &Account, name: &str) -> Vec<Value> {
    assert!(tenure.stack.settle().await);
    let events = tenure.stack.events().into_iter().map(|mut seen| seen["event"].take());
    let is_it = |event: &Value| {
        event["detail-type"] == name && event["detail"]["customer_id"] == *account.id
    };
    events.filter(is_it).map(|mut event| event["detail"].take()).collect()
}

/// Returns the requests to participants about an account that have reached the event bus, sorted, each as
/// `<participant> <round> <number of the request>`.
async fn asked(tenure: &Tenure, account: &Account) -> Vec<String> {
    let shown = |question: &Value| {
        let name = question["participant"].as_str().unwrap();
        format!("{name} {} {}", question["round"], question["question"])
    };
    let mut asked: Vec<_> =
        seen(tenure, account, "erasure_requested").await.iter().map(shown).collect();
    asked.sort_unstable();
    asked
}

/// Returns an account's ledger (the item that records its erasure), and the items that record what each
/// participant is asked and answers.
async fn ledger(tenure: &Tenure, account: &Account) -> (Value, Vec<Value>) {
    let pk = format!("CUSTOMER#{}", account.id);
    let items = tenure.items("ErasuresTable").await.into_iter();
    let (mut row, parts): (Vec<_>, Vec<_>) =
        items.filter(|item| item["pk"]["S"] == *pk).partition(|item| item["sk"]["S"] == "E");
    (row.pop().unwrap_or_default(), parts)
}

/// Returns an account's receipts, oldest first: the claims of each, and the JWS itself.
async fn receipts(tenure: &Tenure, account: &Account) -> Vec<(Value, String)> {
    let (row, _) = ledger(tenure, account).await;
    let receipts = row["receipts"]["L"].as_array().cloned().unwrap_or_default();
    let claims = |receipt: &Value| {
        let jws = receipt["S"].as_str().unwrap();
        (claims_of(jws), jws.to_owned())
    };
    receipts.iter().map(claims).collect()
}

/// Moves the clock, and invokes the function that asks participants. Its schedule may also have come due by
/// the new time, so the function may run twice; returns the sum of the results.
async fn wait(tenure: &Tenure, seconds: i64) -> Value {
    const SCHEDULE: &str = "ParticipantAskFunctionSchedule";
    assert!(tenure.stack.settle().await);
    let moved = tenure.stack.advance_clock(seconds).await.unwrap();
    let run = tenure.request("POST", &format!("/_local/schedules/{SCHEDULE}/run"));
    let mut run = tenure.send(run).await.ok();
    assert!(tenure.stack.settle().await);
    let by_itself = moved["schedules"][SCHEDULE].as_object().into_iter().flatten();
    for (name, count) in by_itself {
        if let (Some(first), Some(second)) = (count.as_u64(), run[name].as_u64()) {
            run[name] = json!(first + second);
        }
    }
    run
}

/// Writes a project admin's waiver of a participant's answer directly into the ledger.
async fn waive(tenure: &Tenure, account: &Account, name: &str) {
    let by = HashMap::from([
        ("type".to_owned(), text("agent")),
        ("id".to_owned(), AttributeValue::Null(true)),
        ("role".to_owned(), text("project_admin")),
        ("customer_id".to_owned(), AttributeValue::Null(true)),
    ]);
    let waiver = HashMap::from([
        ("reason".to_owned(), text("It is switched off.")),
        ("by".to_owned(), AttributeValue::M(by)),
        ("tm_waive".to_owned(), text("2026-11-30T00:00:00Z")),
    ]);
    let update = tenure.database().update_item().table_name("ErasuresTable");
    let update = update.key("pk", text(format!("CUSTOMER#{}", account.id)));
    let update = update.key("sk", text(format!("P#000001#{name}")));
    let update = update.update_expression("SET waiver = :waiver ADD version :one");
    let update = update.expression_attribute_values(":waiver", AttributeValue::M(waiver));
    update.expression_attribute_values(":one", number(1)).send().await.unwrap();
}

/// Returns the names of the participants that the schedule still has to ask or wait for.
async fn open(tenure: &Tenure, account: &Account) -> Vec<String> {
    let (_, parts) = ledger(tenure, account).await;
    let open = parts.iter().filter(|part| part.get("open_sk").is_some());
    open.map(|part| part["name"]["S"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_are_asked_as_they_were_at_the_claim() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    register(&tenure, 1, &[("carrier", true, DAY, None), ("files", false, 2 * DAY, None)]).await;
    delete(&tenure, &account).await;
    assert_eq!(asked(&tenure, &account).await, ["carrier 1 1", "files 1 1"]);

    // An erasure that has begun keeps its participants, though others register or are deleted.
    let later = [
        ("billing", true, DAY, None),
        ("carrier", true, DAY, Some("2026-11-30T00:00:00Z")),
        ("files", true, HOUR, None),
    ];
    register(&tenure, 2, &later).await;
    let run = wait(&tenure, 5 * MINUTE).await;
    assert_eq!((&run["asked"], &run["forgotten"]), (&json!(2), &json!(0)), "{run}");
    let twice = ["carrier 1 1", "carrier 1 2", "files 1 1", "files 1 2"];
    assert_eq!(asked(&tenure, &account).await, twice);
    let (row, parts) = ledger(&tenure, &account).await;
    let names: Vec<_> = parts.iter().map(|part| &part["name"]["S"]).collect();
    assert_eq!(names, ["carrier", "files"]);
    assert_eq!(row["participants"]["L"].as_array().unwrap().len(), 2);
    assert!(row.get("round").is_none() && row.get("tm_complete").is_none(), "{row}");

    // The event fits its schema, and has no personal data.
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let schema = root().join("infra/events/question.schema.json");
    let schema = compiler.compile(schema.to_str().unwrap(), &mut schemas).unwrap();
    for question in seen(&tenure, &account, "erasure_requested").await {
        schemas.validate(&question, schema).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_follow_after_5_20_and_60_minutes_and_then_daily() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    register(&tenure, 1, &[("carrier", true, HOUR, None)]).await;
    delete(&tenure, &account).await;
    let mut questions = 1;
    // Minutes until the schedule runs next, and whether it then has to ask the participant again.
    let looks = [
        (4, false),
        (1, true),
        (14, false),
        (1, true),
        (39, false),
        (1, true),
        (24 * 60 - 2, false),
        (2, true),
        (24 * 60, true),
    ];
    for (minutes, is_due) in looks {
        tenure.stack.reset_stats();
        let run = wait(&tenure, minutes * MINUTE).await;
        questions += usize::from(is_due);
        let asked = asked(&tenure, &account).await;
        assert_eq!(asked.len(), questions, "after {minutes} minutes: {run}");
        let cost = &tenure.stack.stats()["functions"]["ParticipantAskFunction"]["dynamodb"];
        if is_due {
            // One unit for the participation, two for its entry in the index, which moves to another time.
            assert_eq!(cost["wcu"], 3.0, "{cost}");
        } else {
            assert_eq!(cost["wcu"], 0.0, "{cost}");
        }
        let overdue = u64::from(is_due && questions >= 4);
        assert_eq!(run["overdue"], overdue, "{questions} questions: {run}");
    }
    let logs = tenure.stack.logs();
    let overdue = logs.iter().filter(|line| line.contains("participant overdue"));
    let overdue: Vec<_> = overdue.collect();
    assert_eq!(overdue.len(), 3, "{overdue:?}");
    assert!(overdue.iter().all(|line| line.contains(&account.id) && line.contains("carrier")));
    let metric = |line: &&String| line.contains("\"ErasuresIncomplete\":1");
    assert_eq!(logs.iter().filter(metric).count(), 3, "the metric of the alarm");
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_without_participants_writes_nothing_about_them() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.stack.reset_stats();
    delete(&tenure, &account).await;
    let cost = &tenure.stack.stats()["functions"]["PurgeRunFunction"]["dynamodb"];
    let calls =
        json!({"BatchGetItem": 1, "BatchWriteItem": 1, "Query": 2, "TransactWriteItems": 2});
    assert_eq!(cost["calls"], calls);
    let (row, parts) = ledger(&tenure, &account).await;
    assert_eq!(parts, [Value::Null; 0]);
    for name in ["participants", "round", "tm_complete"] {
        assert!(row.get(name).is_none(), "{row}");
    }
    assert_eq!(asked(&tenure, &account).await, [""; 0]);
    let run = wait(&tenure, 5 * MINUTE).await;
    assert_eq!((&run["asked"], &run["failed"]), (&json!(0), &json!(0)), "{run}");
    let [(claims, jws)] = receipts(&tenure, &account).await.try_into().unwrap();
    assert_eq!((&claims["final"], &claims["round"]), (&json!(true), &json!(1)));

    // The event that ends the erasure.
    let [erased] = seen(&tenure, &account, "customer_erased").await.try_into().unwrap();
    let receipt =
        json!({"round": 1, "final": true, "digest": sha256(&jws), "counts": claims["counts"]});
    assert_eq!(erased["receipt"], receipt);
    assert_eq!((&erased["sequence"], &erased["actor"]["type"]), (&Value::Null, &json!("purge")));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_receipt_lists_participants_and_is_final_if_none_is_required() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let (one, two) = (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    register(&tenure, 1, &[("carrier", true, DAY, None), ("files", false, DAY, None)]).await;
    delete(&tenure, &one).await;
    let [(claims, jws)] = receipts(&tenure, &one).await.try_into().unwrap();
    assert_eq!((&claims["final"], &claims["supersedes"]), (&json!(false), &Value::Null));
    let participants = claims["covers"]["participants"].as_array().unwrap();
    let shown: Vec<_> = participants.iter().map(|one| (&one["name"], &one["state"])).collect();
    assert_eq!(shown, [(&json!("carrier"), &json!("asked")), (&json!("files"), &json!("asked"))]);
    let [erased] = seen(&tenure, &one, "customer_erased").await.try_into().unwrap();
    assert_eq!(erased["receipt"]["digest"], sha256(&jws));
    assert_eq!(erased["receipt"]["final"], false);

    register(&tenure, 2, &[("files", false, HOUR, None)]).await;
    delete(&tenure, &two).await;
    let [(claims, _)] = receipts(&tenure, &two).await.try_into().unwrap();
    assert_eq!(claims["final"], true);
    let (row, _) = ledger(&tenure, &two).await;
    assert_eq!(row["tm_complete"], row["tm_finish"]);
    // The optional participant is still asked, until its deadline.
    wait(&tenure, 20 * MINUTE).await;
    assert_eq!(asked(&tenure, &two).await, ["files 1 1", "files 1 2"]);
    wait(&tenure, HOUR).await;
    assert_eq!(asked(&tenure, &two).await.len(), 2);
    assert_eq!(open(&tenure, &two).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_that_dies_between_claim_and_question_is_followed_by_one_that_asks() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    register(&tenure, 1, &[("carrier", true, DAY, None), ("files", true, DAY, None)]).await;
    // Crashes at the claim, at the read of the parts, and at the write of the first part.
    let deaths = [
        ("crash_after", "TransactWriteItems", 1),
        ("crash_before", "Query", 2),
        ("crash_after", "UpdateItem", 1),
    ];
    for (number, (fault, operation, nth)) in deaths.into_iter().enumerate() {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        let rule = json!({"fault": fault, "function": "PurgeRunFunction", "operation": operation, "nth": nth});
        let rules = tenure.request("POST", "/_local/faults").json(&json!([rule]));
        tenure.send(rules).await.ok();
        delete(&tenure, &account).await;
        let faults = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
        assert_eq!(faults["faults"][0]["hits"], 1, "{operation}");
        let run = tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run");
        tenure.send(run).await.ok();
        wait(&tenure, 5 * MINUTE).await;
        let asked = asked(&tenure, &account).await;
        for name in ["carrier", "files"] {
            assert!(asked.iter().any(|question| question.starts_with(name)), "{asked:?}");
        }
        let (row, parts) = ledger(&tenure, &account).await;
        assert_eq!((parts.len(), row.get("tm_finish").is_some()), (2, true), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bus_that_refuses_a_question_does_not_stop_the_purge() {
    let template = without_action("PurgeRunFunction", "events:PutEvents");
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    register(&tenure, 1, &[("carrier", true, DAY, None)]).await;
    delete(&tenure, &account).await;
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert_eq!(asked(&tenure, &account).await, [""; 0]);
    wait(&tenure, 5 * MINUTE).await;
    assert_eq!(asked(&tenure, &account).await, ["carrier 1 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_parts_leave_the_index_but_for_the_last_required_one() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let all = [("a", true, DAY, None), ("b", true, DAY, None), ("c", false, DAY, None)];
    register(&tenure, 1, &all).await;
    delete(&tenure, &account).await;
    assert_eq!(open(&tenure, &account).await, ["a", "b", "c"]);
    for name in ["b", "c"] {
        waive(&tenure, &account, name).await;
    }
    let run = wait(&tenure, 5 * MINUTE).await;
    assert_eq!((&run["asked"], &run["closed"]), (&json!(1), &json!(1)), "{run}");
    assert_eq!(open(&tenure, &account).await, ["a", "b"]);
    assert_eq!(asked(&tenure, &account).await, ["a 1 1", "a 1 2", "b 1 1", "c 1 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn participants_are_asked_again_when_a_restored_account_is_erased_again() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    register(&tenure, 1, &[("carrier", true, DAY, None), ("files", true, DAY, None)]).await;
    let backup = tenure.items("AccountsTable").await;
    delete(&tenure, &account).await;
    crate::store::restore(&tenure, &backup).await;
    register(&tenure, 2, &[("billing", true, DAY, None), ("carrier", true, DAY, None)]).await;
    let month =
        ledger(&tenure, &account).await.0["tm_finish"]["S"].as_str().unwrap()[..7].to_owned();
    let path = "/2015-03-31/functions/ErasureReplayFunction/invocations";
    let replay = tenure.request("POST", path).json(&json!({"from": month}));
    assert_eq!(tenure.send(replay).await.ok()["erased_again"], 1);
    let rounds = ["billing 2 1", "carrier 1 1", "carrier 2 1", "files 1 1"];
    assert_eq!(asked(&tenure, &account).await, rounds);
    let receipts = receipts(&tenure, &account).await;
    let shown: Vec<_> = receipts.iter().map(|(claims, _)| &claims["round"]).collect();
    assert_eq!(shown, [1, 2]);

    // Nobody is asked about the first round any more. A participant that polls does not see it either,
    // although its part is still in the index.
    let shown = tenure.call(&admin, "GET", "/v1.0/participants/carrier/requests").await.ok();
    let requests = shown["result"].as_array().unwrap();
    assert_eq!((requests.len(), &requests[0]["round"]), (1, &json!(2)), "{shown}");
    let run = wait(&tenure, 5 * MINUTE).await;
    assert_eq!((&run["asked"], &run["closed"]), (&json!(2), &json!(1)), "{run}");
    assert!(asked(&tenure, &account).await.iter().all(|question| !question.contains(" 1 2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn participant_that_was_deleted_long_ago_is_forgotten_when_nothing_asks_it() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    register(&tenure, 1, &[("asked", true, DAY, None)]).await;
    delete(&tenure, &account).await;
    let long_ago = Some("2026-01-01T00:00:00Z");
    let recently = tenure.now().await.to_string();
    let participants = [
        ("asked", true, DAY, long_ago),
        ("gone", true, DAY, long_ago),
        ("going", true, DAY, Some(recently.as_str())),
        ("staying", true, DAY, None),
    ];
    register(&tenure, 7, &participants).await;
    assert_eq!(wait(&tenure, 5 * MINUTE).await["forgotten"], 1);
    let items = tenure.items("ErasuresTable").await;
    let registry = items.iter().find(|item| item["pk"]["S"] == "PARTICIPANTS").unwrap();
    let names: Vec<_> = registry["participants"]["M"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["asked", "going", "staying"]);
    assert_eq!(registry["version"]["N"], "8");
}

#[tokio::test(flavor = "multi_thread")]
async fn part_that_cannot_be_read_does_not_hold_up_the_others() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let (one, two) = (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    register(&tenure, 1, &[("carrier", true, DAY, None)]).await;
    delete(&tenure, &one).await;
    delete(&tenure, &two).await;
    let update = tenure.database().update_item().table_name("ErasuresTable");
    let update = update.key("pk", text(format!("CUSTOMER#{}", one.id)));
    let update = update.key("sk", text("P#000001#carrier"));
    let update = update.update_expression("SET questions = :unreadable");
    update.expression_attribute_values(":unreadable", text("many")).send().await.unwrap();
    let run = wait(&tenure, 5 * MINUTE).await;
    assert_eq!(run["asked"], 1, "{run}");
    assert!(run["failed"].as_u64() >= Some(1), "{run}");
    assert_eq!(asked(&tenure, &one).await, ["carrier 1 1"]);
    assert_eq!(asked(&tenure, &two).await, ["carrier 1 1", "carrier 1 2"]);
    assert!(tenure.stack.logs().iter().any(|line| line.contains("participant failed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_whose_grace_has_ended_gets_the_end_by_webhook() {
    let (tenure, receiver) = (crate::receiver::tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let hook = json!({"webhook_method": "POST", "webhook_uri": receiver.url("/hook")});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", hook).await.ok();
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(31).await;
    assert!(tenure.stack.settle().await);
    let arrivals: Vec<_> = receiver.arrivals("/hook").iter().map(Arrival::json).collect();
    let erased = arrivals.iter().find(|body| body["type"] == "customer_erased").unwrap();
    let [(claims, jws)] = receipts(&tenure, &account).await.try_into().unwrap();
    let receipt =
        json!({"round": 1, "final": true, "digest": sha256(&jws), "counts": claims["counts"]});
    let data = json!({
        "id": account.id,
        "customer_id": account.id,
        "status": "deleted",
        "tm_deletion_scheduled": null,
        "receipt": receipt,
    });
    assert_eq!((&erased["data"], &erased["sequence"]), (&data, &Value::Null));
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let schema = root().join("infra/events/webhook.schema.json");
    let schema = compiler.compile(schema.to_str().unwrap(), &mut schemas).unwrap();
    for body in &arrivals {
        schemas.validate(body, schema).unwrap();
    }
    let left = Value::from(tenure.items("OutboxTable").await).to_string();
    assert!(!left.contains("/hook") && !left.contains("whsec"), "{left}");
}

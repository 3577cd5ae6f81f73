//! Tests of the emulated `DynamoDB`: calls to one table and its indexes, with injected faults.

use std::{sync::Arc, time::Duration};

use dynoxide::Database;
use serde_json::{Value, json};

use super::{Answer, DynamoDb, execute::execute, faults::OPERATIONS, storage};
use crate::{
    iam::{Caller, OWNER, Permissions},
    stats::Stats,
    template::Table,
};

/// Returns an emulated `DynamoDB` with one table, which has the items 1 to 4; its indexes list all of them.
fn open() -> Arc<DynamoDb> {
    let key = |hash: &str, range: &str| {
        json!([
            {"AttributeName": hash, "KeyType": "HASH"},
            {"AttributeName": range, "KeyType": "RANGE"},
        ])
    };
    let names = ["pk", "sk", "gpk", "gsk"];
    let table = Table {
        id: "Table".into(),
        name: "real-name".into(),
        request: json!({
            "TableName": "real-name",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": key("pk", "sk"),
            "AttributeDefinitions":
                names.map(|name| json!({"AttributeName": name, "AttributeType": "S"})),
            "GlobalSecondaryIndexes": [{
                "IndexName": "index",
                "KeySchema": key("gpk", "gsk"),
                "Projection": {"ProjectionType": "ALL"},
            }, {
                "IndexName": "narrow",
                "KeySchema": key("gpk", "gsk"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shown"]},
            }],
        }),
        ttl_attribute: None,
    };
    let stats = Arc::new(Stats::new(["Fn".to_owned(), "Other".to_owned()], Vec::new()));
    let may = Permissions::of(
        "Fn",
        &[OPERATIONS.as_slice(), &["ConditionCheckItem"]].concat(),
        &["real-name", "real-name/index/index", "real-name/index/narrow"],
    );
    let dynamodb = DynamoDb::open(vec![table], None, stats, may, Vec::new()).unwrap();
    dynamodb.load("real-name", (1..=4).map(item).collect()).unwrap();
    dynamodb
}

fn item(number: u8) -> Value {
    let sk = format!("item-{number}");
    json!({"pk": {"S": "p"}, "sk": {"S": sk}, "gpk": {"S": "g"}, "gsk": {"S": sk}})
}

fn key(number: u8) -> Value {
    json!({"pk": {"S": "p"}, "sk": {"S": format!("item-{number}")}})
}

fn put(number: u8) -> Value {
    json!({"TableName": "real-name", "Item": item(number)})
}

fn call(dynamodb: &DynamoDb, operation: &str, body: &Value) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(send(dynamodb, operation, body))
}

async fn send(dynamodb: &DynamoDb, operation: &str, body: &Value) -> Answer {
    let caller = Caller { function: "Fn".into(), process: "1".into() };
    dynamodb.answer(Some(&caller), operation, body.to_string().as_bytes()).await
}

fn reply(dynamodb: &DynamoDb, operation: &str, body: Value) -> (u16, Value) {
    let Answer::Reply(reply) = call(dynamodb, operation, &body) else {
        panic!("no answer to {operation}");
    };
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn arm(dynamodb: &DynamoDb, rules: Value) {
    dynamodb.set_faults(rules.to_string().as_bytes()).unwrap();
}

fn is_there(dynamodb: &DynamoDb, number: u8) -> bool {
    let get = json!({"TableName": "real-name", "Key": key(number)});
    reply(dynamodb, "GetItem", get).1["Item"].is_object()
}

fn kind(answer: &(u16, Value)) -> (u16, &str) {
    let kind = answer.1["__type"].as_str().unwrap_or_default();
    (answer.0, kind.rsplit('#').next().unwrap_or_default())
}

/// Returns the sort keys of the items that a query finds, page by page.
fn pages(dynamodb: &DynamoDb, query: &Value) -> Vec<Vec<String>> {
    let (mut query, mut pages) = (query.clone(), Vec::new());
    loop {
        let (status, page) = reply(dynamodb, "Query", query.clone());
        assert_eq!(status, 200, "{page}");
        let items = page["Items"].as_array().unwrap();
        assert_eq!(page["Count"], items.len());
        let keys = items.iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned());
        pages.push(keys.collect());
        assert!(pages.len() < 20, "the query does not end: {pages:?}");
        match page.get("LastEvaluatedKey") {
            None | Some(Value::Null) => return pages,
            Some(key) => query["ExclusiveStartKey"] = key.clone(),
        }
    }
}

fn partition() -> Value {
    json!({
        "TableName": "real-name",
        "ConsistentRead": true,
        "KeyConditionExpression": "pk = :p AND begins_with(sk, :i)",
        "ExpressionAttributeValues": {":p": {"S": "p"}, ":i": {"S": "item-"}},
    })
}

fn index() -> Value {
    json!({
        "TableName": "real-name",
        "IndexName": "index",
        "KeyConditionExpression": "gpk = :g AND gsk < :z",
        "ExpressionAttributeValues": {":g": {"S": "g"}, ":z": {"S": "~"}},
    })
}

#[test]
fn a_call_takes_effect_before_crash_after_and_not_after_crash_before() {
    let dynamodb = open();
    for (fault, there) in
        [("crash_before", false), ("crash_after", true), ("timeout_after_apply", true)]
    {
        let number = if there { 6 } else { 5 };
        arm(&dynamodb, json!([{"fault": fault, "operation": "PutItem"}]));
        let answer = call(&dynamodb, "PutItem", &put(number));
        match fault {
            "timeout_after_apply" => assert!(matches!(answer, Answer::Lost)),
            _ => assert!(matches!(answer, Answer::Crash)),
        }
        assert_eq!(is_there(&dynamodb, number), there, "{fault}");
    }
}

#[test]
fn a_refused_call_has_dynamodbs_error_and_no_effect() {
    let dynamodb = open();
    let transaction = json!({"TransactItems": [{"Put": put(5)}, {"Put": put(6)}]});
    let batch = json!({"RequestItems": {"real-name": [{"PutRequest": {"Item": item(5)}}]}});
    let refused = |fault: &str, operation: &str, body: &Value| {
        arm(&dynamodb, json!([{"fault": fault}]));
        let answer = reply(&dynamodb, operation, body.clone());
        arm(&dynamodb, json!([]));
        assert!(!is_there(&dynamodb, 5));
        answer
    };
    let throttled = (400, "ProvisionedThroughputExceededException");
    assert_eq!(kind(&refused("throttle", "PutItem", &put(5))), throttled);
    assert_eq!(kind(&refused("unprocessed", "BatchWriteItem", &batch)), throttled);
    let failed = (500, "InternalServerError");
    assert_eq!(kind(&refused("internal_error", "BatchWriteItem", &batch)), failed);
    let conflict = (400, "TransactionConflictException");
    assert_eq!(kind(&refused("conflict", "PutItem", &put(5))), conflict);
    for (fault, code) in [("throttle", "ThrottlingError"), ("conflict", "TransactionConflict")] {
        let answer = refused(fault, "TransactWriteItems", &transaction);
        assert_eq!(kind(&answer), (400, "TransactionCanceledException"));
        assert_eq!(answer.1["CancellationReasons"][0]["Code"], code);
        assert_eq!(answer.1["CancellationReasons"][1]["Code"], "None");
    }
}

#[test]
fn unprocessed_entries_can_be_sent_again() {
    let dynamodb = open();
    arm(&dynamodb, json!([{"fault": "unprocessed", "items": 1, "times": 2}]));
    let delete = |number| json!({"DeleteRequest": {"Key": key(number)}});
    let batch = json!({"RequestItems": {"real-name": [delete(1), delete(2), delete(3)]}});
    let (_, answer) = reply(&dynamodb, "BatchWriteItem", batch);
    assert_eq!(answer["UnprocessedItems"], json!({"real-name": [delete(2), delete(3)]}));
    assert!(!is_there(&dynamodb, 1) && is_there(&dynamodb, 2));

    let keys = json!({"Keys": [key(2), key(3)], "ConsistentRead": true});
    let get = json!({"RequestItems": {"real-name": keys}});
    let (_, answer) = reply(&dynamodb, "BatchGetItem", get);
    assert_eq!(answer["Responses"]["real-name"], json!([item(2)]));
    let rest = json!({"real-name": {"Keys": [key(3)], "ConsistentRead": true}});
    assert_eq!(answer["UnprocessedKeys"], rest);
    let (_, answer) = reply(&dynamodb, "BatchGetItem", json!({"RequestItems": rest}));
    assert_eq!(answer["Responses"]["real-name"], json!([item(3)]));
}

#[test]
fn short_and_empty_pages_omit_no_item() {
    let dynamodb = open();
    for mut query in [partition(), index()] {
        for forward in [true, false] {
            query["ScanIndexForward"] = json!(forward);
            arm(&dynamodb, json!([]));
            let all = pages(&dynamodb, &query).concat();
            assert_eq!(all.len(), 4);
            arm(&dynamodb, json!([{"fault": "short_pages", "items": 3}]));
            let short = pages(&dynamodb, &query);
            assert_eq!((short[0].len(), short.concat()), (3, all.clone()));
            arm(
                &dynamodb,
                json!([
                    {"fault": "empty_pages", "nth": 1, "times": 2},
                    {"fault": "short_pages", "nth": 3},
                    {"fault": "empty_pages", "nth": 4},
                ]),
            );
            let empty = pages(&dynamodb, &query);
            let sizes: Vec<_> = empty.iter().map(Vec::len).collect();
            assert_eq!((sizes, empty.concat()), (vec![0, 0, 1, 0, 3], all));
        }
    }
}

#[test]
fn a_stale_index_lags_behind_and_a_consistent_read_does_not() {
    let dynamodb = open();
    arm(&dynamodb, json!([{"fault": "stale_index", "writes": 2}]));
    let delete = |number| json!({"TableName": "real-name", "Key": key(number)});
    reply(&dynamodb, "DeleteItem", delete(1));
    reply(&dynamodb, "PutItem", put(5));
    assert_eq!(pages(&dynamodb, &index()), [["item-1", "item-2", "item-3", "item-4"]]);
    assert_eq!(pages(&dynamodb, &partition()), [["item-2", "item-3", "item-4", "item-5"]]);
    reply(&dynamodb, "DeleteItem", delete(2));
    assert_eq!(pages(&dynamodb, &index()), [["item-2", "item-3", "item-4"]]);
    let mut eventual = partition();
    eventual["ConsistentRead"] = json!(false);
    assert_eq!(pages(&dynamodb, &eventual), [["item-2", "item-3", "item-4"]]);
}

#[test]
fn a_rule_strikes_the_calls_that_meet_its_conditions() {
    let dynamodb = open();
    let struck = |operation: &str, body: Value| reply(&dynamodb, operation, body).0 == 500;
    let get = || json!({"TableName": "real-name", "Key": key(1)});
    for (rule, expected) in [
        (json!({}), [true, true, true, true]),
        (json!({"nth": 2}), [false, true, false, false]),
        (json!({"nth": 2, "times": 2}), [false, true, true, false]),
        (json!({"times": 1}), [true, false, false, false]),
        (json!({"operation": "GetItem", "nth": 2}), [false, false, true, false]),
        (json!({"function": "Fn", "table": "Table", "nth": 4}), [false, false, false, true]),
        (json!({"function": "Other"}), [false; 4]),
    ] {
        let mut rules = json!([rule]);
        rules[0]["fault"] = json!("internal_error");
        arm(&dynamodb, rules);
        let calls = [
            struck("GetItem", get()),
            struck("PutItem", put(1)),
            struck("GetItem", get()),
            struck("PutItem", put(1)),
        ];
        assert_eq!(calls, expected, "{rule}");
        let hits = expected.iter().filter(|struck| **struck).count();
        assert_eq!(dynamodb.faults()[0]["hits"], hits, "{rule}");
    }
}

#[test]
fn the_same_seed_strikes_the_same_calls() {
    let dynamodb = open();
    let run = |seed: u64| {
        let rule = json!({"fault": "internal_error", "probability": 0.3, "seed": seed});
        arm(&dynamodb, json!([rule]));
        let get = json!({"TableName": "real-name", "Key": key(1)});
        (0..200).map(|_| reply(&dynamodb, "GetItem", get.clone()).0).collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let struck = first.iter().filter(|status| **status == 500).count();
    assert!((40..=80).contains(&struck), "{struck} of 200");
}

#[test]
fn streams_keep_their_latest_records() {
    let database = Database::memory().unwrap();
    let table = |name: &str| Table {
        id: name.to_owned(),
        name: name.to_owned(),
        request: json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
        }),
        ttl_attribute: None,
    };
    storage::create(&database, &[table("Table")]).unwrap();
    storage::prepare_streams(&database, 3).unwrap();
    for number in 1..=5 {
        let put = json!({"TableName": "Table", "Item": {"id": {"S": format!("{number}")}}});
        execute(&database, "PutItem", &put).unwrap();
    }
    let stream = execute(&database, "DescribeTable", &json!({"TableName": "Table"})).unwrap();
    let start = json!({
        "StreamArn": stream["Table"]["LatestStreamArn"],
        "ShardId": dynoxide::streams::shard_id("Table"),
        "ShardIteratorType": "TRIM_HORIZON",
    });
    let start = execute(&database, "GetShardIterator", &start).unwrap();
    let records = json!({"ShardIterator": start["ShardIterator"]});
    let records = execute(&database, "GetRecords", &records).unwrap();
    let records = records["Records"].as_array().unwrap().iter();
    let ids: Vec<_> = records.map(|record| record["dynamodb"]["Keys"]["id"]["S"].clone()).collect();
    assert_eq!(ids, ["3", "4", "5"]);
}

#[test]
fn rules_are_bounded_in_number() {
    let dynamodb = open();
    let set = |fault: &str, count: usize| {
        let rules: Value = (0..count).map(|_| json!({"fault": fault})).collect();
        dynamodb.set_faults(rules.to_string().as_bytes()).is_ok()
    };
    assert!(set("throttle", 1_000) && set("stale_index", 10));
    assert!(!set("throttle", 1_001) && !set("stale_index", 11));
}

#[test]
fn a_wrong_rule_is_explained() {
    let dynamodb = open();
    let complaint = |rule: &str| {
        let rules = format!(r#"[{{"fault": "throttle"}}, {rule}]"#);
        dynamodb.set_faults(rules.as_bytes()).unwrap_err().to_string()
    };
    for (rule, expected) in [
        (r#"{"fault": "flood"}"#, "unknown variant `flood`"),
        (r#"{"fault": "throttle", "nht": 1}"#, "unknown field `nht`"),
        (r#"{"nth": 1}"#, "missing field `fault`"),
        (r#"{"fault": "throttle", "nth": 1, "nth": 2}"#, "duplicate field `nth`"),
        (r#"{"fault": "throttle", "nth": 0}"#, "rule 2: nth: calls are counted from 1"),
        (r#"{"fault": "throttle", "times": 0}"#, "rule 2: times: must be at least 1"),
        (r#"{"fault": "throttle", "probability": 1.5}"#, "rule 2: probability: must be"),
        (r#"{"fault": "throttle", "seed": 1}"#, "rule 2: seed: goes with probability"),
        (
            r#"{"fault": "throttle", "nth": 1, "probability": 1}"#,
            "rule 2: nth: give nth or probability, not both",
        ),
        (
            r#"{"fault": "throttle", "function": "Nobody"}"#,
            "rule 2: function: the template has no function Nobody",
        ),
        (
            r#"{"fault": "throttle", "table": "real-name"}"#,
            "rule 2: table: there is no real-name; there are Table",
        ),
        (
            r#"{"fault": "short_pages", "operation": "GetItem"}"#,
            "rule 2: operation: this fault strikes Query, not GetItem",
        ),
        (r#"{"fault": "throttle", "items": 1}"#, "rule 2: items: goes with unprocessed"),
        (r#"{"fault": "short_pages", "items": 0}"#, "rule 2: items: must be at least 1"),
        (r#"{"fault": "short_pages", "writes": 1}"#, "rule 2: writes: goes with stale_index"),
        (r#"{"fault": "stale_index", "writes": 0}"#, "rule 2: writes: must be at least 1"),
        (r#"{"fault": "stale_index", "writes": 10001}"#, "rule 2: writes: must be at least 1, and"),
        (r#"{"fault": "throttle", "ms": 1}"#, "rule 2: ms: goes with conflict_hold"),
        (r#"{"fault": "conflict_hold", "ms": 0}"#, "rule 2: ms: must be at least 1"),
    ] {
        let complaint = complaint(rule);
        assert!(complaint.contains(expected), "{rule}: {complaint}");
    }
    assert_eq!(dynamodb.faults(), json!([]), "a bad list changes nothing");
}

/// Returns a transaction that puts items with these numbers.
fn transaction(numbers: &[u8]) -> Value {
    let puts: Vec<_> = numbers.iter().map(|number| json!({"Put": put(*number)})).collect();
    json!({"TransactItems": puts})
}

/// Sends `first`, and sends `then` while `first` is in flight. Returns both replies.
async fn meet(dynamodb: &DynamoDb, first: (&str, Value), then: (&str, Value)) -> [(u16, Value); 2] {
    let read = |answer| {
        let Answer::Reply(reply) = answer else { panic!("no answer") };
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    };
    let later = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        send(dynamodb, then.0, &then.1).await
    };
    let (first, then) = tokio::join!(send(dynamodb, first.0, &first.1), later);
    [read(first), read(then)]
}

fn hold(dynamodb: &DynamoDb) {
    arm(dynamodb, json!([{"fault": "conflict_hold"}]));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_on_an_item_in_flight_is_refused_by_item() {
    let dynamodb = open();
    hold(&dynamodb);
    let check = json!({"ConditionCheck": {
        "TableName": "real-name", "Key": key(1), "ConditionExpression": "attribute_exists(pk)",
    }});
    let first = json!({"TransactItems": [check, {"Put": put(5)}]});
    let then = transaction(&[6, 1]);
    let [first, then] =
        meet(&dynamodb, ("TransactWriteItems", first), ("TransactWriteItems", then)).await;
    assert_eq!(first.0, 200, "{first:?}");
    assert_eq!(kind(&then), (400, "TransactionCanceledException"));
    let codes: Vec<_> =
        then.1["CancellationReasons"].as_array().unwrap().iter().map(|one| &one["Code"]).collect();
    assert_eq!(codes, ["None", "TransactionConflict"]);
    let sent = send(&dynamodb, "TransactWriteItems", &transaction(&[6, 1])).await;
    assert!(matches!(sent, Answer::Reply(reply) if reply.status == 200), "the hold has ended");
    assert_eq!(dynamodb.faults()[0]["hits"], 3, "the refused one too");
}

#[tokio::test(start_paused = true)]
async fn transactions_on_other_items_do_not_conflict() {
    let dynamodb = open();
    hold(&dynamodb);
    let (first, then) = (transaction(&[1, 5]), transaction(&[2, 6]));
    let [first, then] =
        meet(&dynamodb, ("TransactWriteItems", first), ("TransactWriteItems", then)).await;
    assert_eq!((first.0, then.0), (200, 200), "{first:?} {then:?}");
}

#[tokio::test(start_paused = true)]
async fn a_single_write_on_an_item_in_flight_is_refused() {
    let dynamodb = open();
    hold(&dynamodb);
    let key = json!({"TableName": "real-name", "Key": key(1)});
    for (operation, write) in
        [("PutItem", put(1)), ("UpdateItem", key.clone()), ("DeleteItem", key)]
    {
        let first = ("TransactWriteItems", transaction(&[1]));
        let [first, then] = meet(&dynamodb, first, (operation, write)).await;
        assert_eq!(first.0, 200, "{first:?}");
        assert_eq!(kind(&then), (400, "TransactionConflictException"), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_write_leaves_out_the_items_in_flight() {
    let dynamodb = open();
    hold(&dynamodb);
    let write = |number| json!({"PutRequest": {"Item": item(number)}});
    for (numbers, unprocessed) in [(&[1, 7][..], &[1][..]), (&[1, 2], &[1, 2])] {
        let first = ("TransactWriteItems", transaction(&[1, 2]));
        let writes: Vec<_> = numbers.iter().map(|number| write(*number)).collect();
        let batch = ("BatchWriteItem", json!({"RequestItems": {"real-name": writes}}));
        let [first, then] = meet(&dynamodb, first, batch).await;
        assert_eq!(first.0, 200, "{first:?}");
        let left: Vec<_> = unprocessed.iter().map(|number| write(*number)).collect();
        assert_eq!(then.0, 200);
        assert_eq!(then.1["UnprocessedItems"], json!({"real-name": left}));
    }
    let get = json!({"TableName": "real-name", "Key": key(7)});
    let found = send(&dynamodb, "GetItem", &get).await;
    assert!(matches!(found, Answer::Reply(reply) if reply.body.contains("item-7")));
}

#[tokio::test(start_paused = true)]
async fn reads_pass_an_item_in_flight_and_see_it_as_before() {
    let dynamodb = open();
    hold(&dynamodb);
    let get = json!({"TableName": "real-name", "Key": key(5), "ConsistentRead": true});
    let first = ("TransactWriteItems", transaction(&[5]));
    let [first, then] = meet(&dynamodb, first, ("GetItem", get.clone())).await;
    assert_eq!((first.0, then), (200, (200, json!({}))));
    for (operation, read) in [
        ("GetItem", get.clone()),
        ("BatchGetItem", json!({"RequestItems": {"real-name": {"Keys": [key(5)]}}})),
        ("Query", partition()),
    ] {
        let first = ("TransactWriteItems", transaction(&[5]));
        let [_, then] = meet(&dynamodb, first, (operation, read)).await;
        assert!(then.0 == 200 && then.1.to_string().contains("item-5"), "{operation}");
    }
    let read = json!({"TransactItems": [{"Get": {"TableName": "real-name", "Key": key(5)}}]});
    let first = ("TransactWriteItems", transaction(&[5]));
    let [_, then] = meet(&dynamodb, first, ("TransactGetItems", read)).await;
    assert_eq!(kind(&then), (400, "TransactionCanceledException"), "as on AWS");
}

#[tokio::test(start_paused = true)]
async fn the_same_transaction_sent_again_is_in_progress() {
    let dynamodb = open();
    hold(&dynamodb);
    let mut transaction = transaction(&[5]);
    transaction["ClientRequestToken"] = json!("token");
    let call = || ("TransactWriteItems", transaction.clone());
    let [first, then] = meet(&dynamodb, call(), call()).await;
    assert_eq!(first.0, 200, "{first:?}");
    assert_eq!(kind(&then), (400, "TransactionInProgressException"));
}

#[tokio::test(start_paused = true)]
async fn contention_holds_beside_other_faults_until_it_is_switched_off() {
    let dynamodb = open();
    dynamodb.set_contention(Duration::from_millis(20));
    arm(&dynamodb, json!([{"fault": "throttle", "operation": "GetItem"}]));
    let call = || ("TransactWriteItems", transaction(&[5]));
    let [first, then] = meet(&dynamodb, call(), call()).await;
    assert_eq!((first.0, kind(&then)), (200, (400, "TransactionCanceledException")));
    dynamodb.set_contention(Duration::ZERO);
    let [first, then] = meet(&dynamodb, call(), call()).await;
    assert_eq!((first.0, then.0), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_caller_leaves_releases_its_items() {
    let dynamodb = open();
    hold(&dynamodb);
    let transaction = transaction(&[5]);
    let sent = send(&dynamodb, "TransactWriteItems", &transaction);
    assert!(tokio::time::timeout(Duration::from_millis(5), sent).await.is_err());
    let again = send(&dynamodb, "TransactWriteItems", &transaction).await;
    assert!(matches!(again, Answer::Reply(reply) if reply.status == 200));
}

#[test]
fn a_read_of_an_index_may_only_name_what_it_projects() {
    let dynamodb = open();
    let read = |operation: &str, (name, expression): (&str, &str)| {
        let mut request = index();
        if operation == "Scan" {
            request = json!({"TableName": "real-name"});
        }
        request["IndexName"] = json!("narrow");
        request[name] = json!(expression);
        if expression.contains('#') {
            request["ExpressionAttributeNames"] = json!({"#extra": "extra"});
        }
        let (status, body) = reply(&dynamodb, operation, request);
        (status, body["message"].as_str().unwrap_or_default().to_owned())
    };
    let projection = "One or more parameter values were invalid: Global secondary index narrow does not \
                      project [extra]";
    let filter = "One or more parameter values were invalid: Secondary index narrow does not project one \
                  or more filter attributes: [extra]";
    let (projects, filters) = ("ProjectionExpression", "FilterExpression");
    for (operation, expression, complaint) in [
        ("Query", (projects, "pk, sk, gsk, shown.deep[0]"), None),
        ("Query", (projects, "pk, extra.deep"), Some(projection)),
        ("Query", (projects, "pk, #extra"), Some(projection)),
        ("Scan", (projects, "extra"), Some(projection)),
        ("Query", (filters, "attribute_exists(shown) AND NOT (size (shown) IN (:z))"), None),
        ("Query", (filters, "shown = :z OR #extra = :z"), Some(filter)),
        ("Query", (filters, "attribute_not_exists(extra)"), Some(filter)),
        ("Scan", (filters, "attribute_exists(extra)"), None),
    ] {
        let (status, message) = read(operation, expression);
        let expected = complaint.map_or((200, ""), |complaint| (400, complaint));
        assert_eq!((status, message.as_str()), expected, "{operation} {expression:?}");
    }
}

#[test]
fn no_key_is_compared_with_an_empty_string() {
    let dynamodb = open();
    for (condition, status) in
        [("pk = :pk AND sk BETWEEN :from AND :to", 400), ("pk = :pk AND sk > :to", 200)]
    {
        let request = json!({
            "TableName": "real-name",
            "KeyConditionExpression": condition,
            "FilterExpression": "note <> :from",
            "ExpressionAttributeValues":
                {":pk": {"S": "a"}, ":from": {"S": ""}, ":to": {"S": "b"}},
        });
        let (answered, body) = reply(&dynamodb, "Query", request);
        assert_eq!(answered, status, "{condition}: {body}");
    }
}

fn open_empty() -> (Arc<DynamoDb>, Arc<Stats>) {
    let table = Table {
        id: "Table".into(),
        name: "Table".into(),
        request: json!({
            "TableName": "Table",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        }),
        ttl_attribute: Some("expires_at".into()),
    };
    let stats = Arc::new(Stats::new(["Fn".to_owned()], Vec::new()));
    let permissions = Permissions::of("Fn", &["GetItem", "PutItem"], &["Table"]);
    let dynamodb = DynamoDb::open(vec![table], None, Arc::clone(&stats), permissions, Vec::new());
    (dynamodb.unwrap(), stats)
}

async fn dispatch(dynamodb: &Arc<DynamoDb>, operation: &str, body: Value) -> (u16, Value) {
    let caller = Caller { function: "Fn".into(), process: "1".into() };
    let answer = dynamodb.dispatch(Some(caller), operation, body.to_string().into()).await;
    let Answer::Reply(reply) = answer else { panic!("no answer to {operation}") };
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[tokio::test]
async fn calls_and_capacity_are_counted_and_not_shown_unless_asked_for() {
    let (dynamodb, stats) = open_empty();
    let item = json!({"pk": {"S": "a"}});
    let put = json!({"TableName": "Table", "Item": item});
    let get = json!({"TableName": "Table", "Key": item, "ConsistentRead": true});
    let transaction = json!({"TransactItems": [{"Put": put}]});
    assert_eq!(dispatch(&dynamodb, "PutItem", put).await, (200, json!({})));
    assert_eq!(dispatch(&dynamodb, "GetItem", get).await, (200, json!({"Item": item})));
    assert_eq!(dispatch(&dynamodb, "TransactWriteItems", transaction).await, (200, json!({})));
    assert_eq!(
        stats.report()["functions"]["Fn"]["dynamodb"],
        json!({
            "calls": {"GetItem": 1, "PutItem": 1, "TransactWriteItems": 1},
            "rcu": 1.0,
            "wcu": 3.0,
            "written": {"Table": 3.0},
            "steps": 3,
        })
    );
}

#[tokio::test]
async fn errors_are_dynamodbs() {
    let (dynamodb, _) = open_empty();
    let put = json!({
        "TableName": "Table",
        "Item": {"pk": {"S": "a"}},
        "ConditionExpression": "attribute_exists(pk)",
    });
    let (status, body) = dispatch(&dynamodb, "PutItem", put.clone()).await;
    assert_eq!(status, 400);
    assert!(body["__type"].as_str().unwrap().ends_with("#ConditionalCheckFailedException"));
    let (_, body) =
        dispatch(&dynamodb, "TransactWriteItems", json!({"TransactItems": [{"Put": put}]})).await;
    assert_eq!(body["CancellationReasons"][0]["Code"], "ConditionalCheckFailed");
    let (status, body) = dispatch(&dynamodb, "GetItem", json!({"TableName": "Table"})).await;
    assert_eq!(status, 400);
    assert!(body["__type"].as_str().unwrap().ends_with("#ValidationException"), "{body}");
    let (status, _) = dispatch(&dynamodb, "DropEverything", json!({})).await;
    assert_eq!(status, 400);
}

/// Only `GetItem` and `PutItem` on the table are granted. Each case names the missing permission for which
/// the call is refused; `None` if the call is allowed.
#[tokio::test]
async fn a_call_that_is_not_granted_is_refused() {
    let (dynamodb, _) = open_empty();
    let item = json!({"pk": {"S": "a"}});
    let at = |table: &str| json!({"TableName": table, "Key": item});
    let legs = |kind: &str| json!({"TransactItems": [{"Put": {"TableName": "Table", "Item": item}}, {kind: at("Table")}]});
    for (operation, request, missing) in [
        ("GetItem", at("Table"), None),
        (
            "GetItem",
            at("Other"),
            Some(
                "dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/Other ",
            ),
        ),
        ("DeleteItem", at("Table"), Some("dynamodb:DeleteItem")),
        ("UpdateItem", at("Table"), Some("dynamodb:UpdateItem")),
        ("Scan", json!({"TableName": "Table"}), Some("dynamodb:Scan")),
        (
            "Query",
            json!({"TableName": "Table", "IndexName": "due"}),
            Some(
                "dynamodb:Query on resource: arn:aws:dynamodb:us-east-1:000000000000:table/Table/index/due ",
            ),
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"Table": {"Keys": [item]}}}),
            Some("dynamodb:BatchGetItem"),
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {"Table": [{"PutRequest": {"Item": item}}]}}),
            Some("dynamodb:BatchWriteItem"),
        ),
        ("TransactWriteItems", legs("ConditionCheck"), Some("dynamodb:ConditionCheckItem")),
        ("TransactWriteItems", legs("Delete"), Some("dynamodb:DeleteItem")),
        ("TransactWriteItems", legs("Update"), Some("dynamodb:UpdateItem")),
        ("TransactGetItems", json!({"TransactItems": [{"Get": at("Table")}]}), None),
    ] {
        let (status, body) = dispatch(&dynamodb, operation, request).await;
        let message = body["message"].as_str().unwrap_or_default();
        match missing {
            None => assert_eq!(status, 200, "{operation}: {body}"),
            Some(missing) => {
                assert!(message.contains(&format!("to perform: {missing}")), "{operation}: {body}");
                assert!(body["__type"].as_str().unwrap().ends_with("#AccessDeniedException"));
            }
        }
    }
    // A transaction that is refused for one of its actions has done nothing.
    assert_eq!(dynamodb.items("Table").await.unwrap().unwrap().len(), 0);
}

#[tokio::test]
async fn only_functions_and_the_owner_may_call() {
    let (dynamodb, _) = open_empty();
    let get = json!({"TableName": "Table", "Key": {"pk": {"S": "a"}}}).to_string();
    for (caller, kind) in [
        (Some("Stranger"), Some("#UnrecognizedClientException")),
        (None, Some("#MissingAuthenticationTokenException")),
        (Some(OWNER), None),
    ] {
        let caller =
            caller.map(|function| Caller { function: function.into(), process: "1".into() });
        let answer = dynamodb.answer(caller.as_ref(), "GetItem", get.as_bytes()).await;
        let Answer::Reply(reply) = answer else { panic!("no answer") };
        match kind {
            Some(kind) => assert!(reply.body.contains(kind), "{}", reply.body),
            None => assert_eq!(reply.status, 200),
        }
    }
}

#[tokio::test]
async fn expired_items_are_swept() {
    let (dynamodb, _) = open_empty();
    for (pk, expires_at) in [("old", "100"), ("new", "5000")] {
        let item = json!({"pk": {"S": pk}, "expires_at": {"N": expires_at}});
        dispatch(&dynamodb, "PutItem", json!({"TableName": "Table", "Item": item})).await;
    }
    assert_eq!(dynamodb.sweep(1_000).await.unwrap(), 1);
    let items = dynamodb.items("Table").await.unwrap().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["pk"]["S"], "new");
}

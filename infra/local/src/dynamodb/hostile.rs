//! What a fault does to a call: the answers are those that real tables give.

use dynoxide::DynoxideError;
use serde_json::{Value, json};

use super::{
    Answer, Reply,
    faults::{Fault, Strike},
    request::Request,
};
use crate::lock;

/// Carries a call out as `strike` has it; `carry_out` does what the request says.
pub(super) fn suffer(
    strike: &Strike,
    request: Request<'_>,
    carry_out: impl FnOnce(Value) -> Result<Value, DynoxideError>,
) -> Answer {
    let Request { operation, body, .. } = request;
    let reply = match strike.fault {
        Fault::CrashBefore => return Answer::Crash,
        Fault::CrashAfter | Fault::TimeoutAfterApply => {
            // What the tables say to it is lost with the caller or on the way.
            let _ = carry_out(body.clone());
            return match strike.fault {
                Fault::CrashAfter => Answer::Crash,
                _ => Answer::Lost,
            };
        }
        Fault::Throttle => throttled(operation, body),
        Fault::InternalError => error(500, "InternalServerError", "Internal server error"),
        Fault::Conflict => conflict(operation, body),
        Fault::Unprocessed => process_some(operation, body.clone(), strike.items, carry_out),
        Fault::ShortPages => Reply::from(carry_out(shortened(body, strike.items.unwrap_or(1)))),
        Fault::EmptyPages => Reply::from(empty_page(request, carry_out)),
        Fault::StaleIndex => match &strike.replica {
            Some(replica) => Reply::from(lock(replica).query(body, strike.writes)),
            None => Reply::from(carry_out(body.clone())),
        },
    };
    Answer::Reply(reply)
}

fn error(status: u16, kind: &str, message: &str) -> Reply {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    Reply { status, body: json!({"__type": kind, "message": message}).to_string() }
}

fn throttled(operation: &str, request: &Value) -> Reply {
    match operation {
        "TransactGetItems" | "TransactWriteItems" => canceled(
            request,
            "ThrottlingError",
            "Throughput exceeds the current capacity of your table or index.",
        ),
        _ => error(
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. \
             Consider increasing your provisioning level with the UpdateTable API.",
        ),
    }
}

fn conflict(operation: &str, request: &Value) -> Reply {
    const MESSAGE: &str = "Transaction is ongoing for the item";
    match operation {
        "TransactGetItems" | "TransactWriteItems" => {
            canceled(request, "TransactionConflict", MESSAGE)
        }
        _ => error(400, "TransactionConflictException", MESSAGE),
    }
}

/// A transaction canceled by its first leg.
fn canceled(request: &Value, code: &str, message: &str) -> Reply {
    let legs = request["TransactItems"].as_array().map_or(0, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); legs];
    if let Some(first) = reasons.first_mut() {
        *first = json!({"Code": code, "Message": message});
    }
    let codes: Vec<_> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body = json!({"__type": kind, "Message": message, "CancellationReasons": reasons});
    Reply { status: 400, body: body.to_string() }
}

/// Processes the first `most` of a batch, or half of it. If that is none, the call is throttled, as on
/// real tables.
fn process_some(
    operation: &str,
    mut request: Value,
    most: Option<usize>,
    carry_out: impl FnOnce(Value) -> Result<Value, DynoxideError>,
) -> Reply {
    let reads = operation == "BatchGetItem";
    let size = |table: &Value| {
        let entries = if reads { &table["Keys"] } else { table };
        entries.as_array().map_or(0, Vec::len)
    };
    let batches = || request["RequestItems"].as_object().into_iter().flatten();
    let most = most.unwrap_or_else(|| batches().map(|(_, table)| size(table)).sum::<usize>() / 2);
    if most == 0 {
        return throttled(operation, &request);
    }
    let (mut left, mut unprocessed) = (most, json!({}));
    let Some(tables) = request["RequestItems"].as_object_mut() else {
        return Reply::from(carry_out(request));
    };
    for (name, table) in tables.iter_mut() {
        let mut rest = table.clone();
        let entries = |table: &mut Value| {
            let entries = if reads { &mut table["Keys"] } else { table };
            entries.as_array_mut().map(std::mem::take).unwrap_or_default()
        };
        let mut kept = entries(table);
        let withheld = kept.split_off(left.min(kept.len()));
        left -= kept.len();
        if !withheld.is_empty() {
            *if reads { &mut rest["Keys"] } else { &mut rest } = withheld.into();
            unprocessed[name] = rest;
        }
        *if reads { &mut table["Keys"] } else { table } = kept.into();
    }
    tables.retain(|_, table| size(table) > 0);
    Reply::from(carry_out(request).map(|mut response| {
        response[if reads { "UnprocessedKeys" } else { "UnprocessedItems" }] = unprocessed;
        response
    }))
}

fn shortened(query: &Value, most: usize) -> Value {
    let mut query = query.clone();
    let limit = query["Limit"].as_u64().unwrap_or(u64::MAX);
    query["Limit"] = json!(limit.min(most as u64));
    query
}

/// An empty page from which the query goes on where it began: real tables give it when what they read
/// is all filtered out.
fn empty_page(
    query: Request<'_>,
    carry_out: impl FnOnce(Value) -> Result<Value, DynoxideError>,
) -> Result<Value, DynoxideError> {
    let mut page = carry_out(shortened(query.body, 1))?;
    let start = match &query.body["ExclusiveStartKey"] {
        Value::Null => before(&page["LastEvaluatedKey"], query),
        start => Some(start.clone()),
    };
    if let Some(start) = start.filter(|_| page["Count"] != 0) {
        page["Items"] = json!([]);
        page["Count"] = json!(0);
        page["LastEvaluatedKey"] = start;
    }
    Ok(page)
}

/// A key right before `first`, the first in the query's direction: its sort key, cut or lengthened by a
/// character. `None` if there is no such key.
fn before(first: &Value, query: Request<'_>) -> Option<Value> {
    let mut key = first.clone();
    let Value::String(text) = key.get_mut(query.sort_key()?)?.get_mut("S")? else { return None };
    if query.body["ScanIndexForward"] == false {
        text.push('~');
    } else {
        text.pop();
    }
    Some(key).filter(|key| key.to_string().find(r#""S":"""#).is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::{
        dynamodb::{Answer, Caller, DynamoDb, faults::OPERATIONS},
        permissions::Permissions,
        stats::Stats,
        template,
    };

    /// A table with the items 1 to 4, each in its index too.
    fn open() -> Arc<DynamoDb> {
        let key = |hash: &str, range: &str| {
            json!([
                {"AttributeName": hash, "KeyType": "HASH"},
                {"AttributeName": range, "KeyType": "RANGE"},
            ])
        };
        let names = ["pk", "sk", "gpk", "gsk"];
        let table = template::Table {
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
                }],
            }),
            ttl_attribute: None,
        };
        let stats = Arc::new(Stats::new(["Fn".to_owned(), "Other".to_owned()].into_iter()));
        let latency = std::time::Duration::ZERO;
        let may = Permissions::of(
            "Fn",
            &[OPERATIONS.as_slice(), &["ConditionCheckItem"]].concat(),
            &["real-name", "real-name/index/index"],
        );
        let dynamodb = DynamoDb::open(vec![table], None, stats, may, Vec::new(), latency).unwrap();
        for number in 1..=4 {
            reply(&dynamodb, "PutItem", json!({"TableName": "real-name", "Item": item(number)}));
        }
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
        let caller = Caller { function: "Fn".into(), process: "1".into() };
        dynamodb.answer(Some(&caller), operation, body.to_string().as_bytes())
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

    /// Sort keys of all that a query finds, page by page.
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
    fn a_call_before_a_crash_has_no_effect_and_one_after_has() {
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
    fn refusals_are_those_of_real_tables_and_change_nothing() {
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
        for (fault, code) in [("throttle", "ThrottlingError"), ("conflict", "TransactionConflict")]
        {
            let answer = refused(fault, "TransactWriteItems", &transaction);
            assert_eq!(kind(&answer), (400, "TransactionCanceledException"));
            assert_eq!(answer.1["CancellationReasons"][0]["Code"], code);
            assert_eq!(answer.1["CancellationReasons"][1]["Code"], "None");
        }
    }

    #[test]
    fn what_is_left_of_a_batch_can_be_sent_again() {
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
    fn short_and_empty_pages_leave_nothing_out() {
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
    fn an_index_may_lag_behind_but_a_consistent_read_never_does() {
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
    fn a_rule_strikes_the_calls_that_it_names() {
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
    fn chances_come_from_the_seed() {
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
    fn a_bad_rule_is_explained() {
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
                "rule 2: function: template.yaml has no function Nobody",
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
        ] {
            let complaint = complaint(rule);
            assert!(complaint.contains(expected), "{rule}: {complaint}");
        }
        assert_eq!(dynamodb.faults(), json!([]), "a bad list changes nothing");
    }
}

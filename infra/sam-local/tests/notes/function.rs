//! The functions of the test's template. They implement the Lambda Runtime API and the wire format of AWS's services
//! without an SDK.

use serde_json::{Value, json};

use crate::http;

const RUNTIME: &str = "/2018-06-01/runtime";

#[expect(clippy::disallowed_methods, reason = "a function's configuration")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Handles events until the process is ended.
pub(crate) fn serve() {
    let runtime = variable("AWS_LAMBDA_RUNTIME_API");
    let binary = variable("BINARY");
    loop {
        let next = http::send(&runtime, "GET", &format!("{RUNTIME}/invocation/next"), &[], "");
        let request = next.header("lambda-runtime-aws-request-id").unwrap();
        let result = handle(&binary, &serde_json::from_str(&next.body).unwrap());
        let path = format!("{RUNTIME}/invocation/{request}/response");
        http::send(&runtime, "POST", &path, &[], &result.to_string());
    }
}

fn handle(binary: &str, event: &Value) -> Value {
    match binary {
        "add" => add(event),
        "publish" => publish(event),
        "count" => count(),
        _ => report(),
    }
}

/// Stores a note.
fn add(event: &Value) -> Value {
    let id = &event["pathParameters"]["id"];
    let put = json!({"TableName": variable("TABLE"), "Item": {"id": {"S": id}}});
    call("DYNAMODB", "DynamoDB_20120810.PutItem", &put);
    json!({"statusCode": 200, "body": json!({variable("GREETING"): id}).to_string()})
}

/// Publishes an event for each new note of the stream.
fn publish(event: &Value) -> Value {
    for record in event["Records"].as_array().unwrap() {
        let id = &record["dynamodb"]["Keys"]["id"]["S"];
        let entry = json!({
            "EventBusName": variable("BUS"),
            "Source": "notes",
            "DetailType": "note_added",
            "Detail": json!({"id": id}).to_string(),
        });
        call("EVENTBRIDGE", "AWSEvents.PutEvents", &json!({"Entries": [entry]}));
    }
    Value::Null
}

/// Counts a published note.
fn count() -> Value {
    let update = json!({
        "TableName": variable("TABLE"),
        "Key": {"id": {"S": "count"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    });
    call("DYNAMODB", "DynamoDB_20120810.UpdateItem", &update)
}

/// Returns the number of notes.
fn report() -> Value {
    let get = json!({"TableName": variable("TABLE"), "Key": {"id": {"S": "count"}}});
    let found = call("DYNAMODB", "DynamoDB_20120810.GetItem", &get);
    json!({"count": found["Item"]["n"]["N"]})
}

/// Calls an AWS service.
fn call(service: &str, target: &str, request: &Value) -> Value {
    let header = |name: &str, value: String| (name.to_owned(), value);
    let key = variable("AWS_ACCESS_KEY_ID");
    let headers = [
        header("x-amz-target", target.to_owned()),
        header("authorization", format!("AWS4-HMAC-SHA256 Credential={key}/scope, Signature=none")),
        header("x-amz-security-token", variable("AWS_SESSION_TOKEN")),
    ];
    let endpoint = variable(&format!("AWS_ENDPOINT_URL_{service}"));
    let answer = http::send(&endpoint, "POST", "/", &headers, &request.to_string());
    serde_json::from_str(&answer.body).unwrap()
}

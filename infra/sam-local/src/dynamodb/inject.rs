//! Carries out calls into which a fault is injected. The replies are those that real DynamoDB gives in such a
//! case.

use dynoxide::DynoxideError;
use serde_json::{Value, json};

use super::{
    batch,
    faults::{Fault, Strike},
    holds::CONFLICT,
    reply::{Answer, Reply},
    request::Request,
};
use crate::sync::lock;

/// Injects the fault of `strike` into a call, and returns what the caller gets. `carry_out` executes the request on the
/// tables, if the fault lets it.
pub(super) fn inject(
    strike: &Strike,
    request: Request<'_>,
    carry_out: impl FnOnce(Value) -> Result<Value, DynoxideError>,
) -> Answer {
    let Request { operation, body, .. } = request;
    let reply = match strike.fault {
        Fault::CrashBefore => return Answer::Crash,
        Fault::CrashAfter | Fault::TimeoutAfterApply => {
            // The reply is lost with the caller or on the way.
            let _ = carry_out(body.clone());
            return match strike.fault {
                Fault::CrashAfter => Answer::Crash,
                _ => Answer::Lost,
            };
        }
        Fault::Throttle => throttled(operation, body),
        Fault::InternalError => {
            Reply::exception(500, "InternalServerError", "Internal server error")
        }
        Fault::Conflict => conflict(operation, body),
        Fault::Unprocessed => process_some(operation, body.clone(), strike.items, carry_out),
        Fault::ShortPages => Reply::from(carry_out(shortened(body, strike.items.unwrap_or(1)))),
        Fault::EmptyPages => Reply::from(empty_page(request, carry_out)),
        Fault::StaleIndex => match &strike.replica {
            Some(replica) => Reply::from(lock(replica).query(body, strike.writes)),
            None => Reply::from(carry_out(body.clone())),
        },
        // The caller of `inject` keeps the transaction in flight.
        Fault::ConflictHold => Reply::from(carry_out(body.clone())),
    };
    Answer::Reply(reply)
}

fn throttled(operation: &str, request: &Value) -> Reply {
    match operation {
        "TransactGetItems" | "TransactWriteItems" => canceled(
            request,
            "ThrottlingError",
            "Throughput exceeds the current capacity of your table or index.",
        ),
        _ => Reply::exception(
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. \
             Consider increasing your provisioning level with the UpdateTable API.",
        ),
    }
}

fn conflict(operation: &str, request: &Value) -> Reply {
    match operation {
        "TransactGetItems" | "TransactWriteItems" => {
            canceled(request, "TransactionConflict", CONFLICT)
        }
        _ => Reply::exception(400, "TransactionConflictException", CONFLICT),
    }
}

/// Returns the reply to a transaction that is canceled because of its first item, with `code` and `message` as the
/// reason.
fn canceled(request: &Value, code: &str, message: &str) -> Reply {
    let items = request["TransactItems"].as_array().map_or(0, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); items];
    if let Some(first) = reasons.first_mut() {
        *first = json!({"Code": code, "Message": message});
    }
    Reply::canceled(reasons)
}

/// Processes only the first `most` entries of a batch (`None`: the first half). If this leaves no entry at
/// all, the call is throttled, as on real tables.
fn process_some(
    operation: &str,
    mut request: Value,
    most: Option<usize>,
    carry_out: impl FnOnce(Value) -> Result<Value, DynoxideError>,
) -> Reply {
    let mut left = most.unwrap_or(batch::size(operation, &request) / 2);
    if left == 0 {
        return throttled(operation, &request);
    }
    let unprocessed = batch::withhold(operation, &mut request, |_, _| {
        let is_withheld = left == 0;
        left = left.saturating_sub(1);
        is_withheld
    });
    Reply::from(carry_out(request).map(|mut response| {
        batch::add_unprocessed(operation, &mut response, unprocessed);
        response
    }))
}

fn shortened(query: &Value, most: usize) -> Value {
    let mut query = query.clone();
    let limit = query["Limit"].as_u64().unwrap_or(u64::MAX);
    query["Limit"] = json!(limit.min(most as u64));
    query
}

/// Returns an empty page whose `LastEvaluatedKey` is the position at which the query began. Real tables return such a
/// page when a filter drops every item that they read.
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

/// Returns a key just before `first` in the query's direction. Its sort key is that of `first`, shortened by a
/// character in ascending order, or extended by one in descending order. `None` if the sort key is not text or would be
/// empty.
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

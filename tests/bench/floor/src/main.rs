//! A lower bound for the benchmark: the same endpoints without AWS SDK, framework or async runtime, with
//! requests signed by hand. It is not an example to follow.

mod dynamodb;
mod http;
mod lambda;

use std::error::Error;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use dynamodb::DynamoDb;
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SHOWN: [&str; 17] = [
    "id",
    "name",
    "detail",
    "email",
    "phone_number",
    "address",
    "webhook_method",
    "webhook_uri",
    "billing_account_id",
    "metadata",
    "email_verified",
    "status",
    "identity_verification_status",
    "tm_deletion_scheduled",
    "tm_create",
    "tm_update",
    "tm_delete",
];

/// Context of an endpoint: the database client, and the names of the tables.
struct App {
    tables: DynamoDb,
    accounts: String,
    outbox: String,
    /// Working memory of the password hash function, reused between calls.
    memory: Vec<Block>,
}

fn main() -> Result<()> {
    let handler = variable("_HANDLER")?;
    let memory = if handler == "create" { Params::DEFAULT.block_count() } else { 0 };
    let mut app = App {
        tables: DynamoDb::connect()?,
        accounts: variable("ACCOUNTS_TABLE")?,
        outbox: variable("OUTBOX_TABLE")?,
        memory: vec![Block::default(); memory],
    };
    let handle = match handler.as_str() {
        "get" => get,
        "list" => list,
        "create" => create,
        _ => return Err("no such endpoint".into()),
    };
    // Touches every block, so that the pages of memory are allocated now and not in the first request.
    for block in &mut app.memory {
        block.as_mut()[0] = 1;
    }
    lambda::serve(&variable("AWS_LAMBDA_RUNTIME_API")?, |event| match handle(&mut app, event) {
        Ok(Some(body)) => reply(200, &body),
        Ok(None) => reply(401, &json!({"error": {"reason": "AUTHENTICATION_REQUIRED"}})),
        Err(error) => reply(503, &json!({"error": {"reason": error.to_string()}})),
    })
}

fn reply(status: u16, body: &Value) -> Value {
    json!({
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": body.to_string(),
    })
}

fn get(app: &mut App, event: &Value) -> Result<Option<Value>> {
    let Some(caller) = caller_key(event) else { return Ok(None) };
    let id = event["pathParameters"]["id"].as_str().unwrap_or_default();
    let partition = format!("CUSTOMER#{id}");
    let keys = json!([caller, {"pk": {"S": partition}, "sk": {"S": "A"}}]);
    let mut wanted = Map::new();
    wanted.insert(app.accounts.clone(), json!({"Keys": keys, "ConsistentRead": true}));
    let answer = app.tables.call("BatchGetItem", &json!({"RequestItems": wanted}))?;
    let items = answer["Responses"][&app.accounts].as_array().ok_or("no items")?;
    let at = |pk: &Value| items.iter().find(|item| item["pk"]["S"] == *pk);
    match (at(&caller["pk"]["S"]), at(&json!(partition))) {
        (Some(caller), Some(customer)) if is_admin(caller) => Ok(Some(shown(customer))),
        _ => Ok(None),
    }
}

fn list(app: &mut App, event: &Value) -> Result<Option<Value>> {
    if !authenticate(app, event)? {
        return Ok(None);
    }
    let size = event["queryStringParameters"]["page_size"].as_str().unwrap_or("100");
    let page = app.tables.call(
        "Query",
        &json!({
            "TableName": app.accounts,
            "IndexName": "list",
            "KeyConditionExpression": "list_pk = :list",
            "ExpressionAttributeValues": {":list": {"S": "CUSTOMERS"}},
            "ScanIndexForward": false,
            "Limit": size.parse::<u32>()?,
        }),
    )?;
    let rows: Vec<Value> = page["Items"].as_array().into_iter().flatten().map(shown).collect();
    let more = page["LastEvaluatedKey"].is_object();
    let next = rows.last().filter(|_| more).map(|row| row["tm_create"].clone());
    Ok(Some(json!({"result": rows, "next_page_token": next.unwrap_or(json!(""))})))
}

fn create(app: &mut App, event: &Value) -> Result<Option<Value>> {
    if !authenticate(app, event)? {
        return Ok(None);
    }
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())?;
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let password_hash = hash_password(&mut app.memory, &field("password"))?;
    let (id, agent, event_id) = (uuid()?, uuid()?, uuid()?);
    let now = dynamodb::Moment::now().rfc3339();
    let (username, email) = (field("username"), field("email"));
    let login = sha256(&username.to_lowercase());
    let partition = format!("CUSTOMER#{id}");
    let customer = json!({
        "pk": {"S": partition}, "sk": {"S": "A"},
        "list_pk": {"S": "CUSTOMERS"}, "list_sk": {"S": format!("{now}#{id}")},
        "id": {"S": id}, "name": {"S": field("name")}, "detail": {"S": field("detail")},
        "email": {"S": email}, "phone_number": {"S": ""}, "address": {"S": ""},
        "webhook_method": {"S": field("webhook_method")},
        "webhook_uri": {"S": field("webhook_uri")},
        "billing_account_id": {"S": "00000000-0000-0000-0000-000000000000"},
        "metadata": {"M": {}}, "email_verified": {"BOOL": false}, "status": {"S": "initial"},
        "identity_verification_status": {"S": "none"},
        "tm_create": {"S": now}, "tm_update": {"S": now},
    });
    let lock = json!({
        "pk": {"S": format!("USERNAME#{login}")}, "sk": {"S": "L"}, "customer_id": {"S": id},
        "agent_id": {"S": agent}, "password_hash": {"S": password_hash}, "epoch": {"N": "0"},
    });
    let first = json!({
        "pk": {"S": partition}, "sk": {"S": format!("AGENT#{agent}")}, "id": {"S": agent},
        "username": {"S": username}, "login": {"S": login}, "name": {"S": ""}, "detail": {"S": ""},
        "permission": {"N": "32"}, "epoch": {"N": "0"}, "tm_create": {"S": now},
        "tm_update": {"S": now},
    });
    let address = json!({
        "pk": {"S": format!("EMAIL#{}", sha256(&email.to_lowercase()))}, "sk": {"S": "L"},
        "customer_id": {"S": id},
    });
    let told = json!({
        "id": {"S": event_id}, "due_pk": {"S": "PUBLISH#0"},
        "due_sk": {"S": format!("{now}#{event_id}")}, "type": {"S": "customer_created"},
        "customer_id": {"S": id}, "tm_event": {"S": now}, "status": {"S": "initial"},
        "sequence": {"N": "1"}, "attempts": {"N": "0"},
    });
    let put = |table: &str, item: &Value, key: &str| {
        let condition = format!("attribute_not_exists({key})");
        json!({"Put": {"TableName": table, "Item": item, "ConditionExpression": condition}})
    };
    let mut writes: Vec<Value> = [&customer, &lock, &first, &address]
        .into_iter()
        .map(|item| put(&app.accounts, item, "pk"))
        .collect();
    writes.push(put(&app.outbox, &told, "id"));
    app.tables.call("TransactWriteItems", &json!({"TransactItems": writes}))?;
    Ok(Some(shown(&customer)))
}

fn authenticate(app: &mut App, event: &Value) -> Result<bool> {
    let Some(key) = caller_key(event) else { return Ok(false) };
    let get = json!({"TableName": app.accounts, "Key": key, "ConsistentRead": true});
    Ok(is_admin(&app.tables.call("GetItem", &get)?["Item"]))
}

/// Returns the key of the item that stores the caller's session; `None` without a bearer token.
fn caller_key(event: &Value) -> Option<Value> {
    let token = event["headers"]["authorization"].as_str()?.strip_prefix("Bearer ")?;
    Some(json!({"pk": {"S": format!("TOKEN#{}", sha256(token))}, "sk": {"S": "L"}}))
}

fn is_admin(session: &Value) -> bool {
    let permission: u64 =
        session["permission"]["N"].as_str().and_then(|n| n.parse().ok()).unwrap_or_default();
    let now = dynamodb::Moment::now().rfc3339();
    permission & 1 != 0 && session["tm_expire"]["S"].as_str().is_some_and(|until| *until > *now)
}

/// Returns an account as the API shows it.
fn shown(item: &Value) -> Value {
    let plain = |name: &str| match item[name].as_object().and_then(|typed| typed.iter().next()) {
        Some((kind, _)) if kind == "M" => {
            let flag = &item[name]["M"]["rtp_debug"]["BOOL"];
            if flag.is_boolean() { json!({"rtp_debug": flag}) } else { json!({}) }
        }
        Some((_, value)) => value.clone(),
        None => Value::Null,
    };
    SHOWN.iter().map(|name| ((*name).to_owned(), plain(name))).collect::<Map<_, _>>().into()
}

fn hash_password(memory: &mut [Block], password: &str) -> Result<String> {
    let (mut salt, mut hash) = ([0; 16], [0; 32]);
    random(&mut salt)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    argon2
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut hash, memory)
        .map_err(|error| error.to_string())?;
    let (salt, hash) = (BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&hash));
    Ok(format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}"))
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    HEXLOWER.encode(digest.as_ref())
}

/// Returns a random id in the form of a UUID version 4.
fn uuid() -> Result<String> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    let hex = HEXLOWER.encode(&bytes);
    Ok(format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]))
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| error.to_string().into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own, with nothing of the functions'"
)]
fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

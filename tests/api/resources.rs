//! Resources, the items that accounts own: creating, listing, reading and deleting each kind.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::owned::Kind;
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, PASSWORD, Template, Tenure};

const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_resource())
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().unwrap()
}

async fn create(tenure: &Tenure, token: &str, path: &str) -> Value {
    tenure.call_with(token, "POST", path, json!({})).await.ok()
}

/// Creates a phone number (a resource of kind `numbers`) with `data` as raw JSON.
async fn create_with_data(tenure: &Tenure, token: &str, data: &str) -> Answer {
    let request = tenure.request("POST", "/v1.0/numbers").bearer(token);
    let request = request.header("content-type", "application/json");
    tenure.send(request.body(format!(r#"{{"data":{data}}}"#))).await
}

/// Creates an access key, and sets its stored permission to `bits`; returns its token.
async fn with_permission(tenure: &Tenure, account: &Account, bits: u64) -> String {
    use aws_sdk_dynamodb::types::AttributeValue;
    let created = json!({"expire": 90 * 86_400});
    let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", created).await.ok();
    let update = tenure.database().update_item().table_name("AccountsTable");
    update
        .key("pk", AttributeValue::S(format!("CUSTOMER#{}", account.id)))
        .key("sk", AttributeValue::S(format!("KEY#{}", id(&key))))
        .update_expression("SET #permission = :bits")
        .expression_attribute_names("#permission", "permission")
        .expression_attribute_values(":bits", AttributeValue::N(bits.to_string()))
        .send()
        .await
        .unwrap();
    key["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_created_listed_read_and_deleted() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let token = account.token.as_str();
    assert_eq!(kinds().count(), 11);

    for kind in kinds() {
        let path = format!("/v1.0/{}", kind.plural());
        let body = json!({"name": "n", "detail": "d", "data": {"a": [1, {"b": null}]}});
        let created = tenure.call_with(token, "POST", &path, body.clone()).await.ok();
        for field in ["name", "detail", "data"] {
            assert_eq!(created[field], body[field]);
        }
        assert_eq!(created["customer_id"], account.id);
        assert_eq!(created["tm_update"], created["tm_create"]);
        assert_eq!(created["tm_delete"], Value::Null);
        assert_eq!(created.as_object().unwrap().len(), 8, "{created}");
        let blank = create(&tenure, token, &path).await;
        assert_eq!((&blank["name"], &blank["detail"]), (&json!(""), &json!("")));
        assert_eq!(blank["data"], json!({}));

        let listed = tenure.call(token, "GET", &path).await.ok();
        assert_eq!(listed, json!({"result": [blank, created], "next_page_token": ""}));

        let one = format!("{path}/{}", id(&created));
        assert_eq!(tenure.call(token, "GET", &one).await.ok(), created);
        let deleted = tenure.call(token, "DELETE", &one).await.ok();
        assert!(deleted["tm_delete"].is_string());
        let mut shown = deleted.clone();
        shown["tm_delete"] = Value::Null;
        assert_eq!(shown, created);
        for method in ["GET", "DELETE"] {
            assert_eq!(tenure.call(token, method, &one).await.refused(404), kind.not_found());
        }
        let left = tenure.call(token, "GET", &path).await.ok();
        assert_eq!(left["result"], json!([blank]));
        assert_eq!(tenure.count_events(&account.id, kind.created()).await, 2);
        assert_eq!(tenure.count_events(&account.id, kind.deleted()).await, 1);
    }
    let events = tenure.stack.events();
    assert!(!json!(events).to_string().contains(r#""b":null"#), "data on the bus");
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_is_complete_and_excludes_neighbours() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (account, other) =
        (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    let token = account.token.as_str();
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(create(&tenure, token, "/v1.0/flows").await);
        // Neighbours in key order, and in another account.
        create(&tenure, token, "/v1.0/files").await;
        create(&tenure, token, "/v1.0/numbers").await;
        create(&tenure, &other.token, "/v1.0/flows").await;
    }
    made.sort_by_key(|flow| std::cmp::Reverse(id(flow).to_owned()));
    for (size, pages) in [(1, 7), (3, 3), (7, 1), (100, 1)] {
        let (mut seen, mut page_token, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let path = format!("/v1.0/flows?page_size={size}&page_token={page_token}");
            let page = tenure.call(token, "GET", &path).await.ok();
            seen.extend(page["result"].as_array().unwrap().clone());
            page_token = page["next_page_token"].as_str().unwrap().to_owned();
            count += 1;
            assert!(count <= pages, "pages of {size} do not end");
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!((seen, count), (made.clone(), pages), "pages of {size}");
    }
    for query in [
        "page_size=0",
        "page_size=1&page_size=2",
        "page_token=x",
        "page_token=2024-01-15T10:30:00Z",
        "surprise=1",
    ] {
        let answer = tenure.call(token, "GET", &format!("/v1.0/flows?{query}")).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query}");
    }
}

/// The page takes several queries, because DynamoDB returns at most 1 MB per query.
#[tokio::test(flavor = "multi_thread")]
async fn page_larger_than_a_megabyte_is_complete() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = Arc::new(tenure.account(&admin, "test1").await);
    let mut creates = JoinSet::new();
    for _ in 0..4 {
        let (tenure, account) = (Arc::clone(&tenure), Arc::clone(&account));
        creates.spawn(async move {
            for _ in 0..25 {
                let data = json!({"a": "x".repeat(16 * 1024 - 8)});
                let body = json!({ "data": data });
                tenure.call_with(&account.token, "POST", "/v1.0/files", body).await.ok();
            }
        });
    }
    creates.join_all().await;
    let page = tenure.call(&account.token, "GET", "/v1.0/files").await.ok();
    assert_eq!(page["result"].as_array().unwrap().len(), 100);
    assert_eq!(page["next_page_token"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_returned_byte_for_byte() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let data = r#"{ "z": 123456789012345678901234567890, "a": 1.10, "m": [-0, 1E+2, 0.1000000000000000055511151231257827],
        "\u00e9": "\ud83d\ude00 / \/", "": {} }"#;
    let sent = create_with_data(&tenure, &account.token, data).await;
    assert!(sent.text.contains(data), "{}", sent.text);
    let path = format!("/v1.0/numbers/{}", id(&sent.ok()));
    for path in [path.as_str(), "/v1.0/numbers"] {
        let shown = tenure.call(&account.token, "GET", path).await;
        assert!(shown.text.contains(data), "{}", shown.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_data_is_rejected_and_nothing_written() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let sized = |size: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(size - 8));
    let deep =
        |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    for good in [sized(16 * 1024 - 1), sized(16 * 1024), deep(32)] {
        create_with_data(&tenure, &account.token, &good).await.ok();
    }
    let before = tenure.accounts().await;

    for (data, says) in [
        (sized(16 * 1024 + 1), "16384 bytes"),
        (sized(60 * 1024), "16384 bytes"),
        // White space counts towards the size.
        (format!("{{{}}}", " ".repeat(16 * 1024)), "16384 bytes"),
        (deep(33), "at most 32"),
        (deep(8000), "at most 32"),
        ("null".to_owned(), "JSON object"),
        ("[]".to_owned(), "JSON object"),
        ("5".to_owned(), "JSON object"),
        (r#""{}""#.to_owned(), "JSON object"),
        (r#"{"canary":1,"canary":2}"#.to_owned(), "same key"),
        (r#"{"a":{"canary":1,"c\u0061nary":1}}"#.to_owned(), "same key"),
        (r#"{"a":[[{"canary":1,"canary":1}]]}"#.to_owned(), "same key"),
        (r#"{"a":"canary\ud800"}"#.to_owned(), "hex escape"),
        (r#"{"a":1e999}"#.to_owned(), "out of range"),
    ] {
        let answer = create_with_data(&tenure, &account.token, &data).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{}", &data[..data.len().min(60)]);
        assert!(answer.message().starts_with("data: "), "{}", answer.text);
        assert!(answer.message().contains(says), "{}", answer.text);
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    for data in ["{", "{\"a\":NaN}", "{\"a\":01}", "{'a':1}", "{\"a\":1,}"] {
        let answer = create_with_data(&tenure, &account.token, data).await;
        assert_eq!(answer.refused(400), "INVALID_JSON_BODY", "{data}");
    }
    for (field, value) in [
        ("name", json!(null)),
        ("name", json!("x".repeat(256))),
        ("detail", json!(5)),
        ("id", json!(MISSING)),
        ("customer_id", json!(account.id)),
        ("tm_create", json!("2024-01-15T10:30:00Z")),
        ("kind", json!("numbers")),
    ] {
        let body = json!({ field: value });
        let answer = tenure.call_with(&account.token, "POST", "/v1.0/numbers", body).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{field}");
        assert!(answer.message().starts_with(&format!("{field}: ")), "{}", answer.text);
    }
    assert_eq!(tenure.accounts().await, before);
    let logs = tenure.stack.logs().join("\n");
    assert!(!logs.contains("canary"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_read_and_managers_write_only_in_their_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let (agent, manager) =
        (with_permission(&tenure, &ours, 16).await, with_permission(&tenure, &ours, 64).await);
    let nobody = with_permission(&tenure, &ours, 0).await;
    let number = create(&tenure, &manager, "/v1.0/numbers").await;
    let one = format!("/v1.0/numbers/{}", id(&number));
    let before = tenure.accounts().await;

    for path in ["/v1.0/numbers", one.as_str()] {
        tenure.call(&agent, "GET", path).await.ok();
        assert_eq!(tenure.call(&nobody, "GET", path).await.refused(403), "PERMISSION_DENIED");
    }
    for token in [&agent, &nobody] {
        // Permission is checked first.
        for (method, path, body) in [
            ("POST", "/v1.0/numbers", json!({})),
            ("POST", "/v1.0/numbers", json!({"surprise": 1})),
            ("DELETE", one.as_str(), json!({})),
            ("DELETE", &format!("/v1.0/numbers/{MISSING}"), json!({})),
            ("DELETE", "/v1.0/numbers/x", json!({})),
        ] {
            let answer = tenure.call_with(token, method, path, body).await;
            assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
        }
    }
    for method in ["GET", "DELETE"] {
        assert_eq!(tenure.call(&theirs.token, method, &one).await.refused(404), "NUMBER_NOT_FOUND");
        // An id of another kind is not found.
        let flow = format!("/v1.0/flows/{}", id(&number));
        assert_eq!(tenure.call(&manager, method, &flow).await.refused(404), "FLOW_NOT_FOUND");
        let malformed = tenure.call(&manager, method, "/v1.0/numbers/x").await;
        assert_eq!(malformed.refused(400), "INVALID_ID");
    }
    assert_eq!(tenure.call(&theirs.token, "GET", "/v1.0/numbers").await.ok()["result"], json!([]));
    assert_eq!(tenure.accounts().await, before);
    tenure.call(&manager, "DELETE", &one).await.ok();
}

/// Returns one request for each route of phone numbers, as method and path with this query.
fn calls(number: &str, query: &str) -> [(&'static str, String); 4] {
    let (all, one) = (format!("/v1.0/numbers?{query}"), format!("/v1.0/numbers/{number}?{query}"));
    [("GET", all.clone()), ("GET", one.clone()), ("POST", all), ("DELETE", one)]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_project_admins_may_pass_customer_id() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let number = create(&tenure, &theirs.token, "/v1.0/numbers").await;
    let named = format!("customer_id={}", theirs.id);
    let before = tenure.accounts().await;

    // The parameter is refused whatever its value: foreign, own, missing, malformed or empty.
    for value in [theirs.id.as_str(), &ours.id, MISSING, "x", ""] {
        for (method, path) in calls(id(&number), &format!("customer_id={value}")) {
            let answer = tenure.call_with(&ours.token, method, &path, json!({})).await;
            assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
        }
    }
    for query in ["customer_id=x", "customer_id=", &format!("{named}&{named}"), "customerid=1"] {
        for (method, path) in calls(id(&number), query) {
            let answer = tenure.call_with(&admin, method, &path, json!({})).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{method} {path}");
        }
    }
    for (method, path) in calls(id(&number), &format!("customer_id={MISSING}")) {
        let answer = tenure.call_with(&admin, method, &path, json!({})).await;
        assert_eq!(answer.refused(404), "CUSTOMER_NOT_FOUND", "{method} {path}");
    }
    assert_eq!(tenure.accounts().await, before);

    let made = create(&tenure, &admin, &format!("/v1.0/numbers?{named}")).await;
    assert_eq!(made["customer_id"], theirs.id);
    let listed = tenure.call(&admin, "GET", &format!("/v1.0/numbers?page_size=1&{named}")).await;
    assert_eq!(listed.ok(), json!({"result": [made], "next_page_token": id(&made)}));
    let one = format!("/v1.0/numbers/{}", id(&made));
    assert_eq!(tenure.call(&theirs.token, "GET", &one).await.ok(), made);
    assert_eq!(tenure.call(&admin, "GET", &one).await.refused(404), "NUMBER_NOT_FOUND");
    tenure.call(&admin, "DELETE", &format!("{one}?{named}")).await.ok();
    assert_eq!(tenure.call(&theirs.token, "GET", &one).await.refused(404), "NUMBER_NOT_FOUND");
    assert_eq!(tenure.count_events(&theirs.id, "number_deleted").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_account_is_readable_and_deleted_account_is_empty() {
    // The event that starts the purge is not matched by its rule, so the purge never starts.
    let unheard = Template::edited(|text| {
        text.replace("detail-type: [customer_deleted]", "detail-type: [nothing]")
    });
    let tenure = Tenure::start_with(unheard.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let number = create(&tenure, &account.token, "/v1.0/numbers").await;
    let [list, get, create, delete] = calls(id(&number), &format!("customer_id={}", account.id));
    let missing = calls(MISSING, &format!("customer_id={}", account.id))[3].clone();
    let writes = [create, delete, missing];
    let refused = async |before: Vec<Value>| {
        for (method, path) in &writes {
            let answer = tenure.call_with(&admin, method, path, json!({})).await;
            assert_eq!(answer.refused(409), "STATE_INVALID", "{method} {path}");
        }
        assert_eq!(tenure.accounts().await, before);
    };

    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    for (method, path) in [("GET", "/v1.0/numbers"), ("POST", "/v1.0/numbers")] {
        let answer = tenure.call_with(&account.token, method, path, json!({})).await;
        assert_eq!(answer.refused(403), "ACCOUNT_FROZEN");
    }
    assert_eq!(tenure.call(&admin, "GET", &get.1).await.ok(), number);
    assert_eq!(tenure.call(&admin, "GET", &list.1).await.ok()["result"], json!([number]));
    refused(tenure.accounts().await).await;

    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert!(tenure.partition(&account.id).await.iter().any(|key| key.starts_with("NUMBER#")));
    assert_eq!(tenure.call(&admin, "GET", &get.1).await.refused(404), "NUMBER_NOT_FOUND");
    let empty = json!({"result": [], "next_page_token": ""});
    assert_eq!(tenure.call(&admin, "GET", &list.1).await.ok(), empty);
    refused(tenure.accounts().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deletes_of_one_resource_have_one_winner() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let number = create(&tenure, &account.token, "/v1.0/numbers").await;
    let path = format!("/v1.0/numbers/{}", id(&number));
    let mut calls = JoinSet::new();
    for _ in 0..12 {
        let (tenure, token, path) = (Arc::clone(&tenure), account.token.clone(), path.clone());
        calls.spawn(async move { tenure.call(&token, "DELETE", &path).await });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(404), "NUMBER_NOT_FOUND");
    }
    assert_eq!(tenure.count_events(&account.id, "number_deleted").await, 1);
}

/// Resources of every kind keep being created while the account is deleted and purged.
#[tokio::test(flavor = "multi_thread")]
async fn resources_written_during_the_purge_do_not_outlive_the_account() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut calls = JoinSet::new();
    for kind in kinds() {
        let path = format!("/v1.0/{}", kind.plural());
        let body = json!({"name": "canary", "detail": "canary", "data": {"canary": "canary"}});
        tenure.call_with(&account.token, "POST", &path, body.clone()).await.ok();
        let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
        calls.spawn(async move {
            // Repeats until the account is deleted.
            while [200, 503]
                .contains(&tenure.call_with(&token, "POST", &path, body.clone()).await.status)
            {
            }
        });
    }
    let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    tenure.unregister(&account.token, now).await.ok();
    calls.join_all().await;
    assert!(tenure.stack.settle().await);

    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    for table in ["AccountsTable", "OutboxTable"] {
        assert!(!json!(tenure.items(table).await).to_string().contains("canary"), "{table}");
    }
    let events = json!(tenure.stack.events()).to_string();
    assert!(!events.contains("canary") && !tenure.stack.logs().join("\n").contains("canary"));
    for kind in kinds() {
        assert!(tenure.count_events(&account.id, kind.deleted()).await >= 1, "{kind:?}");
    }
}

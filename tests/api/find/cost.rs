//! Cost of lists of accounts, in database calls and capacity units, and of the indexes that they read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{create, fill, item, list};
use crate::harness::{Template, Tenure, counted, new_customer, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_one_query_and_at_most_one_read_by_key() {
    let tenure = Tenure::start_with(counted()).await;
    let admin = tenure.admin().await;
    for number in 0..3 {
        create(&tenure, &admin, &format!("test{number}"), "Name").await;
    }
    let token = list(&tenure, &admin, "name=n&page_size=1").await.ok()["next_page_token"].clone();
    let second = format!("name=n&page_token={}", token.as_str().unwrap());
    for (query, calls) in [
        ("", json!({"BatchGetItem": 1, "Query": 1, "UpdateItem": 1})),
        (
            "created_after=2024-01-15T10:30:00Z",
            json!({"BatchGetItem": 1, "Query": 1, "UpdateItem": 1}),
        ),
        ("status=initial", json!({"BatchGetItem": 2, "Query": 1, "UpdateItem": 1})),
        ("status=frozen", json!({"BatchGetItem": 1, "Query": 1, "UpdateItem": 1})),
        ("name=n", json!({"BatchGetItem": 2, "Query": 1, "UpdateItem": 1})),
        // The account that the cursor names is read, too.
        (&second, json!({"BatchGetItem": 3, "Query": 1, "UpdateItem": 1})),
        ("email=test1@example.com", json!({"BatchGetItem": 2, "Query": 1, "UpdateItem": 1})),
        ("email=nobody@example.com", json!({"BatchGetItem": 1, "Query": 1, "UpdateItem": 1})),
    ] {
        tenure.stack.reset_stats();
        list(&tenure, &admin, query).await.ok();
        let stats = tenure.stack.stats();
        let stats = &stats["functions"]["CustomerListFunction"]["dynamodb"];
        assert_eq!(stats["calls"], calls, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_cost_does_not_grow_with_the_number_of_accounts() {
    let tenure = Tenure::start_with(quick(counted())).await;
    let admin = tenure.admin().await;
    let id = create(&tenure, &admin, "test1", "Name").await;
    let one = item(&tenure, &id).await;
    let mut before = Vec::new();
    for (from, to) in [(0, 1_000), (1_000, 10_000)] {
        fill(&tenure, &one, from, to).await;
        let mut costs = Vec::new();
        for query in [
            "",
            "created_before=2100-01-01T00:00:00Z",
            "status=initial",
            "status=frozen",
            "deleted=true",
            "name=na",
            "email=test1@example.com",
        ] {
            tenure.stack.reset_stats();
            list(&tenure, &admin, query).await.ok();
            let stats = &tenure.stack.stats()["functions"]["CustomerListFunction"]["dynamodb"];
            costs.push((query, stats["calls"].clone(), stats["rcu"].clone(), stats["wcu"].clone()));
        }
        println!("{costs:?}");
        if before.is_empty() {
            before = costs;
        } else {
            assert_eq!(costs, before);
        }
    }
}

/// Returns the write units that each kind of request consumes, by a short name such as `rename`.
async fn costs(options: sam_local::Options) -> BTreeMap<&'static str, f64> {
    let tenure = Tenure::start_with(options).await;
    let admin = tenure.admin().await;
    let mut body = new_customer("test1");
    body["webhook_uri"] = json!("");
    let id =
        tenure.call_with(&admin, "POST", "/v1.0/customers", body.clone()).await.ok()["id"].clone();
    let path = format!("/v1.0/customers/{}", id.as_str().unwrap());
    body["username"] = json!("test2");
    body["email"] = json!("test2@example.com");
    let below = |below: &str| format!("{path}{below}");
    let mut costs = BTreeMap::new();
    for (what, function, method, path, body) in [
        ("create", "CustomerCreateFunction", "POST", "/v1.0/customers".to_owned(), body),
        ("phone", "CustomerUpdateFunction", "PUT", below(""), json!({"phone_number": "1"})),
        ("rename", "CustomerUpdateFunction", "PUT", below(""), json!({"name": "Zebra"})),
        ("unname", "CustomerUpdateFunction", "PUT", below(""), json!({"name": ""})),
        ("name", "CustomerUpdateFunction", "PUT", below(""), json!({"name": "Zebra"})),
        ("hold", "HoldSetFunction", "PUT", below("/hold"), json!({"reason": "Case 7"})),
        ("lift", "HoldLiftFunction", "DELETE", below("/hold"), Value::Null),
        ("freeze", "CustomerFreezeFunction", "POST", below("/freeze"), Value::Null),
        ("recover", "CustomerRecoverFunction", "POST", below("/recover"), Value::Null),
        ("delete", "CustomerDeleteFunction", "DELETE", below(""), Value::Null),
    ] {
        assert!(tenure.stack.settle().await);
        tenure.stack.reset_stats();
        let request = tenure.request(method, &path).bearer(&admin);
        let request = if body.is_null() { request } else { request.json(&body) };
        tenure.send(request).await.ok();
        let stats = tenure.stack.stats();
        let wcu = stats["functions"][function]["dynamodb"]["wcu"].as_f64().unwrap();
        assert!(costs.insert(what, wcu).is_none());
    }
    costs
}

/// Measures what the indexes by status and by name cost: the write units of each change, minus those of the
/// same change with a template without these indexes.
#[tokio::test(flavor = "multi_thread")]
async fn index_writes_happen_only_where_keys_change() {
    let without = Template::edited(|text| {
        let start = text.find("        # Accounts by status").unwrap();
        let end = text.find("        # The purge's work queue").unwrap();
        let rest = format!("{}{}", &text[..start], &text[end..]);
        let is_key = |line: &&str| {
            !line.contains("AttributeName: status, AttributeType")
                && !line.contains("AttributeName: name_key, AttributeType")
        };
        rest.lines().filter(is_key).collect::<Vec<_>>().join("\n")
    });
    let (with, without) = (
        costs(counted()).await,
        costs(sam_local::Options { parameters: counted().parameters, ..without.options() }).await,
    );
    println!("{with:?} {without:?}");
    let more: Vec<_> = with.iter().map(|(what, units)| (*what, units - without[what])).collect();
    assert_eq!(
        more,
        [
            // Adds one entry to each of the indexes `status` and `name`.
            ("create", 2.0),
            // Removes one entry from the index `name`, and moves one within `status`.
            ("delete", 3.0),
            ("freeze", 2.0),
            ("hold", 0.0),
            ("lift", 0.0),
            ("name", 1.0),
            ("phone", 0.0),
            ("recover", 2.0),
            ("rename", 2.0),
            ("unname", 1.0),
        ]
    );
}

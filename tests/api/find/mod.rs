//! Lists of accounts: filters, pages, changes while a list is read, and cost.

mod changes;
mod cost;
mod filters;
mod marks;
mod paging;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::harness::{Answer, Tenure, new_customer};

async fn list(tenure: &Tenure, admin: &str, query: &str) -> Answer {
    tenure.call(admin, "GET", &format!("/v1.0/customers?{query}")).await
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["result"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Reads all pages of a list, with `size` accounts per page; returns the ids of the accounts in order.
async fn walk(tenure: &Tenure, admin: &str, query: &str, size: usize) -> Vec<String> {
    try_walk(tenure, admin, query, size).await.unwrap_or_else(|refusal| panic!("{}", refusal.text))
}

/// Like [`walk`], but returns the response if a page is refused.
async fn try_walk(
    tenure: &Tenure,
    admin: &str,
    query: &str,
    size: usize,
) -> Result<Vec<String>, Answer> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let encoded: String = utf8_percent_encode(&token, NON_ALPHANUMERIC).collect();
        let query = format!("{query}&page_size={size}&page_token={encoded}");
        let page = list(tenure, admin, &query).await;
        if page.status != 200 {
            return Err(page);
        }
        let page = page.ok();
        assert!(page["result"].as_array().unwrap().len() <= size);
        found.extend(ids(&page));
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        if token.is_empty() {
            return Ok(found);
        }
    }
}

async fn create(tenure: &Tenure, admin: &str, username: &str, name: &str) -> String {
    let mut body = new_customer(username);
    body["name"] = json!(name);
    body["webhook_uri"] = json!("");
    let created = tenure.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
    created["id"].as_str().unwrap().to_owned()
}

async fn delete(tenure: &Tenure, admin: &str, id: &str) {
    tenure.call(admin, "DELETE", &format!("/v1.0/customers/{id}")).await.ok();
}

/// Returns the account root, the item with the account's own data.
async fn item(tenure: &Tenure, id: &str) -> Value {
    let pk = format!("CUSTOMER#{id}");
    let items = tenure.items("AccountsTable").await;
    items.into_iter().find(|item| item["pk"]["S"] == *pk && item["sk"]["S"] == "A").unwrap()
}

/// Writes copies of the account `one` directly to the table, numbered `from..to`, all with the same creation
/// time and name. Returns their ids in ascending order.
async fn fill(tenure: &Tenure, one: &Value, from: usize, to: usize) -> Vec<String> {
    let client = tenure.database();
    let mut made = Vec::new();
    let numbers: Vec<_> = (from..to).collect();
    for numbers in numbers.chunks(25) {
        let mut writes = Vec::new();
        for number in numbers {
            let id = format!("{number:08}-804e-11ec-8477-2fea5968d85b");
            let mut item: HashMap<String, AttributeValue> = one
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect();
            for name in ["pk", "id", "list_sk", "name_key"] {
                let text = one[name]["S"].as_str().unwrap();
                let own = text.replace(one["id"]["S"].as_str().unwrap(), &id);
                item.insert(name.to_owned(), AttributeValue::S(own));
            }
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            writes.push(WriteRequest::builder().put_request(put).build());
            made.push(id);
        }
        client.batch_write_item().request_items("AccountsTable", writes).send().await.unwrap();
    }
    made
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" => AttributeValue::S(value.as_str().unwrap().to_owned()),
        "N" => AttributeValue::N(value.as_str().unwrap().to_owned()),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "M" => AttributeValue::M(
            value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), attribute(value)))
                .collect(),
        ),
        other => panic!("{other}"),
    }
}

//! Lists of accounts by state: due for deletion, held, suspended, or with a failing webhook. For each of the
//! last three states that an account is in, the accounts table has an item, the *marker*, that makes the
//! account appear in the list.

use std::slice::from_ref;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{create, delete, ids, list, walk};
use crate::harness::{PASSWORD, Tenure};
use crate::receiver::{self, Receiver};

const SCHEDULED: &str = "status=frozen&sort=due";

/// Returns the partition and sort key of every marker.
async fn markers(tenure: &Tenure) -> Vec<String> {
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    let items = tenure.items("AccountsTable").await;
    let markers = items.iter().filter(|item| text(item, "pk").starts_with("MARKED#"));
    markers.map(|item| format!("{} {}", text(item, "pk"), text(item, "sk"))).collect()
}

async fn act(tenure: &Tenure, admin: &str, method: &str, id: &str, below: &str) {
    let path = format!("/v1.0/customers/{id}{below}");
    let answer = match method {
        "PUT" => tenure.call_with(admin, method, &path, json!({"reason": "Case 7"})).await,
        _ => tenure.call(admin, method, &path).await,
    };
    answer.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_accounts_are_listed_in_the_order_of_their_dates() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d"] {
        made.push(create(&tenure, &admin, name, name).await);
    }
    let [a, b, c, d] = made.try_into().unwrap();
    for id in [&c, &a, &d, &b] {
        let admin = tenure.admin().await;
        act(&tenure, &admin, "POST", id, "/freeze").await;
        tenure.advance_days(1).await;
    }
    let admin = tenure.admin().await;
    let listed = async |size: usize| walk(&tenure, &admin, SCHEDULED, size).await;
    for size in [1, 2, 3, 100] {
        assert_eq!(listed(size).await, [&c, &a, &d, &b].map(Clone::clone), "{size}");
    }
    // Accounts under a hold keep the date on which their deletion is due.
    act(&tenure, &admin, "PUT", &c, "/hold").await;
    act(&tenure, &admin, "POST", &d, "/recover").await;
    assert_eq!(listed(1).await, [&c, &a, &b].map(Clone::clone));

    // By now the accounts are purged, except the one under a hold.
    tenure.advance_days(31).await;
    assert!(tenure.stack.settle().await);
    let admin = tenure.admin().await;
    let page = list(&tenure, &admin, SCHEDULED).await.ok();
    assert_eq!(ids(&page), from_ref(&c));
    let date = page["result"][0]["tm_deletion_scheduled"].clone();
    // If the last hold is lifted only after the date, the account gets another day.
    act(&tenure, &admin, "DELETE", &c, "/hold").await;
    let page = list(&tenure, &admin, SCHEDULED).await.ok();
    assert_eq!(ids(&page), [c]);
    assert_ne!(page["result"][0]["tm_deletion_scheduled"], date);
    assert_eq!(markers(&tenure).await.len(), 1);
    tenure.advance_days(2).await;
    assert!(tenure.stack.settle().await);
    assert_eq!(markers(&tenure).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn held_and_suspended_accounts_are_listed_until_they_are_released_or_deleted() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(create(&tenure, &admin, name, name).await);
    }
    let [a, b, c] = made.try_into().unwrap();
    let listed = async |query: &str| walk(&tenure, &admin, query, 1).await;
    for id in [&a, &c] {
        act(&tenure, &admin, "PUT", id, "/hold").await;
        act(&tenure, &admin, "PUT", id, "/holds/case-8").await;
    }
    for id in [&b, &c] {
        for _ in 0..2 {
            act(&tenure, &admin, "POST", id, "/suspend").await;
        }
    }
    assert_eq!(listed("hold=true").await, [c.clone(), a.clone()], "newest first");
    assert_eq!(listed("suspended=true").await, [c.clone(), b.clone()]);
    assert_eq!(markers(&tenure).await.len(), 4);

    act(&tenure, &admin, "DELETE", &c, "/hold").await;
    assert_eq!(listed("hold=true").await, [c.clone(), a.clone()], "one hold is left");
    act(&tenure, &admin, "DELETE", &c, "/holds/case-8").await;
    assert_eq!(listed("hold=true").await, from_ref(&a));
    act(&tenure, &admin, "POST", &b, "/resume").await;
    assert_eq!(listed("suspended=true").await, from_ref(&c));
    delete(&tenure, &admin, &c).await;
    assert_eq!(listed("suspended=true").await, Vec::<String>::new());
    for below in ["/hold", "/holds/case-8"] {
        act(&tenure, &admin, "DELETE", &a, below).await;
    }
    assert_eq!(markers(&tenure).await, Vec::<String>::new());
}

/// When an account leaves a state, its marker is deleted in the same transaction. A marker that is left over
/// from an earlier version has no effect, because the list compares each account with its marker.
#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_is_out_of_date_shows_no_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let id = create(&tenure, &admin, "test1", "Name").await;
    act(&tenure, &admin, "POST", &id, "/suspend").await;
    let items = tenure.items("AccountsTable").await;
    let marker = items.into_iter().find(|item| item["pk"]["S"] == "MARKED#suspended").unwrap();
    act(&tenure, &admin, "POST", &id, "/resume").await;
    let text = |name: &str| AttributeValue::S(marker[name]["S"].as_str().unwrap().to_owned());
    let put = tenure.database().put_item().table_name("AccountsTable");
    let put = ["pk", "sk", "customer_id"].iter().fold(put, |put, name| put.item(*name, text(name)));
    put.send().await.unwrap();
    let page = list(&tenure, &admin, "suspended=true").await.ok();
    assert_eq!(page, json!({"result": [], "next_page_token": ""}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_listed_while_its_webhook_fails() {
    let (tenure, receiver) = (receiver::tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["a", "b"] {
        let body = json!({
            "username": name,
            "password": PASSWORD,
            "webhook_method": "POST",
            "webhook_uri": receiver.url("/hook"),
        });
        let created = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
        made.push(created["id"].as_str().unwrap().to_owned());
    }
    let [a, b] = made.try_into().unwrap();
    let failing = async || walk(&tenure, &admin, "webhooks=failing", 1).await;
    let since = async |id: &str| {
        let path = format!("/v1.0/customers/{id}/overview");
        tenure.call(&admin, "GET", &path).await.ok()["tm_webhook_failing"].clone()
    };
    let set = async |id: &str, hook: &str| {
        let body = json!({"webhook_uri": hook});
        let path = format!("/v1.0/customers/{id}");
        tenure.call_with(&admin, "PUT", &path, body).await.ok();
        assert!(tenure.stack.settle().await);
    };
    let pass = async |seconds: i64| {
        assert!(tenure.stack.settle().await);
        tenure.stack.advance_clock(seconds).await.unwrap();
        assert!(tenure.stack.settle().await);
    };
    assert!(tenure.stack.settle().await);
    receiver.answer(500);
    for id in [&a, &b] {
        let number = format!("/v1.0/numbers?customer_id={id}");
        tenure.call_with(&admin, "POST", &number, json!({})).await.ok();
    }
    // A single failure does not count as failing.
    assert!(tenure.stack.settle().await);
    assert_eq!(failing().await, Vec::<String>::new());
    pass(65).await;
    assert_eq!(failing().await, [b.clone(), a.clone()]);
    assert!(!since(&a).await.is_null());
    // Failures count per URI: with another URI, the webhook no longer counts as failing.
    set(&b, &receiver.url("/other")).await;
    assert_eq!(failing().await, from_ref(&a));
    assert!(since(&b).await.is_null());
    pass(400).await;
    assert_eq!(failing().await, [b.clone(), a.clone()]);

    receiver.answer(200);
    pass(4_000).await;
    assert_eq!(failing().await, Vec::<String>::new());
    assert!(since(&a).await.is_null());

    // A webhook that is gone, or switched off, does not fail.
    receiver.answer(500);
    for id in [&a, &b] {
        let number = format!("/v1.0/numbers?customer_id={id}");
        tenure.call_with(&admin, "POST", &number, json!({})).await.ok();
    }
    pass(65).await;
    assert_eq!(failing().await, [b.clone(), a.clone()]);
    set(&a, "").await;
    receiver.answer(410);
    pass(400).await;
    assert_eq!(failing().await, Vec::<String>::new());
    assert_eq!(markers(&tenure).await, Vec::<String>::new());
}

//! Lists of accounts that change while they are listed, and an index that lags behind its table.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use super::{create, delete, ids, list, try_walk};
use crate::harness::Tenure;

/// An index may lag behind its table: the list leaves out rows that no longer match the account.
#[tokio::test(flavor = "multi_thread")]
async fn stale_index_rows_are_not_listed() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["Ada", "Adam", "Adele"] {
        made.push(create(&tenure, &admin, &name.to_lowercase(), name).await);
    }
    assert!(tenure.stack.settle().await);
    // While the rule is set, the index is as it was when it was set.
    let stale = json!([{"fault": "stale_index", "function": "CustomerListFunction", "operation": "Query", "writes": 10_000, "times": 1_000_000}]);
    let rules = tenure.request("POST", "/_local/faults").body(stale.to_string());
    tenure.send(rules).await.ok();
    let path = |number: usize| format!("/v1.0/customers/{}", made[number]);
    tenure.call(&admin, "POST", &format!("{}/freeze", path(0))).await.ok();
    tenure.call_with(&admin, "PUT", &path(1), json!({"name": "Ben"})).await.ok();
    delete(&tenure, &admin, &made[2]).await;

    let list = async |query: &str| list(&tenure, &admin, query).await;
    assert_eq!(ids(&list("status=initial").await.ok()), made[1..2]);
    assert_eq!(ids(&list("status=frozen").await.ok()).len(), 0);
    assert_eq!(ids(&list("deleted=true").await.ok()).len(), 0);
    assert_eq!(ids(&list("name=ad").await.ok()), made[..1]);
    // A page of outdated rows only cannot tell where the next one begins.
    let page = list("name=ada&page_size=1").await.ok();
    let token = page["next_page_token"].as_str().unwrap();
    let next = list(&format!("name=ad&page_size=1&page_token={token}")).await;
    assert_eq!(next.refused(503), "SERVICE_UNAVAILABLE");
    // In a list by creation time, it can.
    let mut token = String::new();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = list(&format!("status=initial&page_size=1&page_token={token}")).await.ok();
        seen.extend(ids(&page));
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
    }
    assert_eq!((seen.as_slice(), token.as_str()), (&made[1..2], ""));

    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
    assert_eq!(ids(&list("status=frozen").await.ok()), made[..1]);
    assert_eq!(ids(&list("deleted=true").await.ok()), made[2..]);
}

/// Accounts change their status while a list of accounts by status is read.
#[tokio::test(flavor = "multi_thread")]
async fn rows_listed_by_status_have_that_status() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let mut changing = JoinSet::new();
    for number in 0..3 {
        let id = create(&tenure, &admin, &format!("test{number}"), "Name").await;
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        changing.spawn(async move {
            for _ in 0..10 {
                for what in ["freeze", "recover"] {
                    let path = format!("/v1.0/customers/{id}/{what}");
                    tenure.call(&admin, "POST", &path).await.ok();
                }
            }
        });
    }
    let mut shown = 0;
    while changing.try_join_next().is_none() {
        for status in ["initial", "frozen"] {
            let page = list(&tenure, &admin, &format!("status={status}")).await.ok();
            for row in page["result"].as_array().unwrap() {
                assert_eq!(row["status"], status);
                shown += 1;
            }
        }
    }
    assert!(shown > 0);
    changing.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lasting_accounts_are_listed_once_while_others_come_and_go() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let (mut staying, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..12 {
        staying.insert(create(&tenure, &admin, &format!("stays{number}"), "Name").await);
        if number % 3 == 0 {
            let id = create(&tenure, &admin, &format!("gone{number}"), "Name").await;
            delete(&tenure, &admin, &id).await;
            gone.insert(id);
        }
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let coming_and_going = {
        let (tenure, admin, is_over) = (Arc::clone(&tenure), admin.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                let id = create(&tenure, &admin, &format!("passes{number}"), "Nab").await;
                delete(&tenure, &admin, &id).await;
                number += 1;
            }
            number
        })
    };
    for (query, expected) in [
        ("", &staying),
        ("status=initial", &staying),
        ("name=na", &staying),
        ("deleted=true", &gone),
    ] {
        for size in [1, 3] {
            let seen = loop {
                match try_walk(&tenure, &admin, query, size).await {
                    Ok(seen) => break seen,
                    // The account at the end of the previous page was deleted.
                    Err(refusal) => {
                        assert!(query.starts_with("name"), "{}", refusal.text);
                        assert_eq!(refusal.refused(400), "INVALID_REQUEST_PARAMETER");
                    }
                }
            };
            let unique: BTreeSet<_> = seen.iter().cloned().collect();
            assert_eq!(unique.len(), seen.len(), "{query}: listed twice");
            assert!(unique.is_superset(expected), "{query}: not listed");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(coming_and_going.await.unwrap() > 0);
}

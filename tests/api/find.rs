//! Accounts, as operators look for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, PASSWORD, Template, Tenure, new_customer, options};
use crate::store::client;

async fn list(tenure: &Tenure, admin: &str, query: &str) -> Answer {
    tenure.call(admin, "GET", &format!("/v1.0/customers?{query}")).await
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["result"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Ids of the accounts on all pages of this size, in order.
async fn walk(tenure: &Tenure, admin: &str, query: &str, size: usize) -> Vec<String> {
    try_walk(tenure, admin, query, size).await.unwrap_or_else(|refusal| panic!("{}", refusal.text))
}

/// The same, or the answer of the page that there was not.
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

#[tokio::test(flavor = "multi_thread")]
async fn by_status_newest_first() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(create(&tenure, &admin, &format!("test{number}"), "N").await);
    }
    ids.reverse();
    let post = async |id: &str, what: &str| {
        tenure.call(&admin, "POST", &format!("/v1.0/customers/{id}/{what}")).await.ok();
    };
    for id in &ids[..3] {
        post(id, "freeze").await;
    }
    delete(&tenure, &admin, &ids[1]).await;
    delete(&tenure, &admin, &ids[5]).await;
    assert!(tenure.stack.settle().await);

    let pick =
        |numbers: &[usize]| -> Vec<_> { numbers.iter().map(|one| ids[*one].clone()).collect() };
    for (query, expected) in [
        ("", pick(&[0, 2, 3, 4, 6])),
        ("deleted=false", pick(&[0, 2, 3, 4, 6])),
        ("status=initial", pick(&[3, 4, 6])),
        ("status=active", pick(&[])),
        ("status=frozen", pick(&[0, 2])),
        ("status=deleted", pick(&[1, 5])),
        ("deleted=true", pick(&[1, 5])),
        ("deleted=true&status=deleted", pick(&[1, 5])),
    ] {
        for size in [1, 2, 100] {
            assert_eq!(walk(&tenure, &admin, query, size).await, expected, "{query}");
        }
    }
    post(&ids[0], "recover").await;
    assert_eq!(walk(&tenure, &admin, "status=frozen", 100).await, pick(&[2]));
    assert_eq!(walk(&tenure, &admin, "status=initial", 100).await, pick(&[0, 3, 4, 6]));
    // The project's own account is none of its customers.
    assert_eq!(walk(&tenure, &admin, "status=active", 100).await, pick(&[]));
    // A row is what the account itself is.
    let frozen = tenure.call(&admin, "GET", &format!("/v1.0/customers/{}", ids[2])).await.ok();
    for query in ["", "status=frozen"] {
        let page = list(&tenure, &admin, query).await.ok();
        assert!(page["result"].as_array().unwrap().contains(&frozen), "{query:?}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_time_of_creation() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for number in 0..6 {
        create(&tenure, &admin, &format!("test{number}"), "N").await;
    }
    let all = list(&tenure, &admin, "").await.ok();
    let time = |row: usize| all["result"][row]["tm_create"].as_str().unwrap().to_owned();
    let all_ids = ids(&all);
    delete(&tenure, &admin, &all_ids[2]).await;
    let (second, fifth) = (time(1), time(4));
    for (query, expected) in [
        // Neither bound is part of it.
        (format!("created_after={fifth}&created_before={second}"), vec![3]),
        (format!("created_after={fifth}"), vec![0, 1, 3]),
        (format!("created_before={second}"), vec![3, 4, 5]),
        (format!("deleted=true&created_before={second}"), vec![2]),
        (format!("deleted=true&created_after={second}"), vec![]),
        (format!("status=initial&created_after={fifth}&created_before={second}"), vec![3]),
        (format!("status=frozen&created_after={fifth}"), vec![]),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|one: usize| all_ids[one].clone()).collect();
        for size in [1, 2, 100] {
            assert_eq!(walk(&tenure, &admin, &query, size).await, expected, "{query}");
        }
    }
    // A place outside the bounds is in another list.
    for query in [format!("created_after={fifth}"), format!("created_before={second}")] {
        for token in [&second, &fifth] {
            let answer = list(&tenure, &admin, &format!("{query}&page_token={token}")).await;
            if query.ends_with(token) {
                assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query} {token}");
            } else {
                answer.ok();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_beginning_of_the_name() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for (number, name) in
        ["acme", "Acme Corp", "ACME corp", "Acne", "Äcme", "a~b", "", "x".repeat(255).as_str()]
            .into_iter()
            .enumerate()
    {
        made.push((name.to_owned(), create(&tenure, &admin, &format!("test{number}"), name).await));
    }
    for (query, mut expected) in [
        ("name=ac", vec![0, 1, 2, 3]),
        ("name=ACME", vec![0, 1, 2]),
        ("name=acme%20c", vec![1, 2]),
        ("name=%C3%84CME", vec![4]),
        ("name=a~", vec![5]),
        ("name=xxx", vec![7]),
        ("name=b", vec![]),
        ("name=%25", vec![]),
    ] {
        expected.sort_by_key(|one: &usize| (made[*one].0.to_lowercase(), made[*one].1.clone()));
        let expected: Vec<_> = expected.into_iter().map(|one| made[one].1.clone()).collect();
        for size in [1, 2, 100] {
            assert_eq!(walk(&tenure, &admin, query, size).await, expected, "{query}");
        }
    }
    // The name that an account has now, and none that it has had.
    let put = json!({"name": "Zebra"});
    let path = format!("/v1.0/customers/{}", made[3].1);
    tenure.call_with(&admin, "PUT", &path, put).await.ok();
    assert_eq!(walk(&tenure, &admin, "name=acn", 100).await.len(), 0);
    assert_eq!(walk(&tenure, &admin, "name=zeb", 100).await, [made[3].1.clone()]);
    // An account that is gone has none, and leaves none.
    delete(&tenure, &admin, &made[3].1).await;
    assert!(tenure.stack.settle().await);
    assert_eq!(walk(&tenure, &admin, "name=zeb", 100).await.len(), 0);
    assert!(!json!(tenure.items("AccountsTable").await).to_string().contains("zebra"));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_address() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let Account { id, .. } = tenure.account(&admin, "test1").await;
    tenure.account(&admin, "test2").await;
    let find = async |email: &str| {
        let page = list(&tenure, &admin, &format!("email={email}")).await.ok();
        assert_eq!(page["next_page_token"], "");
        ids(&page)
    };
    for email in ["test1@example.com", "TEST1@Example.COM", "test1%40example.com"] {
        assert_eq!(find(email).await, std::slice::from_ref(&id));
    }
    assert_eq!(find("test3@example.com").await.len(), 0);
    let path = format!("/v1.0/customers/{id}");
    tenure.call_with(&admin, "PUT", &path, json!({"email": "new@example.com"})).await.ok();
    assert_eq!(find("test1@example.com").await.len(), 0);
    assert_eq!(find("new@example.com").await, std::slice::from_ref(&id));
    tenure.call(&admin, "POST", &format!("{path}/freeze")).await.ok();
    assert_eq!(find("new@example.com").await, std::slice::from_ref(&id));
    delete(&tenure, &admin, &id).await;
    assert_eq!(find("new@example.com").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_an_account_is_found_and_says_nothing() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let left = async || list(&tenure, &admin, "deleted=true").await.ok()["result"].clone();
    assert_eq!(left().await, json!([]));
    let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    let empty = tenure.unregister(&account.token, now).await.ok();
    // Before the purge and after it.
    assert_eq!(left().await, json!([empty]));
    assert!(tenure.stack.settle().await);
    assert_eq!(left().await, json!([empty]));
    assert!(!left().await.to_string().contains("test1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_by_name() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for (query, name) in [
        ("name=a&status=active", "name"),
        ("name=a&deleted=true", "name"),
        ("name=a&created_after=2024-01-15T10:30:00Z", "name"),
        ("email=a@example.com&name=a", "email"),
        ("email=a@example.com&status=active", "email"),
        ("deleted=true&status=frozen", "deleted"),
        (
            "created_after=2024-01-15T10:30:00Z&created_before=2024-01-15T10:30:00Z",
            "created_before",
        ),
        ("created_after=yesterday", "created_after"),
        ("status=expired", "status"),
        ("deleted=yes", "deleted"),
        ("name=", "name"),
        ("email=", "email"),
        ("email=%5Bwithheld%5D", "email"),
    ] {
        let answer = list(&tenure, &admin, query).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query}");
        assert!(answer.message().starts_with(&format!("{name}: ")), "{}", answer.text);
        assert_eq!(list(&tenure, &account.token, query).await.refused(403), "PERMISSION_DENIED");
    }
    for query in ["status=active&status=active", "phone_number=1", "detail=x"] {
        let answer = list(&tenure, &admin, query).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query}");
    }
    let path = format!("/v1.0/customers?name={}", "x".repeat(65));
    assert_eq!(tenure.call(&admin, "GET", &path).await.refused(400), "INVALID_REQUEST_PARAMETER");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_a_place_in_one_list_only() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for number in 0..4 {
        let id = create(&tenure, &admin, &format!("test{number}"), "Name").await;
        if number % 2 == 0 {
            delete(&tenure, &admin, &id).await;
        }
    }
    let queries = ["deleted=false", "status=initial", "deleted=true", "name=n"];
    let mut tokens = Vec::new();
    for query in queries {
        let page = list(&tenure, &admin, &format!("{query}&page_size=1")).await.ok();
        let token = page["next_page_token"].as_str().unwrap().to_owned();
        assert!(!token.is_empty(), "{query}");
        tokens.push(token);
    }
    for (query, own) in queries.iter().zip(&tokens) {
        for token in &tokens {
            let answer = list(&tenure, &admin, &format!("{query}&page_token={token}")).await;
            if token == own {
                assert_eq!(answer.ok()["result"].as_array().unwrap().len(), 1, "{query}");
            } else {
                assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query} {token}");
                assert!(answer.message().starts_with("page_token"), "{}", answer.text);
            }
        }
    }
    let nowhere = "name~5e4a0680-804e-11ec-8477-2fea5968d85b~1";
    for token in ["initial~", "initial~2024-01-15T10:30:00Z~", "name~x~1", nowhere, "~"] {
        for query in &queries[1..] {
            let answer = list(&tenure, &admin, &format!("{query}&page_token={token}")).await;
            assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{query} {token}");
        }
    }
    let email = format!("email=test1@example.com&page_token={}", tokens[0]);
    assert_eq!(list(&tenure, &admin, &email).await.refused(400), "INVALID_REQUEST_PARAMETER");
}

/// A token in an address line says nobody's name, and does not lead elsewhere when names change.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_no_name_and_leads_where_it_led() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["Ada", "Adam", "Adele", "Adrian", "Ben"] {
        made.push(create(&tenure, &admin, &name.to_lowercase(), name).await);
    }
    let page = async |query: &str| list(&tenure, &admin, query).await;
    let token_behind = async |size: usize| {
        let page = page(&format!("name=ad&page_size={size}")).await.ok();
        assert_eq!(ids(&page), made[..size]);
        page["next_page_token"].as_str().unwrap().to_owned()
    };
    let goes_on =
        async |token: &str, query: &str| page(&format!("{query}&page_token={token}")).await;
    let refused = |answer: &Answer| {
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER");
        assert!(answer.message().starts_with("page_token: "), "{}", answer.text);
        assert!(answer.message().contains("start again"), "{}", answer.text);
    };
    let token = token_behind(2).await;
    assert!(token.starts_with(&format!("name~{}~", made[1])), "{token}");
    assert!(token[41..].bytes().all(|byte| byte == b'~' || byte.is_ascii_digit()), "{token}");
    // It is a place in every list of names that has the account.
    assert_eq!(ids(&goes_on(&token, "name=ad").await.ok()), made[2..4]);
    assert_eq!(ids(&goes_on(&token, "name=a").await.ok()), made[2..4]);
    assert_eq!(ids(&goes_on(&token, "name=adam").await.ok()).len(), 0);
    refused(&goes_on(&token, "name=ade").await);

    let path = format!("/v1.0/customers/{}", made[1]);
    // To go on from the new name would leave out all that is between.
    tenure.call_with(&admin, "PUT", &path, json!({"name": "Adolf"})).await.ok();
    refused(&goes_on(&token, "name=ad").await);
    tenure.call_with(&admin, "PUT", &path, json!({"name": "Adam"})).await.ok();
    let token = token_behind(2).await;
    assert_eq!(ids(&goes_on(&token, "name=ad").await.ok()), made[2..4]);
    delete(&tenure, &admin, &made[1]).await;
    refused(&goes_on(&token, "name=ad").await);
}

/// Indexes lag behind. What they show as it was is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_as_what_they_were() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut made = Vec::new();
    for name in ["Ada", "Adam", "Adele"] {
        made.push(create(&tenure, &admin, &name.to_lowercase(), name).await);
    }
    assert!(tenure.stack.settle().await);
    // As long as the rule is there, the list is what it was when it came.
    let stale = json!([{"fault": "stale_index", "function": "CustomerListFunction", "operation": "Query", "writes": 1_000_000, "times": 1_000_000}]);
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
    // A page of those only who are elsewhere does not know where the next one starts.
    let page = list("name=ada&page_size=1").await.ok();
    let token = page["next_page_token"].as_str().unwrap();
    let next = list(&format!("name=ad&page_size=1&page_token={token}")).await;
    assert_eq!(next.refused(503), "SERVICE_UNAVAILABLE");
    // By creation, it does.
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

/// Accounts change their status while they are listed by it: none is shown with another.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_status_has_it() {
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

/// Whoever is there during the whole walk is shown once, whatever comes and goes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_stays_is_seen_once_while_others_come_and_go() {
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
                    // The page before ended at one who is gone.
                    Err(refusal) => {
                        assert!(query.starts_with("name"), "{}", refusal.text);
                        assert_eq!(refusal.refused(400), "INVALID_REQUEST_PARAMETER");
                    }
                }
            };
            let unique: BTreeSet<_> = seen.iter().cloned().collect();
            assert_eq!(unique.len(), seen.len(), "{query}: shown twice");
            assert!(unique.is_superset(expected), "{query}: not shown");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(coming_and_going.await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_one_query_and_one_read_by_key_at_most() {
    let tenure = Tenure::start().await;
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
        // The place behind an account is read, too.
        (&second, json!({"BatchGetItem": 3, "Query": 1, "UpdateItem": 1})),
        ("email=test1@example.com", json!({"BatchGetItem": 3, "UpdateItem": 1})),
        ("email=nobody@example.com", json!({"BatchGetItem": 2, "UpdateItem": 1})),
    ] {
        tenure.stack.reset_stats();
        list(&tenure, &admin, query).await.ok();
        let stats = tenure.stack.stats();
        let stats = &stats["functions"]["CustomerListFunction"]["dynamodb"];
        assert_eq!(stats["calls"], calls, "{query}");
    }
}

/// Puts accounts like `one` next to it, past the API, all created at the same time and with the same name,
/// from number `from` on. Their ids are in the order of their numbers.
async fn fill(tenure: &Tenure, one: &Value, from: usize, to: usize) -> Vec<String> {
    let client = client(tenure);
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

/// The item of an account.
async fn item(tenure: &Tenure, id: &str) -> Value {
    let pk = format!("CUSTOMER#{id}");
    let items = tenure.items("AccountsTable").await;
    items.into_iter().find(|item| item["pk"]["S"] == *pk && item["sk"]["S"] == "A").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_among_equals_leave_nobody_out_and_show_nobody_twice() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let id = create(&tenure, &admin, "test1", "Name").await;
    let one = item(&tenure, &id).await;
    let mut by_name = fill(&tenure, &one, 0, 30).await;
    by_name.push(id);
    let by_time: Vec<_> = by_name.iter().rev().cloned().collect();
    for size in [1, 2, 7, 30, 31, 32, 100] {
        for query in ["", "status=initial"] {
            assert_eq!(walk(&tenure, &admin, query, size).await, by_time, "{query} {size}");
        }
        assert_eq!(walk(&tenure, &admin, "name=name", size).await, by_name, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_of_a_thousand_accounts_and_of_ten_thousand() {
    let quick = sam_local::Options { latency: std::time::Duration::ZERO, ..options() };
    let tenure = Tenure::start_with(quick).await;
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

/// What each kind of change writes, in units.
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

/// What the two indexes cost, by the same changes without them: an entry is written where its keys change,
/// and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_written_where_its_keys_change_only() {
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
    let (with, without) = (costs(options()).await, costs(without.options()).await);
    println!("{with:?} {without:?}");
    let more: Vec<_> = with.iter().map(|(what, units)| (*what, units - without[what])).collect();
    assert_eq!(
        more,
        [
            // One entry each in `status` and `name`.
            ("create", 2.0),
            // One goes from `name`, one moves within `status`.
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

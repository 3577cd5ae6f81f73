//! Page tokens, and pages of accounts with the same sort value.

use serde_json::json;

use super::{create, delete, fill, ids, item, list, walk};
use crate::harness::{Answer, Tenure};

#[tokio::test(flavor = "multi_thread")]
async fn page_token_of_another_list_is_rejected() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_page_size_with_a_zero_fraction_is_a_whole_number() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for number in 0..3 {
        create(&tenure, &admin, &format!("test{number}"), "Name").await;
    }
    for size in ["2", "2.0", "2.00"] {
        let page = list(&tenure, &admin, &format!("page_size={size}")).await.ok();
        assert_eq!(ids(&page).len(), 2, "{size}");
    }
    for size in ["2.", "2.5", ".0", "2.0.0"] {
        let refused = list(&tenure, &admin, &format!("page_size={size}")).await;
        assert_eq!(refused.refused(400), "INVALID_REQUEST_PARAMETER", "{size}");
    }
}

/// The page token of a list by name holds an account's id instead of its name, because URLs are logged. It
/// becomes invalid when that account is renamed.
#[tokio::test(flavor = "multi_thread")]
async fn page_token_holds_no_name_and_is_rejected_after_a_rename() {
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
    // The token is valid in every list by name that contains the account.
    assert_eq!(ids(&goes_on(&token, "name=ad").await.ok()), made[2..4]);
    assert_eq!(ids(&goes_on(&token, "name=a").await.ok()), made[2..4]);
    assert_eq!(ids(&goes_on(&token, "name=adam").await.ok()).len(), 0);
    refused(&goes_on(&token, "name=ade").await);

    let path = format!("/v1.0/customers/{}", made[1]);
    // Continuing from the new name would skip the accounts in between.
    tenure.call_with(&admin, "PUT", &path, json!({"name": "Adolf"})).await.ok();
    refused(&goes_on(&token, "name=ad").await);
    tenure.call_with(&admin, "PUT", &path, json!({"name": "Adam"})).await.ok();
    let token = token_behind(2).await;
    assert_eq!(ids(&goes_on(&token, "name=ad").await.ok()), made[2..4]);
    delete(&tenure, &admin, &made[1]).await;
    refused(&goes_on(&token, "name=ad").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_over_ties_is_complete() {
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

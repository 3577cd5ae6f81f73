//! Filters of the list of accounts: status, creation time, name and e-mail address.

use serde_json::json;

use super::{create, delete, ids, list, walk};
use crate::harness::{Account, PASSWORD, Tenure};

#[tokio::test(flavor = "multi_thread")]
async fn list_by_status_is_newest_first() {
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
    // The project's own account is not listed.
    assert_eq!(walk(&tenure, &admin, "status=active", 100).await, pick(&[]));
    // A row of the list equals what a `GET` of the account returns.
    let frozen = tenure.call(&admin, "GET", &format!("/v1.0/customers/{}", ids[2])).await.ok();
    for query in ["", "status=frozen"] {
        let page = list(&tenure, &admin, query).await.ok();
        assert!(page["result"].as_array().unwrap().contains(&frozen), "{query:?}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_by_creation_time_excludes_the_bounds() {
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
    // The same bounds as other clients print them.
    let (python, javascript) = (second.replace('Z', "%2B00:00"), fifth.replace('Z', "000Z"));
    let query = format!("created_after={}&created_before={python}", javascript.to_lowercase());
    assert_eq!(walk(&tenure, &admin, &query, 100).await, [all_ids[3].clone()], "{query}");
    // Bounds finer than a microsecond lie between two accounts, on one side of this one or the other.
    let finer = fifth.replace('Z', "0000001Z");
    for (query, expected) in [
        (format!("created_after={finer}"), vec![0, 1, 3]),
        (format!("created_before={finer}"), vec![4, 5]),
        ("created_before=9999-12-31T23:59:59.999Z".to_owned(), vec![0, 1, 3, 4, 5]),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|one: usize| all_ids[one].clone()).collect();
        assert_eq!(walk(&tenure, &admin, &query, 100).await, expected, "{query}");
    }
    // A cursor outside the bounds belongs to another list.
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
async fn list_by_name_prefix_ignores_case_and_past_names() {
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
    // Only the current name counts.
    let put = json!({"name": "Zebra"});
    let path = format!("/v1.0/customers/{}", made[3].1);
    tenure.call_with(&admin, "PUT", &path, put).await.ok();
    assert_eq!(walk(&tenure, &admin, "name=acn", 100).await.len(), 0);
    assert_eq!(walk(&tenure, &admin, "name=zeb", 100).await, [made[3].1.clone()]);
    // A deleted account has no name, and its old one is stored nowhere.
    delete(&tenure, &admin, &made[3].1).await;
    assert!(tenure.stack.settle().await);
    assert_eq!(walk(&tenure, &admin, "name=zeb", 100).await.len(), 0);
    assert!(!json!(tenure.items("AccountsTable").await).to_string().contains("zebra"));
}

#[tokio::test(flavor = "multi_thread")]
async fn list_by_name_in_capitals_finds_what_unicode_says_is_equal() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for (number, (name, query)) in [
        ("Παπαδόπουλος", "ΠΑΠΑΔΌΠΟΥΛΟΣ"),
        ("Straße", "STRASSE"),
        ("José", "JOSE\u{301}"),
        ("한국어", "한"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = create(&tenure, &admin, &format!("test{number}"), name).await;
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        for size in [1, 100] {
            let found = walk(&tenure, &admin, &format!("name={query}"), size).await;
            assert_eq!(found, std::slice::from_ref(&id), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_by_email_finds_the_current_owner() {
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
async fn deleted_accounts_are_listed_without_personal_data() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let left = async || list(&tenure, &admin, "deleted=true").await.ok()["result"].clone();
    assert_eq!(left().await, json!([]));
    let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    let empty = tenure.unregister(&account.token, now).await.ok();
    // Before the purge and after it, the row is the same.
    assert_eq!(left().await, json!([empty]));
    assert!(tenure.stack.settle().await);
    assert_eq!(left().await, json!([empty]));
    assert!(!left().await.to_string().contains("test1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_filter_combinations_name_the_parameter() {
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
        ("created_after=-0001-01-15T10:30:00Z", "created_after"),
        ("created_before=10000-01-15T10:30:00Z", "created_before"),
        ("page_token=-000001-01-15T10:30:00Z", "page_token"),
        ("page_token=10000-01-15T10:30:00Z", "page_token"),
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

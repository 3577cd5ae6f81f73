//! Concurrent requests that compete for the same thing have one winner, and leave no inconsistent state.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{PASSWORD, Tenure, contended, new_customer, options, options_with};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_of_one_username_have_one_winner() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    let before = tenure.accounts().await.len();
    let mut creates = JoinSet::new();
    for number in 0..40 {
        let (tenure, admin) = (Arc::clone(&tenure), admin.clone());
        creates.spawn(async move {
            let mut body = new_customer("test1");
            body["email"] = json!(format!("{number}@example.com"));
            tenure.call_with(&admin, "POST", "/v1.0/customers", body).await
        });
    }
    let answers = creates.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(409), "USERNAME_TAKEN");
    }
    // Account, agent, the locks on user name and address, the entry under the address; one event.
    assert_eq!(tenure.accounts().await.len(), before + 5);
    let outbox = tenure.items("OutboxTable").await;
    assert_eq!(outbox.iter().filter(|item| item.get("type").is_some()).count(), 1);
    tenure.login("test1", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_unregistrations_give_one_date_and_one_event() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let (tenure, key) = (Arc::clone(&tenure), key.clone());
        calls.spawn(async move {
            tenure.unregister(&key, json!({"confirmation_phrase": "DELETE"})).await.ok()
        });
    }
    let dates: Vec<_> = calls
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer["tm_deletion_scheduled"].clone())
        .collect();
    assert!(dates.iter().all(|date| *date == dates[0]), "{dates:?}");
    assert_eq!(tenure.count_events(&account.id, "customer_frozen").await, 1);
}

/// Starts a stack whose purge practically never runs by schedule.
async fn unscheduled() -> Tenure {
    Tenure::start_with(contended(options_with("PurgeSchedule", "rate(365 days)"))).await
}

async fn run_purge(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_after_the_due_date_is_rejected_though_the_purge_is_late() {
    let tenure = unscheduled().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"expire": 90 * 86_400});
    let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
    let key = key["token"].as_str().unwrap();
    tenure.unregister(key, json!({"confirmation_phrase": "DELETE"})).await.ok();
    tenure.advance_days(31).await;
    assert_eq!(
        tenure.call(key, "DELETE", "/auth/unregister").await.refused(409),
        "GRACE_PERIOD_ENDED"
    );
    assert_eq!(run_purge(&tenure).await["finished"], 1);
    assert_eq!(
        tenure.call(key, "DELETE", "/auth/unregister").await.refused(401),
        "INVALID_CREDENTIALS"
    );
}

/// Accounts are recovered while the purge runs, around the end of their grace period. Each account is either
/// recovered with everything that it owns, or purged.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_recovery_and_purge_have_one_winner() {
    let tenure = Arc::new(unscheduled().await);
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for number in 0..12 {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        let body = json!({"expire": 90 * 86_400});
        let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
        accounts.push((account.id, key["token"].as_str().unwrap().to_owned()));
    }
    for (_, key) in &accounts {
        tenure.unregister(key, json!({"confirmation_phrase": "DELETE"})).await.ok();
    }
    // The accounts were frozen one after another; their deletions are now due within a second or two.
    tenure.stack.advance_clock(30 * 86_400 - 1).await.unwrap();
    let mut calls = JoinSet::new();
    for (id, key) in accounts {
        let tenure = Arc::clone(&tenure);
        calls.spawn(async move {
            let status = tenure.call(&key, "DELETE", "/auth/unregister").await.status;
            assert!([200, 401, 409].contains(&status), "{status}");
            (id, status == 200)
        });
    }
    for _ in 0..6 {
        run_purge(&tenure).await;
    }
    let recovered = calls.join_all().await;
    tenure.stack.advance_clock(60).await.unwrap();
    run_purge(&tenure).await;
    for (id, recovered) in recovered {
        let shown = tenure.call(&admin, "GET", &format!("/v1.0/customers/{id}")).await;
        let left = tenure.partition(&id).await;
        let keys = left.iter().filter(|key| key.starts_with("KEY#")).count();
        assert_eq!(keys, usize::from(recovered), "{id}: {left:?}, {}", shown.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deletions_of_every_kind_delete_once() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut calls = JoinSet::new();
    for kind in 0..12 {
        let (tenure, admin, token, id) =
            (Arc::clone(&tenure), admin.clone(), account.token.clone(), account.id.clone());
        calls.spawn(async move {
            let now =
                json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
            match kind % 4 {
                0 => tenure.unregister(&token, now).await,
                1 => tenure.unregister(&token, json!({"password": PASSWORD})).await,
                2 => tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{id}")).await,
                _ => {
                    tenure
                        .send(
                            tenure
                                .request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run"),
                        )
                        .await
                }
            }
            .status
        });
    }
    let statuses = calls.join_all().await;
    assert!(statuses.iter().all(|status| [200, 401, 409, 429].contains(status)), "{statuses:?}");
    assert_eq!(tenure.count_events(&account.id, "customer_deleted").await, 1);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
}

/// The account is deleted and purged while clients keep logging in and creating access keys.
#[tokio::test(flavor = "multi_thread")]
async fn logins_and_keys_during_the_purge_do_not_outlive_the_account() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    for number in 0..4 {
        let username = format!("test{number}");
        let account = tenure.account(&admin, &username).await;
        let mut calls = JoinSet::new();
        for _ in 0..6 {
            let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
            calls.spawn(async move {
                let body = json!({"expire": 86_400});
                // Repeats until the session ends, together with the account.
                while tenure
                    .call_with(&token, "POST", "/v1.0/accesskeys", body.clone())
                    .await
                    .status
                    == 200
                {}
            });
        }
        let (tenure_, username_) = (Arc::clone(&tenure), username.clone());
        calls.spawn(
            async move { while tenure_.try_login(&username_, PASSWORD).await.status == 200 {} },
        );
        let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        assert_eq!(tenure.unregister(&account.token, now).await.ok()["status"], "deleted");
        calls.join_all().await;
        assert!(tenure.stack.settle().await);
        assert_eq!(tenure.partition(&account.id).await, ["A"], "{username}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_of_one_key_all_succeed() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"expire": 86_400});
    let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
    let path = format!("/v1.0/accesskeys/{}", key["id"].as_str().unwrap());
    let mut calls = JoinSet::new();
    for number in 0..8 {
        let (tenure, token, path) = (Arc::clone(&tenure), account.token.clone(), path.clone());
        let body = if number % 2 == 0 { json!({"name": "n"}) } else { json!({"detail": "d"}) };
        calls.spawn(async move { tenure.call_with(&token, "PUT", &path, body).await.ok() });
    }
    calls.join_all().await;
    let shown = tenure.call(&account.token, "GET", &path).await.ok();
    assert_eq!((&shown["name"], &shown["detail"]), (&json!("n"), &json!("d")));
}

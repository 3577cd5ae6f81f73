//! Known networks, from which a user name has logged in before: wrong passwords from elsewhere do not lock
//! out a user who has a session or logs in from a known network.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, PASSWORD, STRANGER, Tenure, contended, options, uncounted};

const WRONG: &str = "wrong password";
const DAY: i64 = 86_400;

/// Returns the seconds in the `Retry-After` of a log-in attempt; fails unless it was refused with 429.
fn wait(answer: &Answer) -> i64 {
    assert_eq!(answer.refused(429), "RATE_LIMIT_EXCEEDED");
    assert_eq!(answer.body["error"]["details"], json!([{"limited_by": "username"}]));
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Tries wrong passwords from a network that nobody has logged in from, until an attempt is refused with 429.
async fn guess_until_refused(tenure: &Tenure, username: &str) {
    loop {
        let answer = tenure.try_login_from(STRANGER, username, WRONG).await;
        if answer.status != 401 {
            wait(&answer);
            return;
        }
    }
}

async fn own_agent(tenure: &Tenure, account: &Account) -> String {
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    me["id"].as_str().unwrap().to_owned()
}

/// Returns the networks that user names are known to log in from, as they are stored with the user names: the
/// hash of each network, and the data stored with it.
async fn networks(tenure: &Tenure) -> Vec<(String, Value)> {
    let items = tenure.items("AccountsTable").await.into_iter();
    let networks = items.filter_map(|mut item| match item["networks"]["M"].take() {
        Value::Object(networks) => Some(networks),
        _ => None,
    });
    networks.flatten().collect()
}

async fn hashes(tenure: &Tenure) -> Vec<String> {
    networks(tenure).await.into_iter().map(|(hash, _)| hash).collect()
}

/// An attacker tries a wrong password as soon as each wait is over, for two days, alternately with the user
/// name and with a lookalike of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_patient_guesser_keeps_nobody_out_and_gains_nothing() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "paypal").await;
    let path = format!("/v1.0/agents/{}/password", own_agent(&tenure, &account).await);
    let same = json!({"password": PASSWORD, "current_password": PASSWORD});

    for _ in 0..5 {
        tenure.try_login_from(STRANGER, "paypal", WRONG).await.refused(401);
    }
    let (began, mut guesses, mut waits) = (tenure.now().await.as_second(), 5, Vec::new());
    while tenure.now().await.as_second() < began + 2 * DAY {
        let name = ["paypal", "paypa1"][guesses % 2];
        let left = wait(&tenure.try_login_from(STRANGER, name, WRONG).await);
        waits.push(left);
        // Meanwhile the owner logs in from a known network, and changes the password in a session.
        tenure.login("paypal", PASSWORD).await;
        if guesses % 8 == 0 {
            tenure.call_with(&account.token, "PUT", &path, same.clone()).await.ok();
        }
        // Elsewhere, the right password has to wait as well: it might be a lucky guess.
        assert!(wait(&tenure.try_login_from(STRANGER, "paypal", PASSWORD).await) <= left);
        tenure.stack.advance_clock(left).await.unwrap();
        assert!(tenure.call(&account.token, "GET", "/v1.0/me").await.status == 200);
        tenure.try_login_from(STRANGER, name, WRONG).await.refused(401);
        guesses += 1;
    }
    // The attacker's waits are the same as if the owner had done nothing.
    let expected = |number: usize| (30_i64 << number.min(10)).min(3600);
    for (number, told) in waits.iter().enumerate() {
        assert!((expected(number) - 10..=expected(number)).contains(told), "{number}: {waits:?}");
    }
    assert!((50..=62).contains(&guesses), "{guesses}");
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
}

/// Hashing a password takes so long that all sixteen attempts are counted before the first of them succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_log_ins_at_once_from_a_known_network_all_succeed() {
    let tenure = Arc::new(Tenure::start_with(contended(options())).await);
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let mut logins = JoinSet::new();
    for _ in 0..16 {
        let tenure = Arc::clone(&tenure);
        logins.spawn(async move { tenure.login("test1", PASSWORD).await });
    }
    for token in logins.join_all().await {
        tenure.call(&token, "GET", "/v1.0/me").await.ok();
    }
    // No count is left that would make the next log-in wait.
    let items = tenure.items("AccountsTable").await;
    let throttle =
        items.iter().find(|item| item["pk"]["S"].as_str().unwrap().starts_with("THROTTLE#"));
    assert!(throttle.is_none(), "{throttle:?}");
    let networks = networks(&tenure).await;
    assert_eq!(networks.len(), 2, "the operator's and test1's");
    assert!(networks.iter().all(|(_, network)| network["M"]["attempts"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_network_has_twenty_free_attempts_and_then_waits() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    for _ in 0..20 {
        tenure.try_login("test1", WRONG).await.refused(401);
    }
    let left = wait(&tenure.try_login("test1", PASSWORD).await);
    assert!((1..=30).contains(&left), "{left}");
    // Attempts from the known network count for the user name, too: from elsewhere, none is free any more.
    assert!(wait(&tenure.try_login_from(STRANGER, "test1", PASSWORD).await) <= 30);
    tenure.stack.advance_clock(30).await.unwrap();
    tenure.try_login("test1", WRONG).await.refused(401);
    let left = wait(&tenure.try_login("test1", PASSWORD).await);
    assert!((31..=60).contains(&left), "{left}");
    tenure.stack.advance_clock(60).await.unwrap();
    tenure.login("test1", PASSWORD).await;
    for _ in 0..20 {
        tenure.try_login("test1", WRONG).await.refused(401);
    }
    // A day without an attempt ends a count.
    tenure.stack.advance_clock(DAY).await.unwrap();
    tenure.try_login("test1", WRONG).await.refused(401);
    tenure.try_login("test1", WRONG).await.refused(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_known_for_thirty_days_and_eight_at_a_time() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let elsewhere = |number: u8| [127, 0, 1, number];
    for number in 1..=8 {
        tenure.stack.advance_clock(1).await.unwrap();
        tenure.try_login_from(elsewhere(number), "test1", PASSWORD).await.ok();
    }
    // One network of the admin and eight of the account are stored: the account's first one is forgotten.
    assert_eq!(hashes(&tenure).await.len(), 1 + 8);
    guess_until_refused(&tenure, "test1").await;
    wait(&tenure.try_login("test1", PASSWORD).await);
    for number in [1, 8] {
        tenure.try_login_from(elsewhere(number), "test1", PASSWORD).await.ok();
    }
    tenure.advance_days(29).await;
    guess_until_refused(&tenure, "test1").await;
    tenure.try_login_from(elsewhere(1), "test1", PASSWORD).await.ok();
    tenure.advance_days(1).await;
    guess_until_refused(&tenure, "test1").await;
    wait(&tenure.try_login_from(elsewhere(8), "test1", PASSWORD).await);
    tenure.try_login_from(elsewhere(1), "test1", PASSWORD).await.ok();
    // A log-in deletes networks that are outdated.
    assert_eq!(hashes(&tenure).await.len(), 1 + 1);
}

/// The hash of a network is deleted from all tables together with the agent or the account.
#[tokio::test(flavor = "multi_thread")]
async fn hashes_of_networks_are_gone_with_the_agent() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let agent = json!({"username": "ann", "password": PASSWORD, "permission": 16});
    let agent = tenure.call_with(&account.token, "POST", "/v1.0/agents", agent).await.ok();
    tenure.login("ann", PASSWORD).await;
    tenure.try_login("ann", WRONG).await.refused(401);
    let all = hashes(&tenure).await;
    assert_eq!(all.len(), 3, "each user name has a hash of its own of the same network");

    let path = format!("/v1.0/agents/{}", agent["id"].as_str().unwrap());
    tenure.call(&account.token, "DELETE", &path).await.ok();
    assert_eq!(hashes(&tenure).await.len(), 2);
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert!(tenure.stack.settle().await);
    let kept = hashes(&tenure).await;
    assert_eq!(kept.len(), 1, "the operator's");
    for table in ["AccountsTable", "OutboxTable", "ErasuresTable"] {
        let text = Value::from(tenure.items(table).await).to_string();
        let left = all.iter().filter(|hash| **hash != kept[0]).find(|hash| text.contains(*hash));
        assert!(left.is_none(), "{table} has {left:?}");
    }
}

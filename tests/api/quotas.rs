//! Who sends too much waits, and nobody else.

use std::sync::Arc;

use sam_local::Options;
use serde_json::{Value, json};
use shared::domain::PlainToken;
use shared::domain::value::FromText as _;
use shared::domain::{Id, Username};
use tokio::task::JoinSet;

use crate::harness::{
    Account, Answer, PASSWORD, Tenure, new_customer, options, options_with, slow,
};

const ME: &str = "/v1.0/me";

/// An installation that answers so many requests of one account, and an account.
async fn with_requests(most: u64) -> (Tenure, Account) {
    start(options_with("RequestsPerMinute", &most.to_string())).await
}

async fn start(options: Options) -> (Tenure, Account) {
    let tenure = Tenure::start_with(options).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    next_minute(&tenure).await;
    (tenure, account)
}

/// Goes on to just after a minute has begun, so that none ends while a test is counting.
async fn next_minute(tenure: &Tenure) {
    let second = tenure.now().await.as_second() % 60;
    tenure.stack.advance_clock(61 - second).await.unwrap();
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// What is left, and for how many seconds, of the only quota that the answer tells of.
fn left(answer: &Answer, quota: &str) -> (u64, u64) {
    let (name, values) = field(answer, "ratelimit").split_once(";r=").unwrap();
    assert_eq!(name, format!("\"{quota}\""));
    let (left, seconds) = values.split_once(";t=").unwrap();
    (left.parse().unwrap(), seconds.parse().unwrap())
}

fn refused_by(answer: &Answer, who: &str) {
    assert_eq!(answer.refused(429), "RATE_LIMIT_EXCEEDED");
    assert_eq!(answer.body["error"]["details"][0]["limited_by"], who);
    let wait: u64 = field(answer, "retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(field(answer, "ratelimit").contains(&format!(";r=0;t={wait}")), "{answer:?}");
}

async fn get(tenure: &Tenure, token: &str) -> Answer {
    tenure.call(token, "GET", ME).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_so_many_requests_a_minute_by_all_of_its_credentials() {
    let (tenure, account) = with_requests(5).await;
    let other = tenure.account(&tenure.admin().await, "test2").await;
    next_minute(&tenure).await;
    let key = tenure.access_key(&account.token).await;
    for (token, expected) in [(&key, 3), (&account.token, 2), (&key, 1), (&key, 0)] {
        let answer = get(&tenure, token).await;
        assert_eq!(field(&answer, "ratelimit-policy"), "\"requests\";q=5;w=60");
        let (left, seconds) = left(&answer, "requests");
        assert!(left == expected && (1..=60).contains(&seconds), "{answer:?}");
        answer.ok();
    }
    for token in [&key, &account.token] {
        refused_by(&get(&tenure, token).await, "customer");
    }
    // A refusal of another kind counts, too, and says so.
    let denied = tenure.call(&other.token, "GET", "/v1.0/customers").await;
    assert_eq!(left(&denied, "requests").0, 4);
    denied.refused(403);
    next_minute(&tenure).await;
    assert_eq!(left(&get(&tenure, &key).await, "requests").0, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_as_many_pass_as_are_left() {
    let (tenure, account) = with_requests(20).await;
    let tenure = Arc::new(tenure);
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
        calls.spawn(async move { get(&tenure, &token).await });
    }
    let answers = calls.join_all().await;
    let mut passed: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| left(answer, "requests").0)
        .collect();
    passed.sort_unstable();
    assert_eq!(passed, (0..20).collect::<Vec<_>>());
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused_by(answer, "customer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_many_changes_nothing() {
    let (tenure, account) = with_requests(1).await;
    get(&tenure, &account.token).await.ok();
    let before = tenure.accounts().await;
    let (token, keys) = (&account.token, "/v1.0/accesskeys");
    refused_by(&tenure.call_with(token, "POST", keys, json!({"expire": 60})).await, "customer");
    refused_by(&tenure.unregister(token, json!({"password": PASSWORD})).await, "customer");
    refused_by(&tenure.call(token, "GET", &format!("{ME}?x=1")).await, "customer");
    assert_eq!(tenure.accounts().await, before);
}

/// A token that is well formed and names the account, but is not valid.
async fn made_up(tenure: &Tenure, account: &Account) -> String {
    let agent = tenure.partition(&account.id).await;
    let agent = agent.iter().find_map(|sk| sk.strip_prefix("AGENT#")).unwrap();
    let login = Username::from_text("test1").unwrap().login_key();
    let (customer, agent) = (Id::parse(&account.id).unwrap(), Id::parse(agent).unwrap());
    PlainToken::session(customer, agent, login, [7; 32]).expose().to_owned()
}

/// Whoever knows a customer's ids can write a token that names it. That must not use up its quota, nor tell
/// what is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_tokens_use_up_no_accounts_quota() {
    let (tenure, account) = with_requests(3).await;
    let made_up = made_up(&tenure, &account).await;
    for expected in (590..600).rev() {
        let answer = get(&tenure, &made_up).await;
        assert_eq!(left(&answer, "invalid-tokens").0, expected);
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    }
    assert_eq!(left(&get(&tenure, &account.token).await, "requests").0, 2);
    // Nor when it is used up.
    for _ in 0..2 {
        get(&tenure, &account.token).await.ok();
    }
    get(&tenure, &made_up).await.refused(401);
    refused_by(&get(&tenure, &account.token).await, "customer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_sends_too_many_invalid_tokens_waits() {
    let (tenure, account) = start(options_with("InvalidTokensPerMinute", "2")).await;
    let made_up = made_up(&tenure, &account).await;
    for _ in 0..2 {
        get(&tenure, &made_up).await.refused(401);
    }
    get(&tenure, &account.token).await.ok();
    refused_by(&get(&tenure, &made_up).await, "ip");
    // From then on the process that found it out need not ask, whatever token comes.
    tenure.stack.reset_stats();
    for token in [&made_up, &account.token] {
        let answer = get(&tenure, token).await;
        refused_by(&answer, "ip");
        assert_eq!(field(&answer, "ratelimit-policy"), "\"invalid-tokens\";q=2;w=60");
    }
    let calls = &tenure.stack.stats()["functions"]["MeGetFunction"]["dynamodb"]["calls"];
    assert_eq!(*calls, json!({}));
    next_minute(&tenure).await;
    get(&tenure, &account.token).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_costs_a_unit_and_no_time() {
    let (tenure, account) = start(slow(options())).await;
    tenure.stack.reset_stats();
    assert_eq!(left(&get(&tenure, &account.token).await, "requests").0, 5999);
    let cost = &tenure.stack.stats()["functions"]["MeGetFunction"]["dynamodb"];
    assert_eq!(cost["calls"], json!({"BatchGetItem": 1, "UpdateItem": 1}));
    assert_eq!((&cost["steps"], &cost["wcu"]), (&json!(1), &json!(1.0)), "{cost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quota_nothing_is_counted() {
    let (tenure, account) = with_requests(0).await;
    tenure.stack.reset_stats();
    let answer = get(&tenure, &account.token).await;
    assert_eq!((field(&answer, "ratelimit"), field(&answer, "ratelimit-policy")), ("", ""));
    answer.ok();
    let cost = &tenure.stack.stats()["functions"]["MeGetFunction"]["dynamodb"];
    assert_eq!((&cost["calls"], &cost["wcu"]), (&json!({"BatchGetItem": 1}), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_cannot_be_made_refuses_nobody() {
    let (tenure, account) = with_requests(1).await;
    let rule =
        json!([{"fault": "throttle", "function": "MeGetFunction", "operation": "UpdateItem"}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&rule)).await.ok();
    for _ in 0..2 {
        let answer = get(&tenure, &account.token).await;
        assert_eq!(field(&answer, "ratelimit"), "");
        answer.ok();
    }
    let made_up = made_up(&tenure, &account).await;
    assert_eq!(get(&tenure, &made_up).await.refused(401), "INVALID_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_tells_what_is_left_of_its_quota_and_of_the_accounts() {
    let (tenure, account) = start(options()).await;
    let answer = tenure.try_login("test1", PASSWORD).await;
    assert_eq!(field(&answer, "ratelimit-policy"), "\"password-attempts\";q=1000;w=600");
    assert!(left(&answer, "password-attempts").0 < 1000);
    answer.ok();
    let answer = tenure.unregister(&account.token, json!({"password": PASSWORD})).await;
    let policy = field(&answer, "ratelimit-policy");
    for quota in ["\"password-attempts\";q=1000;w=600", "\"requests\";q=6000;w=60"] {
        assert!(policy.contains(quota), "{policy}");
    }
    answer.ok();
}

/// What is counted is kept outside the account, and is gone when its minute is.
#[tokio::test(flavor = "multi_thread")]
async fn counts_do_not_outlive_their_minute_for_long() {
    let (tenure, account) = with_requests(5).await;
    get(&tenure, &account.token).await.ok();
    let counts = async || {
        let items = tenure.items("AccountsTable").await.into_iter();
        let of_requests = |item: &Value| item["pk"]["S"].as_str().unwrap().starts_with("REQUESTS#");
        items.filter(of_requests).collect::<Vec<_>>()
    };
    assert_eq!(counts().await.len(), 1);
    next_minute(&tenure).await;
    assert_eq!(counts().await, Vec::<Value>::new());
    // Who is gone leaves none that lasts either, though somebody may still send the token.
    let body = new_customer("test2");
    let admin = tenure.admin().await;
    let gone = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    let token = tenure.login("test2", PASSWORD).await;
    let path = format!("/v1.0/customers/{}", gone["id"].as_str().unwrap());
    tenure.call(&admin, "DELETE", &path).await.ok();
    assert!(tenure.stack.settle().await);
    get(&tenure, &token).await.refused(401);
    assert_eq!(tenure.partition(gone["id"].as_str().unwrap()).await, ["A"]);
    next_minute(&tenure).await;
    assert_eq!(counts().await, Vec::<Value>::new());
}

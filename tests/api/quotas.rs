//! Rate limits per account and per network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sam_local::Options;
use serde_json::{Value, json};
use shared::domain::PlainToken;
use shared::domain::value::FromText as _;
use shared::domain::{Id, Username};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, PASSWORD, Tenure, new_customer, options, options_with};

const ME: &str = "/v1.0/me";

/// Starts a stack that allows `most` requests per minute; returns it with an account.
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

/// Moves the clock to the beginning of a minute, so that no quota's window ends while a test counts.
async fn next_minute(tenure: &Tenure) {
    let second = tenure.now().await.as_second() % 60;
    tenure.stack.advance_clock(61 - second).await.unwrap();
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns what the header `RateLimit` reports of `quota`, which must be the only one: the requests that are
/// left, and the seconds until the window ends.
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
async fn request_quota_is_shared_by_all_credentials_of_an_account() {
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
    // A request refused for another reason counts, too.
    let denied = tenure.call(&other.token, "GET", "/v1.0/customers").await;
    assert_eq!(left(&denied, "requests").0, 4);
    denied.refused(403);
    next_minute(&tenure).await;
    assert_eq!(left(&get(&tenure, &key).await, "requests").0, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_cannot_exceed_the_quota() {
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
async fn request_over_quota_changes_nothing() {
    let (tenure, account) = with_requests(1).await;
    get(&tenure, &account.token).await.ok();
    let before = tenure.accounts().await;
    let (token, keys) = (&account.token, "/v1.0/accesskeys");
    refused_by(&tenure.call_with(token, "POST", keys, json!({"expire": 60})).await, "customer");
    refused_by(&tenure.call(token, "GET", &format!("{ME}?x=1")).await, "customer");
    assert_eq!(tenure.accounts().await, before);
}

/// Revoking a key, unregistering and recovering work even if an account's programs have used up its quota.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_leaving_and_recovering_pass_a_used_up_quota() {
    let (tenure, account) = with_requests(3).await;
    let token = &account.token;
    let key = tenure.call_with(token, "POST", "/v1.0/accesskeys", json!({"expire": 86_400}));
    let key = format!("/v1.0/accesskeys/{}", key.await.ok()["id"].as_str().unwrap());
    let me = get(&tenure, token).await.ok()["id"].as_str().unwrap().to_owned();
    get(&tenure, token).await.ok();
    refused_by(&get(&tenure, token).await, "customer");

    tenure.call(token, "DELETE", &key).await.ok();
    let new = format!("{PASSWORD} 2");
    let change = json!({"password": new, "current_password": PASSWORD});
    tenure.call_with(token, "PUT", &format!("/v1.0/agents/{me}/password"), change).await.ok();
    tenure.unregister(token, json!({"password": new})).await.ok();
    tenure.call(token, "DELETE", "/auth/unregister").await.ok();
    tenure.call(token, "POST", "/auth/logout").await.ok();
}

/// Returns a forged token: well-formed, with the account's id, but invalid.
async fn forged(tenure: &Tenure, account: &Account) -> String {
    let agent = tenure.partition(&account.id).await;
    let agent = agent.iter().find_map(|sk| sk.strip_prefix("AGENT#")).unwrap();
    let login = Username::from_text("test1").unwrap().login_key();
    let (customer, agent) = (Id::parse(&account.id).unwrap(), Id::parse(agent).unwrap());
    PlainToken::session(customer, agent, login, [7; 32]).expose().to_owned()
}

/// Anyone who knows an account's ids can forge a token that names it. Such a token must neither use up the
/// account's quota nor reveal what is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_do_not_use_up_an_accounts_quota() {
    let (tenure, account) = with_requests(3).await;
    let forged = forged(&tenure, &account).await;
    for expected in (590..600).rev() {
        let answer = get(&tenure, &forged).await;
        assert_eq!(left(&answer, "invalid-tokens").0, expected);
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    }
    assert_eq!(left(&get(&tenure, &account.token).await, "requests").0, 2);
    // A forged token does not reveal either that the quota is used up.
    for _ in 0..2 {
        get(&tenure, &account.token).await.ok();
    }
    get(&tenure, &forged).await.refused(401);
    refused_by(&get(&tenure, &account.token).await, "customer");
}

#[tokio::test(flavor = "multi_thread")]
async fn network_with_too_many_invalid_tokens_is_limited() {
    let mut options = options_with("InvalidTokensPerMinute", "2");
    options.parameters.insert("RequestsPerMinute".to_owned(), "0".to_owned());
    let (tenure, account) = start(options).await;
    let forged = forged(&tenure, &account).await;
    for _ in 0..2 {
        get(&tenure, &forged).await.refused(401);
    }
    get(&tenure, &account.token).await.ok();
    refused_by(&get(&tenure, &forged).await, "ip");
    // From now on, the process that found the limit reached refuses forged tokens without a write. Valid
    // tokens from that network still work.
    tenure.stack.reset_stats();
    let answer = get(&tenure, &forged).await;
    refused_by(&answer, "ip");
    assert_eq!(field(&answer, "ratelimit-policy"), "\"invalid-tokens\";q=2;w=60");
    assert_eq!(cost(&tenure)["wcu"], 0.0);
    get(&tenure, &account.token).await.ok();
    next_minute(&tenure).await;
    get(&tenure, &account.token).await.ok();
}

/// Returns the database calls of `MeGetFunction` and their cost since the counters were last reset.
fn cost(tenure: &Tenure) -> Value {
    tenure.stack.stats()["functions"]["MeGetFunction"]["dynamodb"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_quota_costs_one_wcu() {
    let (tenure, account) = start(options_with("ExactQuota", "true")).await;
    tenure.stack.reset_stats();
    assert_eq!(left(&get(&tenure, &account.token).await, "requests").0, 5999);
    let cost = cost(&tenure);
    assert_eq!(cost["calls"], json!({"BatchGetItem": 1, "UpdateItem": 1}));
    assert_eq!((&cost["rcu"], &cost["wcu"]), (&json!(3.0), &json!(1.0)));
}

/// One request in eight is counted, at random: of 256 requests 32 on average. The test allows 4.5 standard
/// deviations.
#[tokio::test(flavor = "multi_thread")]
async fn sampled_quota_counts_about_one_request_in_eight_as_eight() {
    const REQUESTS: u32 = 256;
    let (tenure, account) = with_requests(600).await;
    tenure.stack.reset_stats();
    for _ in 0..REQUESTS {
        get(&tenure, &account.token).await.ok();
    }
    let sent = cost(&tenure);
    let counts = sent["calls"]["UpdateItem"].as_f64().unwrap();
    assert!((8.0..=56.0).contains(&counts), "{sent}");
    assert_eq!(sent["wcu"], json!(counts));
    assert_eq!(sent["calls"]["BatchGetItem"], REQUESTS);
    assert_eq!(sent["rcu"], json!(4.0 * f64::from(REQUESTS)), "each reads the count");
    // Each count takes eight off the limit; the other requests take nothing.
    let (left, seconds) = left(&get(&tenure, &account.token).await, "requests");
    let counts = cost(&tenure)["calls"]["UpdateItem"].as_u64().unwrap();
    assert!(left == 600 - 8 * counts && seconds <= 60, "{left} after {counts} counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn used_up_sampled_quota_refuses_every_request() {
    let (tenure, account) = with_requests(600).await;
    let tenure = Arc::new(tenure);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
        calls.spawn(async move {
            let mut passed = 0;
            loop {
                let answer = get(&tenure, &token).await;
                if answer.status != 200 {
                    refused_by(&answer, "customer");
                    return passed;
                }
                passed += 1;
            }
        });
    }
    // 75 counts of one request in eight: 600 requests, give or take four standard deviations.
    let passed: u64 = calls.join_all().await.iter().sum();
    assert!((340..=860).contains(&passed), "{passed}");
    tenure.stack.reset_stats();
    for _ in 0..32 {
        refused_by(&get(&tenure, &account.token).await, "customer");
    }
    let wcu = cost(&tenure)["wcu"].as_f64().unwrap();
    assert!(wcu < 32.0, "{wcu}: a refused request is not counted each time");
    next_minute(&tenure).await;
    get(&tenure, &account.token).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_below_600_counts_each_request() {
    let (tenure, account) = with_requests(599).await;
    tenure.stack.reset_stats();
    for expected in (579..599).rev() {
        assert_eq!(left(&get(&tenure, &account.token).await, "requests").0, expected);
    }
    assert_eq!(cost(&tenure)["calls"], json!({"BatchGetItem": 20, "UpdateItem": 20}));
}

/// If only a sample of the requests is counted, requests with a forged token do not use up the quota: the
/// count that such a request has made is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_leave_no_count_in_a_sampled_quota() {
    let (tenure, account) = with_requests(600).await;
    let forged = forged(&tenure, &account).await;
    for _ in 0..64 {
        get(&tenure, &forged).await.refused(401);
    }
    let left = left(&get(&tenure, &account.token).await, "requests").0;
    assert!([600, 592].contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_without_a_quota() {
    let (tenure, account) = with_requests(0).await;
    tenure.stack.reset_stats();
    let answer = get(&tenure, &account.token).await;
    assert_eq!((field(&answer, "ratelimit"), field(&answer, "ratelimit-policy")), ("", ""));
    answer.ok();
    let cost = &tenure.stack.stats()["functions"]["MeGetFunction"]["dynamodb"];
    assert_eq!((&cost["calls"], &cost["wcu"]), (&json!({"BatchGetItem": 1}), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_count_does_not_refuse_a_request() {
    let (tenure, account) = with_requests(1).await;
    let rule =
        json!([{"fault": "throttle", "function": "MeGetFunction", "operation": "UpdateItem"}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&rule)).await.ok();
    for _ in 0..2 {
        let answer = get(&tenure, &account.token).await;
        assert_eq!(field(&answer, "ratelimit"), "");
        answer.ok();
    }
    let forged = forged(&tenure, &account).await;
    assert_eq!(get(&tenure, &forged).await.refused(401), "INVALID_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_count_does_not_delay_its_request() {
    let (tenure, account) = with_requests(1).await;
    let rule = json!([{"fault": "timeout_after_apply", "function": "MeGetFunction", "operation": "UpdateItem"}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&rule)).await.ok();
    let started = Instant::now();
    get(&tenure, &account.token).await.ok();
    // A call whose response is lost is otherwise tried three times, with a timeout of two seconds each.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let faults = tenure.send(tenure.request("GET", "/_local/faults")).await.ok();
    assert_eq!(faults["faults"][0]["hits"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn password_requests_report_both_quotas() {
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

/// Counters are stored outside the account's partition, and expire with their window.
#[tokio::test(flavor = "multi_thread")]
async fn counts_expire_after_their_window() {
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
    // Requests with the token of a purged account leave only items that expire.
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

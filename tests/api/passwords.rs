//! Password guessing: limits on attempts, the cost of hashing, and what responses reveal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::domain::PlainToken;
use shared::domain::known_networks::NetworkHash;
use shared::domain::network::{Network, Source};
use shared::domain::quota::Quota;
use shared::domain::throttle::Throttle;
use shared::domain::value::FromText as _;
use shared::domain::{Error, Id, Timestamp, Username};
use tokio::task::JoinSet;

use crate::harness::{Answer, PASSWORD, STRANGER, Template, Tenure, options, quick};
use crate::store::store;

const LOGIN: (&str, &str) = ("AuthLoginFunction", "POST /auth/login");
const UNREGISTER: (&str, &str) = ("AuthUnregisterFunction", "POST /auth/unregister");
const WRONG: &str = "wrong password";

/// Waits until a function's log has a line for each call; returns the number of password hashes it computed.
async fn hashes(tenure: &Tenure, (function, route): (&str, &str)) -> u64 {
    let route = format!("\"route\":\"{route}\"");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let calls = tenure.stack.stats()["functions"][function]["invocations"].as_u64().unwrap();
        let lines = tenure.stack.logs().iter().filter(|line| line.contains(&route)).count();
        if lines as u64 >= calls {
            return tenure.stack.stats()["functions"][function]["hashes"].as_u64().unwrap();
        }
        assert!(Instant::now() < deadline, "{lines} lines of {calls} calls");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn database(tenure: &Tenure, function: &str) -> Value {
    tenure.stack.stats()["functions"][function]["dynamodb"].clone()
}

fn wait(answer: &Answer) -> u64 {
    assert_eq!(answer.refused(429), "RATE_LIMIT_EXCEEDED");
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Tries to log in from a network that the user name has never logged in from.
async fn attempt(tenure: &Tenure, username: &str, password: &str) -> Answer {
    tenure.try_login_from(STRANGER, username, password).await
}

/// Everything that a client could observe and use to tell one kind of failure from another.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    text: String,
    headers: Vec<(String, String)>,
    database: Value,
    hashes: u64,
}

async fn outcome(tenure: &Tenure, username: &str, password: &str) -> Outcome {
    let before = hashes(tenure, LOGIN).await;
    let steps = database(tenure, LOGIN.0);
    let answer = attempt(tenure, username, password).await;
    let after = database(tenure, LOGIN.0);
    let grown = |name: &str| after[name].as_f64().unwrap() - steps[name].as_f64().unwrap();
    let calls = after["calls"].as_object().unwrap().iter().map(|(name, count)| {
        (name.clone(), count.as_u64().unwrap() - steps["calls"][name].as_u64().unwrap_or_default())
    });
    let calls: Value =
        calls.map(|(name, count)| (name, count.into())).collect::<serde_json::Map<_, _>>().into();
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let changing = ["date", "retry-after", "ratelimit", "apigw-requestid", "x-request-id"];
    let told = |name: &str| !changing.contains(&name);
    let headers = answer.headers.iter().filter(|(name, _)| told(name.as_str()));
    Outcome {
        status: answer.status,
        text: answer.text.replace(id, ""),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        database: json!({"calls": calls, "wcu": grown("wcu"), "rcu": grown("rcu")}),
        hashes: hashes(tenure, LOGIN).await - before,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_indistinguishable() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let frozen = tenure.account(&admin, "frozen").await;
    tenure.unregister(&frozen.token, json!({"password": PASSWORD})).await.ok();
    let gone = tenure.account(&admin, "gone").await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", gone.id)).await.ok();
    assert!(tenure.stack.settle().await);

    let wrong = outcome(&tenure, "test1", WRONG).await;
    assert_eq!((wrong.status, wrong.hashes), (401, 1), "{wrong:?}");
    for (username, password) in
        [("nobody", WRONG), ("frozen", WRONG), ("gone", PASSWORD), ("tests1", WRONG)]
    {
        assert_eq!(outcome(&tenure, username, password).await, wrong, "{username}");
    }
    for username in ["test1", "nobody"] {
        while attempt(&tenure, username, WRONG).await.status != 429 {}
    }
    let throttled = outcome(&tenure, "test1", PASSWORD).await;
    assert_eq!((throttled.status, throttled.hashes), (429, 0), "{throttled:?}");
    assert_eq!(outcome(&tenure, "nobody", WRONG).await, throttled);
    // A successful log-in computes as many hashes as a failed one.
    let well = outcome(&tenure, "frozen", PASSWORD).await;
    assert_eq!((well.status, well.hashes), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_is_unavailable_when_attempts_cannot_be_counted() {
    let template = Template::edited(|text| {
        text.replace(
            "Variables: {MAX_SESSIONS: !Ref MaxSessions}",
            "Variables: {MAX_SESSIONS: !Ref MaxSessions, ACCOUNTS_TABLE: nowhere}",
        )
    });
    let tenure = Tenure::start_with(template.options()).await;
    for username in ["admin@localhost", "nobody"] {
        let answer = tenure.try_login(username, "local-admin-password").await;
        assert_eq!(answer.refused(503), "SERVICE_UNAVAILABLE");
        assert!(!answer.text.contains("nowhere"), "{}", answer.text);
    }
    assert_eq!(hashes(&tenure, LOGIN).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_wrong_passwords_compute_five_hashes() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let before = hashes(&tenure, LOGIN).await;

    let mut tries = JoinSet::new();
    for _ in 0..500 {
        let tenure = Arc::clone(&tenure);
        tries.spawn(async move { attempt(&tenure, "test1", WRONG).await.status });
    }
    let statuses = tries.join_all().await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (5, 495));
    assert_eq!(hashes(&tenure, LOGIN).await - before, 5);

    let left = wait(&attempt(&tenure, "test1", PASSWORD).await);
    assert!((1..=30).contains(&left), "{left}");
    tenure.stack.advance_clock(30).await.unwrap();
    attempt(&tenure, "test1", PASSWORD).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_correct_logins_do_not_lock_the_account() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let mut tries = JoinSet::new();
    for _ in 0..12 {
        let tenure = Arc::clone(&tenure);
        tries.spawn(async move { attempt(&tenure, "test1", PASSWORD).await.status });
    }
    let statuses = tries.join_all().await;
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    // Refused logins succeed as soon as the others are done.
    attempt(&tenure, "test1", PASSWORD).await.ok();
}

/// Calls the store with made-up times instead of waiting.
#[tokio::test(flavor = "multi_thread")]
async fn lockout_grows_to_an_hour_and_to_a_day_after_a_hundred_attempts() {
    let tenure = Tenure::start_with(quick(options())).await;
    let store = store(&tenure);
    let username = Username::from_text("test1").unwrap();
    let network = NetworkHash::new(&Network::of("192.0.2.1"), username.login_key());
    let reserve = async |now| store.reserve_login(&username, &network, now).await;
    let mut now = Timestamp::parse("2100-01-01T00:00:00Z").unwrap();
    let millisecond = Duration::from_millis(1);
    let mut waits = Vec::new();
    for attempt in 1..=100 {
        reserve(now).await.unwrap();
        if attempt < 5 {
            continue;
        }
        match reserve(now).await {
            Err(Error::TooManyAttempts(Throttle::Username, wait)) => {
                waits.push(wait.as_secs());
                let early = now.plus(wait.saturating_sub(millisecond));
                let refused = reserve(early).await;
                assert!(
                    matches!(refused, Err(Error::TooManyAttempts(_, left)) if left == millisecond)
                );
                now = now.plus(wait);
            }
            other => panic!("attempt {attempt}: {other:?}"),
        }
    }
    assert_eq!(waits[..9], [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert!(waits[9..95].iter().all(|wait| *wait == 3600), "{waits:?}");
    assert_eq!(waits[95..], [24 * 3600]);
    // A day later the count starts anew, though the item is still there: five attempts are free.
    for _ in 0..5 {
        reserve(now).await.unwrap();
    }
    assert!(reserve(now).await.is_err());
    // The same for a count below the limit.
    now = now.plus(Duration::from_hours(24));
    for _ in 0..5 {
        reserve(now).await.unwrap();
    }
    assert!(reserve(now).await.is_err());
    now = now.plus(Duration::from_secs(30));
    let attempt = reserve(now).await.unwrap();
    store.forget_attempts(&attempt).await.unwrap();
    reserve(now).await.unwrap();
}

/// Anyone who knows the ids of an account and an agent can forge a token with a valid checksum. Requests with
/// such a token must not count as log-in attempts of that agent.
#[tokio::test(flavor = "multi_thread")]
async fn forged_token_counts_no_login_attempt() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let agent = tenure.partition(&account.id).await;
    let agent = agent.iter().find_map(|sk| sk.strip_prefix("AGENT#")).unwrap();
    let login = Username::from_text("test1").unwrap().login_key();
    let (customer, agent) = (Id::parse(&account.id).unwrap(), Id::parse(agent).unwrap());
    let made_up = PlainToken::session(customer, agent, login, [7; 32]);

    let before = tenure.accounts().await;
    for password in [WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, PASSWORD] {
        let answer = tenure.unregister(made_up.expose(), json!({"password": password})).await;
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    }
    assert_eq!(hashes(&tenure, UNREGISTER).await, 0);
    assert_eq!(tenure.accounts().await, before);
    assert!(!is_counted(&tenure).await);
    // Attempts in a session that has ended are not counted either.
    let ended = tenure.login("test1", PASSWORD).await;
    tenure.call(&ended, "POST", "/auth/logout").await.ok();
    tenure.unregister(&ended, json!({"password": WRONG})).await.refused(401);
    assert!(!is_counted(&tenure).await);
    // Attempts in a valid session are counted for that session.
    let wrong = tenure.unregister(&account.token, json!({"password": WRONG})).await;
    assert_eq!(wrong.refused(403), "INVALID_PASSWORD");
    assert!(is_counted(&tenure).await);
    assert_eq!(hashes(&tenure, UNREGISTER).await, 1);
}

/// Whether the accounts table has a count of log-in attempts, for whatever user name or session.
async fn is_counted(tenure: &Tenure) -> bool {
    let items = tenure.items("AccountsTable").await;
    let is_count = |item: &Value| {
        let [pk, sk] = ["pk", "sk"].map(|key| item[key]["S"].as_str().unwrap());
        pk.starts_with("THROTTLE#") || (sk.starts_with("SESSION#") && !item["attempts"].is_null())
    };
    items.iter().any(is_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_network_is_refused_without_reading_or_counting() {
    let tenure = Tenure::start().await;
    let database = tenure.database();
    tenure.admin().await;
    let items = tenure.items("AccountsTable").await;
    let network = items
        .iter()
        .find(|item| item["pk"]["S"].as_str().unwrap().starts_with("NETWORK#"))
        .expect("a count of this network");
    let text = |name: &str| AttributeValue::S(network[name]["S"].as_str().unwrap().to_owned());
    let (counted, start) = network["sk"]["S"].as_str().unwrap().split_once('#').unwrap();
    let start: i64 = start.parse().unwrap();
    // Uses up the quota of this window and, in case it ends meanwhile, of the next.
    for window in [start, start + 600] {
        database
            .put_item()
            .table_name("AccountsTable")
            .item("pk", text("pk"))
            .item("sk", AttributeValue::S(format!("{counted}#{window}")))
            .item("requests", AttributeValue::N("1000".to_owned()))
            .item("expires_at", AttributeValue::N((start + 1800).to_string()))
            .send()
            .await
            .unwrap();
    }
    let first = wait(&tenure.try_login("admin@localhost", "local-admin-password").await);
    assert!((1..=600).contains(&first), "{first}");
    tenure.stack.reset_stats();
    for forged in ["x-forwarded-for", "forwarded", "x-real-ip", "x-amzn-source-ip"] {
        let request = tenure.request("POST", "/auth/login").header(forged, "192.0.2.1");
        let body = json!({"username": "somebody", "password": WRONG});
        assert!(wait(&tenure.send(request.json(&body)).await) <= first);
    }
    assert_eq!(self::database(&tenure, LOGIN.0)["calls"], json!({}));
    let counts = tenure.items("AccountsTable").await;
    let names =
        counts.iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("THROTTLE#"));
    assert_eq!(names.count(), 1, "only the attempt that detected the exhausted network is counted");

    tenure.stack.advance_clock(1200).await.unwrap();
    tenure.login("admin@localhost", "local-admin-password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn network_has_a_thousand_login_attempts_in_ten_minutes() {
    let tenure = Tenure::start_with(quick(options())).await;
    let store = store(&tenure);
    let mut now = Timestamp::parse("2100-01-01T00:00:00Z").unwrap();
    let (one, other) = (Network::of("2001:db8::1"), Network::of("2001:db8:0:1::1"));
    let count = async |network: &Network, now| {
        store.count(Quota::PASSWORD_ATTEMPTS, &Source::Network(network.clone()), now).await
    };
    for left in (0..1000).rev() {
        assert_eq!(count(&one, now).await.unwrap().remaining, left);
    }
    let refused = count(&Network::of("2001:db8::2"), now).await;
    assert!(
        matches!(refused, Err(Error::TooManyRequests(left)) if left.resets_in.as_secs() == 600)
    );
    count(&other, now).await.unwrap();
    now = now.plus(Duration::from_mins(10));
    count(&one, now).await.unwrap();
}

fn phc(memory: u32, passes: u32) -> String {
    let params = Params::new(memory, passes, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"salt of a test").unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn login_upgrades_a_weak_hash_and_keeps_a_stronger_one() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let lock = format!("USERNAME#{}", Username::from_text("test1").unwrap().login_key());
    let stored = async || {
        let items = tenure.items("AccountsTable").await;
        let item = items.into_iter().find(|item| item["pk"]["S"] == *lock).unwrap();
        item["password_hash"]["S"].as_str().unwrap().to_owned()
    };
    let store = async |phc: String| {
        tenure
            .database()
            .update_item()
            .table_name("AccountsTable")
            .key("pk", AttributeValue::S(lock.clone()))
            .key("sk", AttributeValue::S("L".to_owned()))
            .update_expression("SET password_hash = :phc")
            .expression_attribute_values(":phc", AttributeValue::S(phc))
            .send()
            .await
            .unwrap();
    };

    store(phc(8192, 1)).await;
    tenure.try_login("test1", WRONG).await.refused(401);
    assert_eq!(stored().await, phc(8192, 1));
    let session = tenure.login("test1", PASSWORD).await;
    tenure.call(&session, "GET", "/v1.0/accesskeys").await.ok();
    let renewed = stored().await;
    assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
    tenure.login("test1", PASSWORD).await;
    assert_eq!(stored().await, renewed);
    tenure.try_login("test1", WRONG).await.refused(401);

    store(phc(20_000, 3)).await;
    tenure.login("test1", PASSWORD).await;
    assert_eq!(stored().await, phc(20_000, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_compared_in_full() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let long = "x".repeat(72);
    let passwords = [
        "49152637".to_owned(),
        " 915263 ".to_owned(),
        "🔒🗝🔒🗝🔒🗝🔒🗝".to_owned(),
        "gru\u{df} gott".to_owned(),
        "y".repeat(1024),
        format!("{long}a"),
    ];
    for (number, password) in passwords.iter().enumerate() {
        let username = format!("user-{number}-x");
        let body = json!({"username": username, "password": password});
        tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
        for other in [
            password.to_uppercase() + "x",
            format!("{}b", password.trim_end_matches('a')),
            format!("{password}\u{0}"),
        ] {
            tenure.try_login(&username, &other).await.refused(401);
        }
        tenure.login(&username, password).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_set_on_a_mac_logs_in_from_windows() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (mac, windows) = ("Mot de passe\u{a0}e\u{301}te\u{301}", "Mot de passe été");
    let body = json!({"username": "test1", "password": mac});
    tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    let session = tenure.login("test1", windows).await;
    let leave = json!({"password": windows});
    tenure.call_with(&session, "POST", "/auth/unregister", leave).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_of_any_length_is_unauthenticated() {
    let tenure = Tenure::start().await;
    for password in [String::new(), "1234567".to_owned(), "x".repeat(60_000)] {
        let refused = tenure.try_login("admin@localhost", &password).await;
        assert_eq!(refused.refused(401), "INVALID_CREDENTIALS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_like_the_user_name_is_refused() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "annabelle").await;
    let before = tenure.accounts().await;
    let agents = tenure.call(&account.token, "GET", "/v1.0/agents").await.ok();
    let path = format!("/v1.0/agents/{}/password", agents["result"][0]["id"].as_str().unwrap());
    for password in ["annabelle", "AnnaBelle-2026"] {
        let body = json!({"password": password, "current_password": PASSWORD});
        let refused = tenure.call_with(&account.token, "PUT", &path, body).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
        assert!(refused.message().starts_with("password: must not be the user name"));
        let body = json!({"username": "test2", "password": "test2-test2"});
        let refused = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_password_is_neither_hashed_nor_counted() {
    let tenure = Tenure::start().await;
    let before = (hashes(&tenure, LOGIN).await, tenure.items("AccountsTable").await);
    for password in [json!(null), json!(12_345_678), json!([])] {
        let body = json!({"username": "admin@localhost", "password": password});
        tenure.send(tenure.request("POST", "/auth/login").json(&body)).await.refused(400);
    }
    let surrogate = r#"{"username":"admin@localhost","password":"\ud800 2345678"}"#;
    let request = tenure.request("POST", "/auth/login").header("content-type", "application/json");
    tenure.send(request.body(surrogate)).await.refused(400);
    assert_eq!((hashes(&tenure, LOGIN).await, tenure.items("AccountsTable").await), before);
}

/// The fingerprint of a request with an idempotency key covers the password, and therefore costs a password
/// hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_request_with_a_password_costs_a_hash_only_if_permitted() {
    const CREATE: (&str, &str) = ("CustomerCreateFunction", "POST /v1.0/customers");
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let customer = tenure.account(&admin, "test1").await.token;
    let create = async |token: &str, body: &str| {
        let before = hashes(&tenure, CREATE).await;
        let call = tenure.request("POST", "/v1.0/customers").bearer(token);
        let call =
            call.header("idempotency-key", "\"one\"").header("content-type", "application/json");
        let answer = tenure.send(call.body(body.to_owned())).await;
        (answer, hashes(&tenure, CREATE).await - before)
    };
    let plain = format!(r#"{{"username": "ann", "password": "{PASSWORD}"}}"#);
    let escaped = plain.replace("password\":", "passw\\u006frd\":");
    assert_ne!(plain, escaped);

    let (refused, cost) = create(&customer, &plain).await;
    assert_eq!((refused.status, cost), (403, 0), "{refused:?}");
    let (created, cost) = create(&admin, &escaped).await;
    assert_eq!((created.status, cost), (200, 2), "fingerprint and password: {created:?}");
    let (replayed, cost) = create(&admin, &plain).await;
    assert_eq!((replayed.status, cost), (200, 1), "{replayed:?}");
    assert_eq!(replayed.body, created.body);
}

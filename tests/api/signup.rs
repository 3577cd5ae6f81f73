//! Sign-up, from the request to the account: a mailed link proves the address and creates the account.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use sam_local::Options;
use serde_json::{Value, json};
use shared::domain::MailedToken;

use crate::canaries::shows;
use crate::harness::{PASSWORD, Tenure, mailing_with, new_customer, options_with, quick};
use crate::mail::by_schedule;

const SIGN_UP: &str = "/auth/signup";
const VERIFY: &str = "/auth/email-verify";
const RESEND: &str = "/auth/email-verify/resend";
const SCHEDULE: &str = "/_local/schedules/MailSendFunctionSchedule/run";

const CONFIRM: &str = "Your new account: confirm your address";
const KNOWN: &str = "You have an account already";
const CONFIRM_ADDRESS: &str = "Confirm the address of your account";

/// Returns options for a stack that sends mail without limits.
fn unlimited() -> Options {
    mailing_with([("MailsPerAddressPerHour", "0"), ("MailRequestsPerNetworkPerHour", "0")])
}

impl Tenure {
    async fn sign_up(&self, email: &str) {
        let answer = self.ask(SIGN_UP, json!({"email": email, "accepted_tos": true})).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    }

    async fn subjects_to(&self, address: &str) -> Vec<String> {
        let mail = self.mail_to(address).await;
        mail.iter().map(|message| message["subject"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until every mail intent (a request that is answered by mail) is carried out. If two concurrent
    /// intents are for one address, one of them waits for the mail sender's next scheduled run, so that run
    /// is started here.
    async fn carry_out(&self) {
        assert!(self.stack.settle().await);
        while self.traces().await.iter().any(|id| id.starts_with("INTENT#")) {
            self.send(self.request("POST", SCHEDULE)).await.ok();
        }
    }

    /// Returns the ids of the outbox items that a sign-up leaves: sign-ups, mail intents and mailed tokens.
    async fn traces(&self) -> Vec<String> {
        let items = self.items("OutboxTable").await;
        let ids = items.iter().map(|item| item["id"]["S"].as_str().unwrap().to_owned());
        ids.filter(|id| ["INTENT#", "TOKEN#", "SIGNUP#"].iter().any(|kind| id.starts_with(kind)))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_becomes_an_account_by_the_mailed_link() {
    let tenure = Tenure::start_with(mailing_with([
        ("TermsVersion", "2026-11"),
        ("PublicUrl", "https://api.example.com"),
    ]))
    .await;
    let to = "ann@example.com";
    let body = json!({"email": to, "accepted_tos": true, "name": "Ann Ltd"});
    let forged = tenure.request("POST", SIGN_UP).header("x-forwarded-host", "evil.example");
    tenure.send(forged.json(&body)).await.ok();
    assert_eq!(tenure.subjects_to(to).await, [CONFIRM]);
    let message = &tenure.mail_to(to).await[0];
    let token = tenure.mailed_token(to).await;
    let link = format!("https://api.example.com/account/verify#token={token}");
    for part in ["text", "html"] {
        assert!(message[part].as_str().unwrap().contains(&link), "{message}");
    }
    // Before the link is used, there is no account to log in to.
    assert_eq!(tenure.try_login(to, PASSWORD).await.refused(401), "INVALID_CREDENTIALS");

    let answer = tenure.ask(VERIFY, json!({"token": token, "password": PASSWORD})).await.ok();
    let customer = &answer["customer"];
    assert_eq!(customer["status"], "active");
    assert_eq!(customer["email_verified"], true);
    assert_eq!((&customer["email"], &customer["name"]), (&json!(to), &json!("Ann Ltd")));
    let own = tenure.login(to, PASSWORD).await;
    let account = tenure.call(&own, "GET", "/v1.0/customer").await.ok();
    assert_eq!(account["id"], customer["id"]);
    let id = customer["id"].as_str().unwrap();
    assert_eq!(tenure.events_of(id).await, ["customer_created"]);
    let me = tenure.call(&own, "GET", "/v1.0/me").await.ok();
    let history = tenure.call(&own, "GET", "/v1.0/events").await.ok();
    let event = &history["result"][0];
    assert_eq!((&event["actor"]["type"], &event["actor"]["id"]), (&json!("agent"), &me["id"]));
    let admin = tenure.admin().await;
    let overview = tenure.call(&admin, "GET", &format!("/v1.0/customers/{id}/overview")).await.ok();
    assert_eq!(overview["terms_version"], "2026-11");
    assert!(overview["tm_terms"].is_string());
    // Nothing but the account is left of the sign-up.
    assert_eq!(tenure.traces().await, [""; 0]);
    // The address is reserved.
    let other = json!({"username": "other", "password": PASSWORD, "email": to});
    let refused = tenure.call_with(&admin, "POST", "/v1.0/customers", other).await;
    assert_eq!(refused.refused(409), "EMAIL_TAKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_once_and_a_refused_request_does_not_use_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "taken").await;
    let to = "ann@example.com";
    tenure.sign_up(to).await;
    let token = tenure.mailed_token(to).await;
    for (body, field) in [
        (json!({"token": token}), "password"),
        (json!({"token": token, "password": "short"}), "password"),
        (json!({"token": token, "password": "ann@example.com1"}), "password"),
        (json!({"token": token, "password": PASSWORD, "username": "bob@example.com"}), "username"),
        (json!({"token": format!("{token}x"), "password": PASSWORD}), "token"),
        (json!({"token": &token[..30], "password": PASSWORD}), "token"),
        (json!({"password": PASSWORD}), "token"),
    ] {
        let answer = tenure.ask(VERIFY, body.clone()).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{body}");
        assert_eq!(answer.body["error"]["details"][0]["field"], field, "{body}");
    }
    // No password is hashed for a token that does not exist.
    tenure.stack.reset_stats();
    let unknown = MailedToken::new(None, None, [7; 32]);
    let body = json!({"token": unknown.expose(), "password": PASSWORD});
    assert_eq!(tenure.ask(VERIFY, body).await.refused(400), "TOKEN_INVALID");
    let hashes = &tenure.stack.stats()["functions"]["AuthEmailVerifyFunction"]["hashes"];
    assert!(hashes.is_null() || *hashes == 0, "{hashes}");
    let body = json!({"token": token, "password": PASSWORD, "username": "taken"});
    assert_eq!(tenure.ask(VERIFY, body).await.refused(409), "USERNAME_TAKEN");
    // A mail scanner that follows the link, or posts the token without a password, has no effect.
    let scanned = tenure.send(tenure.request("GET", VERIFY)).await;
    assert!(scanned.status == 404 || scanned.status == 405, "{}", scanned.text);

    let body = json!({"token": token, "password": PASSWORD, "username": "ann"});
    tenure.ask(VERIFY, body.clone()).await.ok();
    assert_eq!(tenure.ask(VERIFY, body).await.refused(400), "TOKEN_INVALID");
    tenure.login("ann", PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_is_not_verified_leaves_nothing() {
    let tenure = Tenure::start().await;
    tenure.sign_up("ann@example.com").await;
    let token = tenure.mailed_token("ann@example.com").await;
    assert_eq!(tenure.traces().await.len(), 2);
    tenure.stack.advance_clock(24 * 60 * 60).await.unwrap();
    let body = json!({"token": token, "password": PASSWORD});
    assert_eq!(tenure.ask(VERIFY, body).await.refused(400), "TOKEN_INVALID");
    tenure.stack.advance_clock(60 * 60).await.unwrap();
    for table in ["AccountsTable", "OutboxTable", "ErasuresTable"] {
        let items = tenure.items(table).await;
        for item in &items {
            assert!(!item.to_string().contains("ann@example.com"), "{table}: {item}");
        }
    }
    assert_eq!(tenure.traces().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_records_are_deleted_by_the_sender_before_ttl() {
    let tenure = Tenure::start().await;
    tenure.sign_up("ann@example.com").await;
    assert_eq!(tenure.subjects_to("ann@example.com").await, [CONFIRM]);
    // The time to live ends an hour later.
    tenure.stack.advance_clock(24 * 60 * 60 + 60).await.unwrap();
    assert_eq!(tenure.traces().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_older_than_a_day_are_dropped() {
    let tenure = Tenure::start_with(by_schedule().options()).await;
    tenure.sign_up("ann@example.com").await;
    let [id] = tenure.traces().await.try_into().unwrap();
    // DynamoDB may take days to delete what has expired.
    let update = tenure.database().update_item().table_name("OutboxTable");
    let update =
        update.key("id", AttributeValue::S(id)).update_expression("SET expires_at = :late");
    let late = AttributeValue::N("99999999999".to_owned());
    update.expression_attribute_values(":late", late).send().await.unwrap();
    tenure.stack.advance_clock(24 * 60 * 60).await.unwrap();
    assert_eq!(tenure.subjects_to("ann@example.com").await, [""; 0]);
    assert_eq!(tenure.traces().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unexpired_tokens_are_kept_when_the_sender_looks_at_them() {
    let tenure = Tenure::start().await;
    let to = "ann@example.com";
    tenure.sign_up(to).await;
    let body = json!({"token": tenure.mailed_token(to).await, "password": PASSWORD});
    let traces = tenure.traces().await;
    assert_eq!(traces.len(), 2, "{traces:?}");
    // The mail sender is made to look at items that are not due, as it would with an index that lags behind.
    for id in &traces {
        tenure.send_mail_of(id).await;
    }
    assert_eq!(tenure.traces().await, traces);
    tenure.ask(VERIFY, body).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_sign_ups_of_one_address_become_one_account() {
    let tenure = Tenure::start_with(quick(unlimited())).await;
    let to = "ann@example.com";
    join_all((0..64).map(|_| tenure.sign_up(to))).await;
    tenure.carry_out().await;
    let mail = tenure.mail_to(to).await;
    let token = |message: &Value| {
        let text = message["text"].as_str().unwrap();
        text.split("#token=").nth(1).unwrap().split('&').next().unwrap().to_owned()
    };
    let tokens: BTreeSet<_> = mail.iter().map(token).collect();
    assert!(!tokens.is_empty());
    let tries = tokens.iter().map(|token| {
        let body = json!({"token": token, "password": PASSWORD});
        tenure.ask(VERIFY, body)
    });
    let answers = join_all(tries).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1, "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.status != 200);
    for answer in refused {
        assert_eq!(answer.refused(400), "TOKEN_INVALID");
    }
    let admin = tenure.admin().await;
    let found = tenure.call(&admin, "GET", &format!("/v1.0/customers?email={to}")).await.ok();
    assert_eq!(found["result"].as_array().unwrap().len(), 1);
    assert_eq!(tenure.traces().await, [""; 0]);
    // A sign-up with this address is now told, by mail, that the account exists.
    tenure.sign_up("Ann@Example.com").await;
    assert_eq!(tenure.subjects_to("Ann@Example.com").await, [KNOWN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_and_an_unknown_address_make_equal_answers_and_store_calls() {
    let tenure =
        Tenure::start_with(mailing_with([("MailRequestsPerNetworkPerHour", "1000")])).await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "known").await;
    // A user name that is an e-mail address counts as known, too.
    let body = json!({"username": "agent@example.com", "password": PASSWORD});
    tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    for (path, function) in
        [(SIGN_UP, "AuthSignupFunction"), (RESEND, "AuthEmailVerifyResendFunction")]
    {
        let mut seen = Vec::new();
        for address in ["known@example.com", "nobody@example.com", "agent@example.com"] {
            assert!(tenure.stack.settle().await);
            tenure.stack.reset_stats();
            let mut body = json!({"email": address});
            if path == SIGN_UP {
                body["accepted_tos"] = json!(true);
            }
            let answer = tenure.ask(path, body).await;
            assert!(tenure.stack.settle().await);
            let mut cost = tenure.stack.stats()["functions"][function]["dynamodb"].clone();
            cost.as_object_mut().unwrap().remove("steps");
            let names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            seen.push((answer.status, answer.text, names, cost));
        }
        assert!(seen[0] == seen[1] && seen[1] == seen[2], "{path}: {seen:?}");
        let wcu = seen[0].3["wcu"].as_f64().unwrap();
        assert!(wcu <= 5.0, "{path}: {wcu}");
    }
    // The first of these messages was sent when the account was created.
    let expected = [CONFIRM_ADDRESS, KNOWN, CONFIRM_ADDRESS];
    assert_eq!(tenure.subjects_to("known@example.com").await, expected);
    assert_eq!(tenure.subjects_to("agent@example.com").await, [KNOWN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_limited_by_address_silently_and_by_network_openly() {
    let tenure = Tenure::start_with(mailing_with([("MailRequestsPerNetworkPerHour", "7")])).await;
    for _ in 0..4 {
        tenure.sign_up("ann@example.com").await;
    }
    tenure.carry_out().await;
    assert_eq!(tenure.mail_to("ann@example.com").await.len(), 3, "the fourth is silent");
    // Another purpose and another address have limits of their own.
    tenure.ask(RESEND, json!({"email": "ann@example.com"})).await.ok();
    tenure.carry_out().await;
    assert_eq!(tenure.mail_to("ann@example.com").await.len(), 4);
    for address in ["bob@example.com", "eve@example.com"] {
        tenure.sign_up(address).await;
    }
    let body = json!({"email": "joe@example.com", "accepted_tos": true});
    let refused = tenure.ask(SIGN_UP, body).await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.body["error"]["details"][0]["limited_by"], "ip");
    tenure.stack.advance_clock(60 * 60).await.unwrap();
    tenure.sign_up("ann@example.com").await;
    tenure.carry_out().await;
    assert_eq!(tenure.mail_to("ann@example.com").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_sign_ups_name_the_field() {
    let tenure = Tenure::start().await;
    for (body, field) in [
        (json!({"email": "ann@example.com"}), "accepted_tos"),
        (json!({"email": "ann@example.com", "accepted_tos": false}), "accepted_tos"),
        (json!({"email": "ann@example.com", "accepted_tos": "yes"}), "accepted_tos"),
        (json!({"accepted_tos": true}), "email"),
        (json!({"email": "", "accepted_tos": true}), "email"),
        (json!({"email": "[email protected]", "accepted_tos": true}), "email"),
        (json!({"email": "ann", "accepted_tos": true}), "email"),
        (json!({"email": "ann@example.com", "accepted_tos": true, "age": 7}), "age"),
    ] {
        let answer = tenure.ask(SIGN_UP, body.clone()).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT", "{body}");
        assert_eq!(answer.body["error"]["details"][0]["field"], field, "{body}");
    }
    assert!(tenure.stack.mail().is_empty());
    assert_eq!(tenure.traces().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_without_mail_says_so() {
    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    for (path, body) in [
        (SIGN_UP, json!({"email": "ann@example.com", "accepted_tos": true})),
        (RESEND, json!({"email": "ann@example.com"})),
    ] {
        assert_eq!(tenure.ask(path, body).await.refused(403), "MAIL_DISABLED");
    }
    assert_eq!(tenure.traces().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_link_is_sent_on_request_and_replaces_the_one_before() {
    let tenure = Tenure::start().await;
    let to = "ann@example.com";
    tenure.ask(SIGN_UP, json!({"email": to, "accepted_tos": true, "name": "Ann"})).await.ok();
    let first = tenure.mailed_token(to).await;
    tenure.ask(RESEND, json!({"email": "ANN@example.com"})).await.ok();
    assert_eq!(tenure.subjects_to(to).await, [CONFIRM, CONFIRM]);
    let second = tenure.mailed_token(to).await;
    assert_ne!(first, second);
    let body = |token: &str| json!({"token": token, "password": PASSWORD});
    assert_eq!(tenure.ask(VERIFY, body(&first)).await.refused(400), "TOKEN_INVALID");
    let made = tenure.ask(VERIFY, body(&second)).await.ok();
    assert_eq!(made["customer"]["name"], "Ann");
    // There is nothing left to prove, so nothing is sent.
    tenure.ask(RESEND, json!({"email": to})).await.ok();
    assert_eq!(tenure.mail_to(to).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_an_operator_proves_its_address_by_the_mailed_link() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let to = "test1@example.com";
    assert_eq!(tenure.subjects_to(to).await, [CONFIRM_ADDRESS]);
    let token = tenure.mailed_token(to).await;
    for field in ["username", "password"] {
        let answer = tenure.ask(VERIFY, json!({"token": token, field: PASSWORD})).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT");
        assert_eq!(answer.body["error"]["details"][0]["field"], field);
    }
    let answer = tenure.ask(VERIFY, json!({"token": token})).await.ok();
    let customer = &answer["customer"];
    assert_eq!((&customer["id"], &customer["status"]), (&json!(account.id), &json!("active")));
    assert_eq!(customer["email_verified"], true);
    assert_eq!(tenure.ask(VERIFY, json!({"token": token})).await.refused(400), "TOKEN_INVALID");
    let history = tenure.call(&account.token, "GET", "/v1.0/events").await.ok();
    let actor = &history["result"][0]["actor"];
    assert_eq!((&actor["type"], &actor["id"]), (&json!("mailed_link"), &Value::Null));

    // Another address needs a proof of its own, and the link for the old one has no use.
    let change = json!({"email": "new@example.com", "current_password": PASSWORD});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", change).await.ok();
    assert_eq!(tenure.subjects_to("new@example.com").await, [CONFIRM_ADDRESS]);
    let token = tenure.mailed_token("new@example.com").await;
    let change = json!({"email": "newer@example.com", "current_password": PASSWORD});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", change).await.ok();
    assert_eq!(tenure.ask(VERIFY, json!({"token": token})).await.refused(400), "TOKEN_INVALID");
    let token = tenure.mailed_token("newer@example.com").await;
    tenure.ask(VERIFY, json!({"token": token})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_proofs_make_one_account() {
    let tenure = Tenure::start().await;
    let to = "ann@example.com";
    tenure.sign_up(to).await;
    let body = json!({"token": tenure.mailed_token(to).await, "password": PASSWORD});
    let answers = join_all((0..8).map(|_| tenure.ask(VERIFY, body.clone()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_account_proves_nothing_and_keeps_its_link() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let body = new_customer("test1");
    let id = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok()["id"].clone();
    let path = format!("/v1.0/customers/{}", id.as_str().unwrap());
    let token = tenure.mailed_token("test1@example.com").await;
    tenure.call(&admin, "POST", &format!("{path}/freeze")).await.ok();
    let refused = tenure.ask(VERIFY, json!({"token": token})).await;
    assert_eq!(refused.refused(403), "ACCOUNT_FROZEN");
    tenure.call(&admin, "POST", &format!("{path}/recover")).await.ok();
    tenure.ask(VERIFY, json!({"token": token})).await.ok();
    tenure.call(&admin, "DELETE", &path).await.ok();
}

/// Returns fault rules with which three in ten database calls of the functions for sign-up fail, before or
/// after they take effect.
fn three_in_ten_fail() -> Value {
    let functions = ["AuthSignupFunction", "AuthEmailVerifyFunction", "MailSendFunction"];
    let faults = ["internal_error", "timeout_after_apply"];
    let rule = |(seed, (function, fault))| json!({"fault": fault, "function": function, "probability": 0.15, "seed": seed});
    let rules = functions.iter().flat_map(|function| faults.map(|fault| (function, fault)));
    rules.enumerate().map(rule).collect()
}

/// Every sign-up becomes exactly one account although 30 % of the database calls fail. `TENURE_SIGN_UPS=1000`
/// takes some minutes.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a longer run on request")]
async fn every_sign_up_is_verified_once_in_spite_of_faults() {
    let number = std::env::var("TENURE_SIGN_UPS").map_or(12, |number| number.parse().unwrap());
    let tenure = Tenure::start_with(quick(unlimited())).await;
    let admin = tenure.admin().await;
    tenure.send(tenure.request("POST", "/_local/faults").json(&three_in_ten_fail())).await.ok();
    let addresses: Vec<String> =
        (0..number).map(|number| format!("newcomer-{number}@example.com")).collect();
    for address in &addresses {
        let body = json!({"email": address, "accepted_tos": true});
        while tenure.ask(SIGN_UP, body.clone()).await.status != 200 {}
    }
    let mailed = || -> BTreeSet<String> {
        let mail = tenure.stack.mail();
        mail.iter().map(|message| message["to"][0].as_str().unwrap().to_owned()).collect()
    };
    let wanted: BTreeSet<String> = addresses.iter().cloned().collect();
    for _ in 0..30 {
        // A thousand take longer than the stack waits at a time.
        for _ in 0..number / 100 {
            tenure.stack.settle().await;
        }
        assert!(tenure.stack.settle().await);
        if mailed().is_superset(&wanted) {
            break;
        }
        tenure.stack.advance_clock(60).await.unwrap();
    }
    let mailed = mailed();
    for address in &addresses {
        assert!(mailed.contains(address), "{address} got no mail");
        loop {
            // An attempt that is followed by another has been replaced.
            let token = tenure.mailed_token(address).await;
            let body = json!({"token": token, "password": PASSWORD});
            let answer = tenure.ask(VERIFY, body).await;
            match answer.status {
                200 => break,
                400 if tenure.try_login(address, PASSWORD).await.status == 200 => break,
                400 => {
                    tenure.stack.advance_clock(60).await.unwrap();
                }
                status => assert_eq!(status, 503, "{}", answer.text),
            }
        }
    }
    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
    for address in &addresses {
        let path = format!("/v1.0/customers?email={address}");
        let found = tenure.call(&admin, "GET", &path).await.ok();
        assert_eq!(found["result"].as_array().unwrap().len(), 1, "{address}");
    }
    let customers = tenure.items("AccountsTable").await;
    let made = customers.iter().filter(|item| item["status"]["S"] == "active");
    // The project's own account is active, too.
    assert_eq!(made.count(), number + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_account_that_signed_up_leaves_nothing() {
    let tenure = Tenure::start().await;
    let (to, name) = ("canary-ann@example.com", "Canary Ltd of Ann");
    let body = json!({"email": to, "accepted_tos": true, "name": name});
    // The first request is replaced by the second, which is used; the third is told that the account exists.
    tenure.ask(SIGN_UP, body.clone()).await.ok();
    tenure.mailed_token(to).await;
    tenure.ask(SIGN_UP, body.clone()).await.ok();
    let verify = json!({"token": tenure.mailed_token(to).await, "password": PASSWORD});
    tenure.ask(VERIFY, verify).await.ok();
    tenure.ask(SIGN_UP, body).await.ok();
    assert_eq!(tenure.subjects_to(to).await, [CONFIRM, CONFIRM, KNOWN]);
    assert_eq!(tenure.traces().await, [""; 0], "nothing waits for its expiry");

    let own = tenure.login(to, PASSWORD).await;
    let leave = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    tenure.unregister(&own, leave).await.ok();
    assert!(tenure.stack.settle().await);
    // The last mail waits for the receipt, with the address sealed in.
    tenure.stack.advance_clock(600).await.unwrap();
    assert!(tenure.stack.settle().await);
    for table in ["AccountsTable", "OutboxTable", "ErasuresTable"] {
        for item in tenure.items(table).await {
            for canary in [to, name] {
                assert!(!shows(canary, &item.to_string()), "{table}: {item}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_link_goes_to_each_account_with_the_address_and_the_first_proof_reserves_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (one, other) = (tenure.account(&admin, "one").await, tenure.account(&admin, "other").await);
    let to = "shared@example.com";
    for account in [&one, &other] {
        let change = json!({"email": to, "current_password": PASSWORD});
        tenure.call_with(&account.token, "PUT", "/v1.0/customer", change).await.ok();
    }
    assert_eq!(tenure.mail_to(to).await.len(), 2);
    tenure.ask(RESEND, json!({"email": to})).await.ok();
    let mail = tenure.mail_to(to).await;
    assert_eq!(mail.len(), 4);
    let link_for = |account: &str| {
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        let text = mail.iter().rev().map(text).find(|text| text.contains(account)).unwrap();
        text.split("#token=").nth(1).unwrap().split('\n').next().unwrap().to_owned()
    };
    tenure.ask(VERIFY, json!({"token": link_for(&one.id)})).await.ok();
    let second = tenure.ask(VERIFY, json!({"token": link_for(&other.id)})).await;
    assert_eq!(second.refused(409), "EMAIL_TAKEN");
}

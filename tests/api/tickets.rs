//! Tickets, with which the owner of a deleted account can follow its erasure: who gets one, what it shows,
//! and what is stored of it.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use shared::domain::digest::sha256;
use shared::domain::participant::ParticipantName;
use shared::domain::participation::{Answer, AnswerStatus, Answered, Participating, Participation};
use shared::domain::{Actor, Id, Timestamp};

use crate::canaries::shows;
use crate::harness::{self, Account, PASSWORD, STRANGER, Tenure, new_customer, options, quick};
use crate::mail::by_schedule;
use crate::store::store;

/// All fields of the response to a ticket.
const SHOWN: [&str; 9] = [
    "participants",
    "receipts",
    "stage",
    "tm_claim",
    "tm_complete",
    "tm_due",
    "tm_finish",
    "tm_request",
    "tm_withdraw",
];

impl Tenure {
    /// Requests the erasure's status with a ticket, without credentials and from another network.
    async fn present(&self, ticket: &str) -> harness::Answer {
        self.send_from(STRANGER, self.request("GET", &format!("/v1.0/erasures/{ticket}"))).await
    }

    /// Returns the erasure's status as a ticket shows it; fails if the ticket is refused.
    async fn shown(&self, ticket: &str) -> Value {
        self.present(ticket).await.ok()
    }

    /// Unregisters the account with a grace period; returns the ticket.
    async fn ticket_of(&self, account: &Account) -> String {
        self.unregister(&account.token, json!({"password": PASSWORD})).await.ticket()
    }

    /// Returns the hashes of all tickets; only these are stored.
    async fn stored_tickets(&self) -> BTreeSet<String> {
        let items = self.items("ErasuresTable").await;
        let hash =
            |item: &Value| Some(item["pk"]["S"].as_str()?.strip_prefix("TICKET#")?.to_owned());
        items.iter().filter_map(hash).collect()
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_success_of_an_unregistration_has_a_ticket_of_its_own() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    let (password, phrase) =
        (json!({"password": PASSWORD}), json!({"confirmation_phrase": "DELETE"}));
    let once = async || {
        let call = tenure.request("POST", "/auth/unregister").bearer(&account.token);
        tenure.send(call.header("idempotency-key", "\"leave\"").json(&password)).await
    };
    let at_once = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    let answers = [
        once().await,
        // The response to the repeated idempotency key is replayed.
        once().await,
        // Unregistering again, with a session or an access key.
        tenure.unregister(&account.token, password.clone()).await,
        tenure.unregister(&key, phrase).await,
        tenure.unregister(&account.token, at_once).await,
    ];
    let tickets: Vec<_> = answers.iter().map(harness::Answer::ticket).collect();
    assert_eq!(answers.map(|answer| answer.status), [200; 5]);
    let hashes: BTreeSet<_> = tickets.iter().map(|ticket| sha256(ticket)).collect();
    assert_eq!(hashes.len(), tickets.len(), "each is new");
    assert_eq!(tenure.stored_tickets().await, hashes);
    assert!(tenure.stack.settle().await);
    let last = tenure.shown(&tickets[4]).await;
    assert_eq!(last["stage"], "finished", "{last}");
    for ticket in &tickets {
        assert_eq!(tenure.shown(ticket).await, last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_unregistration_has_no_ticket() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    for body in [json!({"password": "a wrong password"}), json!({})] {
        let refused = tenure.unregister(&account.token, body).await;
        assert!(refused.status >= 400 && !refused.headers.contains_key("link"), "{refused:?}");
    }
    let path = format!("/v1.0/customers/{}/hold", account.id);
    tenure.call_with(&admin, "PUT", &path, json!({"reason": "Case 7"})).await.ok();
    let at_once = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    let refused = tenure.unregister(&account.token, at_once).await;
    assert_eq!(refused.refused(409), "ACCOUNT_PRESERVED");
    assert_eq!(tenure.stored_tickets().await, BTreeSet::new());
}

/// Adds two participants to the erasure of a purged account, as the purge does: one has completed its part,
/// the other is optional and was not asked yet.
async fn take_part(tenure: &Tenure, account: &Account) {
    let of = |name: &str, required| Participating {
        name: ParticipantName::parse(name).unwrap(),
        required,
        timeout: Duration::from_hours(24),
    };
    let copies = [of("carrier", true), of("archive", false)].map(|one| {
        let fields = [
            ("name", AttributeValue::S(one.name.to_string())),
            ("required", AttributeValue::Bool(one.required)),
            ("timeout", AttributeValue::N(one.timeout.as_secs().to_string())),
        ];
        AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).into())
    });
    let row = tenure.database().update_item().table_name("ErasuresTable");
    row.key("pk", AttributeValue::S(format!("CUSTOMER#{}", account.id)))
        .key("sk", AttributeValue::S("E".to_owned()))
        .update_expression("SET participants = :copies")
        .expression_attribute_values(":copies", AttributeValue::L(copies.to_vec()))
        .send()
        .await
        .unwrap();

    let (store, now) = (store(tenure), Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
    let customer = Id::parse(&account.id).unwrap();
    let asked = Participation::new(customer, 1, &of("carrier", true), now, now);
    assert!(store.insert_participation(&asked).await.unwrap());
    let answer = Answer {
        status: AnswerStatus::Completed,
        found: 41,
        deleted: 41,
        retained: Vec::new(),
        detail: "a detail for operators".to_owned(),
    };
    let Answered::Changed(done) = asked.answered(answer, Actor::PURGE, now).unwrap() else {
        panic!("an answer")
    };
    store.update_answer(&asked, &done).await.unwrap();
}

/// Somebody who has the ticket and nothing else looks at the erasure, before and after the account is purged.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_sees_stage_dates_participants_and_receipts_and_nothing_else() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let left = tenure.unregister(&account.token, json!({"password": PASSWORD})).await;
    let (ticket, frozen) = (left.ticket(), left.ok());
    let scheduled = tenure.shown(&ticket).await;
    assert_eq!(names(&scheduled), SHOWN);
    assert_eq!((&scheduled["stage"], &scheduled["receipts"]), (&json!("scheduled"), &json!([])));
    assert_eq!(scheduled["tm_due"], frozen["tm_deletion_scheduled"]);

    tenure.advance_days(31).await;
    assert!(tenure.stack.settle().await);
    take_part(&tenure, &account).await;
    let answer = tenure.present(&ticket).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let (text, shown) = (answer.text.clone(), answer.ok());
    assert_eq!(names(&shown), SHOWN);
    for name in ["tm_request", "tm_due", "tm_claim", "tm_finish"] {
        assert!(shown[name].is_string(), "{name}: {shown}");
    }
    assert_eq!(shown["tm_withdraw"], Value::Null);
    let participants =
        json!([{"name": "carrier", "state": "completed"}, {"name": "archive", "state": null}]);
    assert_eq!(shown["participants"], participants);
    let [receipt] = shown["receipts"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    let path = format!("/v1.0/customers/{}/erasure", account.id);
    let admin = tenure.admin().await;
    assert_eq!(tenure.call(&admin, "GET", &path).await.ok()["receipt"], *receipt);
    let payload = receipt.as_str().unwrap().split('.').nth(1).unwrap();
    let payload = String::from_utf8(BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    assert!(payload.contains(&account.id));

    // Only receipts hold ids; personal data and what is meant for operators appear nowhere.
    let profile = new_customer("test1");
    let said = profile.as_object().unwrap().values().map(|value| value.as_str().unwrap());
    for canary in said.filter(|text| *text != "POST").chain(["a detail for operators"]) {
        assert!(!shows(canary, &text) && !shows(canary, &payload), "{canary:?}: {text}");
    }
    for id in [&account.id, me["id"].as_str().unwrap()] {
        assert!(!text.contains(id), "{text}");
    }
    assert!(!payload.contains(me["id"].as_str().unwrap()), "{payload}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_outlives_a_recovery_and_shows_the_next_request_too() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ticket = tenure.ticket_of(&account).await;
    tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    let withdrawn = tenure.shown(&ticket).await;
    assert_eq!(withdrawn["stage"], "withdrawn");
    assert!(withdrawn["tm_withdraw"].is_string(), "{withdrawn}");
    let second = tenure.ticket_of(&account).await;
    let scheduled = tenure.shown(&ticket).await;
    assert_eq!(scheduled["stage"], "scheduled");
    assert_eq!(tenure.shown(&second).await, scheduled);
}

/// The owner must not learn of a hold, and neither must anybody else who has the ticket.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_shows_no_hold() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ticket = tenure.ticket_of(&account).await;
    let before = tenure.present(&ticket).await;
    let path = format!("/v1.0/customers/{}", account.id);
    let hold = format!("{path}/hold");
    tenure.call_with(&admin, "PUT", &hold, json!({"reason": "Case 7"})).await.ok();
    assert_eq!(tenure.present(&ticket).await.text, before.text);
    let erasure = tenure.call(&admin, "GET", &format!("{path}/erasure")).await.ok();
    assert_eq!(erasure["stage"], "held");
    tenure.advance_days(31).await;
    assert_eq!(tenure.shown(&ticket).await["stage"], "due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_ticket_and_a_malformed_one_get_the_same_answer_for_the_same_work() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ticket = tenure.ticket_of(&account).await;
    let hash = sha256(&ticket);
    let mut answers = BTreeSet::new();
    for wrong in [
        "vbt_0000000000000000000000",
        &ticket[..25],
        &ticket.to_uppercase(),
        &format!("{ticket}0"),
        &hash,
        &account.id,
        &account.token,
        "x",
        &"x".repeat(2_000),
    ] {
        tenure.stack.reset_stats();
        let refused = tenure.present(wrong).await;
        assert_eq!(refused.refused(404), "TICKET_NOT_FOUND", "{wrong}");
        let calls =
            &tenure.stack.stats()["functions"]["ErasureStatusFunction"]["dynamodb"]["calls"];
        let id = refused.headers["x-request-id"].to_str().unwrap();
        answers.insert((refused.text.replace(id, ""), calls.to_string()));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let unknown = tenure.present(&format!("{ticket}?x=1")).await;
    assert_eq!(unknown.refused(400), "INVALID_REQUEST_PARAMETER");
    tenure.shown(&ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_limited_per_network_whether_they_exist_or_not() {
    let tenure = Tenure::start_with(quick(options())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ticket = tenure.ticket_of(&account).await;
    // At the beginning of a minute, so that none ends while the test counts.
    let second = tenure.now().await.as_second() % 60;
    tenure.stack.advance_clock(61 - second).await.unwrap();
    for number in 0..600 {
        let answer = tenure.present(if number % 2 == 0 { &ticket } else { "vbt_1" }).await;
        assert!([200, 404].contains(&answer.status), "{number}: {}", answer.text);
        assert_eq!(answer.headers["ratelimit-policy"], "\"tickets\";q=600;w=60");
    }
    for presented in [&ticket, "vbt_1"] {
        let refused = tenure.present(presented).await;
        assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
        assert_eq!(refused.body["error"]["details"][0]["limited_by"], "ip");
    }
    // Other networks are not limited, and neither are log-ins from this network.
    tenure.send(tenure.request("GET", &format!("/v1.0/erasures/{ticket}"))).await.ok();
    tenure.try_login_from(STRANGER, "test1", PASSWORD).await.ok();
    tenure.stack.advance_clock(61).await.unwrap();
    tenure.shown(&ticket).await;
}

/// Checks that no table, event or log line holds the ticket, and that only its hash is stored.
async fn assert_kept_nowhere(tenure: &Tenure, ticket: &str) {
    assert!(tenure.stack.settle().await);
    for table in tenure.stack.tables() {
        for item in tenure.items(table).await {
            assert!(!shows(ticket, &item.to_string()), "{table}: {item}");
        }
    }
    let events = tenure.stack.events();
    for line in tenure.stack.logs().into_iter().chain(events.iter().map(Value::to_string)) {
        assert!(!shows(ticket, &line), "{line}");
    }
    assert!(tenure.stored_tickets().await.contains(&sha256(ticket)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_in_no_log_and_no_table() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let ticket = tenure.ticket_of(&account).await;
    tenure.shown(&ticket).await;
    tenure.present(&format!("{ticket}?x=1")).await.refused(400);
    let post = tenure.request("POST", &format!("/v1.0/erasures/{ticket}"));
    tenure.send(post).await.refused(404);
    let throttled = json!([{"fault": "internal_error", "function": "ErasureStatusFunction", "operation": "GetItem"}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&throttled)).await.ok();
    tenure.present(&ticket).await.refused(503);
    assert_kept_nowhere(&tenure, &ticket).await;
}

/// Returns the tickets in all messages to an address. Only the message that an account has been erased
/// contains one.
fn mailed_tickets(tenure: &Tenure, address: &str) -> Vec<String> {
    let mail = tenure.stack.mail().into_iter().filter(|message| message["to"] == json!([address]));
    let ticket = |message: Value| {
        let (_, rest) = message["text"].as_str()?.split_once("/account#ticket=")?;
        Some(rest.split('\n').next()?.to_owned())
    };
    mail.filter_map(ticket).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_mail_has_a_ticket_that_is_made_for_it() {
    let template = by_schedule();
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let verified = json!({"email_verified": true});
    tenure.call_with(&admin, "PUT", &format!("{path}/verification"), verified).await.ok();
    // Mail for changes that were made while the address was not verified is dropped.
    let schedule = "/_local/schedules/MailSendFunctionSchedule/run";
    tenure.send(tenure.request("POST", schedule)).await.ok();
    tenure.call(&admin, "DELETE", &path).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.stored_tickets().await, BTreeSet::new(), "none waits with the mail");

    // The mail sender crashes after it has sent the message.
    let crash = json!([{"fault": "crash_before", "function": "MailSendFunction", "operation": "DeleteItem", "nth": 1}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&crash)).await.ok();
    tenure.send(tenure.request("POST", schedule)).await;
    tenure.stack.advance_clock(600).await.unwrap();
    assert!(tenure.stack.settle().await);
    let tickets = mailed_tickets(&tenure, "test1@example.com");
    let [first, second] = tickets.as_slice() else { panic!("{tickets:?}") };
    assert_ne!(first, second);
    for ticket in [first, second] {
        assert_eq!(tenure.shown(ticket).await["stage"], "finished");
        assert_kept_nowhere(&tenure, ticket).await;
    }
    assert_eq!(tenure.stored_tickets().await.len(), 2);
}

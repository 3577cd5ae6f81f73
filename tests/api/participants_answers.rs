//! Answers of participants to the request to erase an account, waivers of such answers, and the final receipt
//! that follows the last of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::domain::digest::sha256;
use shared::domain::participant::ParticipantName;
use shared::domain::participation::{Participating, Participation};
use shared::domain::time::Round;
use shared::domain::{Id, Timestamp};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, Template, Tenure, quick, uncounted};
use crate::receipt::claims_of;
use crate::store::store;

const DAY: i64 = 86_400;

/// Time that participants have to answer in these tests.
const TIMEOUT: Duration = Duration::from_hours(24);

/// An account that the purge has erased, whose participants have yet to answer.
struct Erased<'a> {
    tenure: &'a Tenure,
    admin: String,
    id: String,
}

impl<'a> Erased<'a> {
    /// Registers these participants (name, and whether required), then creates an account and deletes it.
    async fn new(tenure: &'a Tenure, username: &str, asked: &[(&str, bool)]) -> Self {
        let admin = tenure.admin().await;
        for (name, required) in asked {
            let body = json!({"required": required, "timeout": TIMEOUT.as_secs()});
            let path = format!("/v1.0/participants/{name}");
            tenure.call_with(&admin, "PUT", &path, body).await.ok();
        }
        let Account { id, .. } = tenure.account(&admin, username).await;
        tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{id}")).await.ok();
        assert!(tenure.stack.settle().await);
        Self { tenure, admin, id }
    }

    /// Creates an access key that is bound to this participant; returns its token.
    async fn key(&self, name: &str) -> String {
        let body = json!({"expire": DAY, "participant": name});
        let key = self.tenure.call_with(&self.admin, "POST", "/v1.0/accesskeys", body).await.ok();
        key["token"].as_str().unwrap().to_owned()
    }

    /// Records in the ledger that these participants (name, and whether required) are asked. Each round of
    /// requests has a number.
    async fn ask(&self, round: u64, asked: &[(&str, bool)]) {
        ask(self.tenure, &self.id, round, asked).await;
    }

    async fn answer_as(&self, token: &str, name: &str, body: &Value) -> Answer {
        let path = format!("/v1.0/erasures/{}/acknowledgements/{name}", self.id);
        self.tenure.call_with(token, "PUT", &path, body.clone()).await
    }

    async fn answer(&self, name: &str, body: Value) -> Answer {
        self.answer_as(&self.admin, name, &body).await
    }

    async fn waive(&self, name: &str, reason: &str) -> Answer {
        let path = format!("/v1.0/erasures/{}/waivers", self.id);
        let body = json!({"participant": name, "reason": reason});
        self.tenure.call_with(&self.admin, "POST", &path, body).await
    }

    async fn show(&self) -> Value {
        let path = format!("/v1.0/customers/{}/erasure", self.id);
        self.tenure.call(&self.admin, "GET", &path).await.ok()
    }

    /// Checks that the erasure and the account's overview show this stage; returns the erasure as the API
    /// shows it.
    async fn at(&self, stage: &str) -> Value {
        let shown = self.show().await;
        assert_eq!(shown["stage"], stage, "{shown}");
        let path = format!("/v1.0/customers/{}/overview", self.id);
        let overview = self.tenure.call(&self.admin, "GET", &path).await.ok();
        assert_eq!(overview["stage"], stage, "{overview}");
        shown
    }

    /// Moves the clock, which may end the session, and logs in again.
    async fn advance(&mut self, seconds: i64) {
        self.tenure.stack.advance_clock(seconds).await.unwrap();
        self.admin = self.tenure.admin().await;
    }
}

/// Records in the ledger of an erased account that these participants (name, and whether required) are asked.
/// Each round of requests has a number.
pub(crate) async fn ask(tenure: &Tenure, id: &str, round: u64, asked: &[(&str, bool)]) {
    let (store, customer) = (store(tenure), Id::parse(id).unwrap());
    let row = store.get_erasure(customer).await.unwrap().unwrap();
    let (claimed, now) = (row.tm_claim.unwrap(), tenure.now().await.to_string());
    let now = Timestamp::parse_rfc3339(&now, Round::Down).unwrap();
    let mut participants = Vec::new();
    for (name, required) in asked {
        let name = ParticipantName::parse(name).unwrap();
        let one = Participating { name, required: *required, timeout: TIMEOUT };
        let part = Participation::new(customer, round, &one, claimed, now);
        assert!(store.insert_participation(&part).await.unwrap());
        participants.push(AttributeValue::M(HashMap::from([
            ("name".to_owned(), AttributeValue::S(one.name.to_string())),
            ("required".to_owned(), AttributeValue::Bool(one.required)),
            ("timeout".to_owned(), AttributeValue::N(TIMEOUT.as_secs().to_string())),
        ])));
    }
    let update = tenure.database().update_item().table_name("ErasuresTable");
    let update = update
        .key("pk", AttributeValue::S(format!("CUSTOMER#{id}")))
        .key("sk", AttributeValue::S("E".to_owned()))
        .update_expression("SET #round = :round, participants = :asked REMOVE tm_complete")
        .expression_attribute_names("#round", "round")
        .expression_attribute_values(":round", AttributeValue::N(round.to_string()))
        .expression_attribute_values(":asked", AttributeValue::L(participants));
    update.send().await.unwrap();
}

fn done(count: u64) -> Value {
    json!({"status": "completed", "found": count, "deleted": count})
}

/// Returns the claims of a receipt, which is a JWS.
fn claims(receipt: &Value) -> Value {
    claims_of(receipt.as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_required_answer_brings_the_final_receipt() {
    let tenure = Tenure::start().await;
    let asked = [("carrier", true), ("files", true), ("tags", false)];
    let erased = Erased::new(&tenure, "test1", &asked).await;
    let shown = erased.at("awaiting").await;
    assert_eq!((&shown["round"], &shown["tm_complete"]), (&json!(1), &Value::Null));
    assert_eq!(shown["receipts"], json!([shown["receipt"]]));
    let names: Vec<_> = shown["participants"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0]["name"], "carrier");
    assert_eq!((&names[0]["state"], &names[0]["found"]), (&json!("asked"), &Value::Null));
    assert_eq!(names[2]["required"], false);

    let answer = erased.answer("carrier", json!({"status": "in_progress"})).await.ok();
    assert_eq!((&answer["state"], &answer["deleted"]), (&json!("in_progress"), &json!(0)));
    let kept = json!([{"kind": "invoices", "count": 2, "ground": "§ 147 AO", "until": "2034-12-31T23:00:00Z"}]);
    let body = json!({"status": "completed", "found": 12, "deleted": 10, "retained": kept, "detail": "all but invoices"});
    let answer = erased.answer("carrier", body).await.ok();
    assert_eq!((&answer["state"], &answer["retained"]), (&json!("completed"), &kept));
    assert_eq!(answer["answered_by"]["role"], "project_admin");
    let shown = erased.at("awaiting").await;
    assert_eq!(shown["participants"][0], answer);
    assert_eq!(shown["receipts"].as_array().unwrap().len(), 1);

    let last = erased.answer("files", done(3)).await.ok();
    let shown = erased.at("finished").await;
    assert_eq!(shown["tm_complete"], last["tm_answer"]);
    let [first, last] = shown["receipts"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!(shown["receipt"], *last);
    let (superseded, claims) = (claims(first), claims(last));
    assert_eq!(claims["supersedes"], sha256(first.as_str().unwrap()));
    assert_eq!((&superseded["final"], &claims["final"]), (&json!(false), &json!(true)));
    assert_eq!(tenure.count_events(&erased.id, "customer_erased").await, 2);
    assert_ne!(claims["jti"], superseded["jti"]);
    for same in ["sub", "tm_finish", "counts", "round"] {
        assert_eq!(claims[same], superseded[same], "{same}");
    }
    let covered = &claims["covers"]["participants"];
    assert_eq!(covered[0]["deleted"], 10);
    assert_eq!((&covered[2]["name"], &covered[2]["state"]), (&json!("tags"), &json!("asked")));
    assert_eq!(claims["retained"][0]["kind"], "invoices");
    // The answer of an optional participant is recorded although the erasure is finished.
    let late = erased.answer("tags", done(1)).await.ok();
    let shown = erased.at("finished").await;
    assert_eq!(shown["participants"][2], late);
    assert_eq!(shown["receipts"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_idempotent_and_completed_is_final() {
    let tenure = Tenure::start().await;
    let erased = Erased::new(&tenure, "test1", &[("carrier", true), ("files", true)]).await;
    let say = async |body: Value| erased.answer("carrier", body).await;
    // A later answer with the same status replaces the earlier one; one with a lower status changes nothing.
    say(json!({"status": "in_progress", "found": 1})).await.ok();
    let second = say(json!({"status": "in_progress", "found": 2})).await.ok();
    assert_eq!(second["found"], 2);
    assert_eq!(say(json!({"status": "pending", "found": 9})).await.ok(), second);
    let failed = say(json!({"status": "failed", "detail": "the carrier is down"})).await.ok();
    assert_eq!(say(json!({"status": "in_progress"})).await.ok(), failed);

    let completed = say(done(5)).await.ok();
    let before = tenure.items("ErasuresTable").await;
    for same in [done(5), json!({"status": "failed"}), json!({"status": "pending", "found": 7})] {
        assert_eq!(say(same).await.ok(), completed);
    }
    let more = json!({"status": "completed", "found": 5, "deleted": 5, "detail": "and more"});
    for other in [done(4), done(6), more, json!({"status": "completed"})] {
        assert_eq!(say(other).await.refused(409), "ALREADY_ACKNOWLEDGED");
    }
    assert_eq!(tenure.items("ErasuresTable").await, before);
    // A time is the same however it is spelt.
    let kept = |until: &str| {
        let kept = json!([{"kind": "files", "count": 1, "ground": "contract", "until": until}]);
        json!({"status": "completed", "retained": kept})
    };
    let first = erased.answer("files", kept("2031-01-01T00:00:00Z")).await.ok();
    assert_eq!(erased.answer("files", kept("2031-01-01T01:00:00.000+01:00")).await.ok(), first);
    assert_eq!(erased.at("finished").await["receipts"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_counts() {
    let tenure = Tenure::start().await;
    let mut erased = Erased::new(&tenure, "test1", &[("carrier", true), ("tags", false)]).await;
    erased.advance(DAY).await;
    let shown = erased.at("incomplete").await;
    assert_eq!(shown["tm_complete"], Value::Null);
    erased.answer("carrier", done(5)).await.ok();
    erased.at("finished").await;
}

/// The last answers arrive concurrently. However they overlap, one request finds that all answers are
/// recorded, and signs the final receipt.
#[tokio::test(flavor = "multi_thread")]
async fn last_answers_at_once_bring_one_final_receipt() {
    const NAMES: [&str; 8] = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"];
    let tenure = Arc::new(Tenure::start_with(quick(uncounted())).await);
    for number in 0..4 {
        let asked = NAMES.map(|name| (name, true));
        let erased = Erased::new(&tenure, &format!("test{number}"), &asked).await;
        let mut tasks = JoinSet::new();
        for task in 0..16 {
            let (tenure, admin, id) =
                (Arc::clone(&tenure), erased.admin.clone(), erased.id.clone());
            tasks.spawn(async move {
                let erased = Erased { tenure: &tenure, admin, id };
                // Each answer is sent twice, concurrently.
                erased.answer(NAMES[task % NAMES.len()], done(1)).await.ok();
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        let shown = erased.at("finished").await;
        assert_eq!(shown["receipts"].as_array().unwrap().len(), 2, "{shown}");
        assert_eq!(tenure.count_events(&erased.id, "customer_erased").await, 2);
        let times = shown["participants"].as_array().unwrap().iter().map(|part| &part["tm_answer"]);
        let last =
            times.map(|time| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap()).max();
        let complete: jiff::Timestamp = shown["tm_complete"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(complete), last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_completes_an_erasure_with_its_actor_and_reason() {
    let tenure = Tenure::start().await;
    let mut erased = Erased::new(&tenure, "test1", &[("carrier", true), ("files", true)]).await;
    erased.answer("files", done(3)).await.ok();
    erased.answer("carrier", json!({"status": "failed", "found": 5, "deleted": 4})).await.ok();
    erased.advance(2 * DAY).await;
    erased.at("incomplete").await;

    for wrong in ["", " ", &"x".repeat(501), "a\u{0}b"] {
        assert_eq!(erased.waive("carrier", wrong).await.refused(400), "INVALID_ARGUMENT");
    }
    let refused = erased.waive("Carrier", "closed").await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    assert_eq!(refused.body["error"]["details"], json!([{"field": "participant"}]));
    assert_eq!(erased.waive("other", "closed").await.refused(404), "PARTICIPATION_NOT_FOUND");
    let longest = "x".repeat(500);
    let waived = erased.waive("carrier", &longest).await.ok();
    assert_eq!((&waived["state"], &waived["deleted"]), (&json!("waived"), &json!(4)));
    assert_eq!(waived["waiver"]["reason"], longest);
    assert_eq!(waived["waiver"]["by"]["role"], "project_admin");
    let shown = erased.at("finished").await;
    assert_eq!(
        (&shown["participants"][0], &shown["tm_complete"]),
        (&waived, &waived["waiver"]["since"])
    );

    // A repeated waiver changes nothing, and a participant that has completed its part is not waived.
    assert_eq!(erased.waive("carrier", "again").await.ok(), waived);
    let completed = erased.waive("files", "closed").await.ok();
    assert_eq!((&completed["state"], &completed["waiver"]), (&json!("completed"), &Value::Null));
    // A participant may still answer after the waiver; the receipts do not change.
    let late = erased.answer("carrier", done(5)).await.ok();
    assert_eq!((&late["state"], &late["waiver"]), (&json!("completed"), &waived["waiver"]));
    assert_eq!(erased.at("finished").await["receipts"], shown["receipts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_another_round_is_refused() {
    let tenure = Tenure::start().await;
    let erased = Erased::new(&tenure, "test1", &[("carrier", true)]).await;
    let of_round = |round: u64| {
        let mut answer = done(5);
        answer["round"] = json!(round);
        answer
    };
    erased.answer("carrier", of_round(1)).await.ok();
    erased.at("finished").await;
    // The account came back with a restore, and is erased again.
    erased.ask(2, &[("carrier", true)]).await;
    let shown = erased.at("awaiting").await;
    assert_eq!((&shown["round"], &shown["participants"][0]["state"]), (&json!(2), &json!("asked")));
    for round in [0, 1, 3] {
        let refused = erased.answer("carrier", of_round(round)).await;
        assert_eq!(refused.refused(409), "ROUND_OUTDATED");
        assert_eq!(refused.body["error"]["details"], json!([{"round": 2}]));
    }
    assert_eq!(erased.at("awaiting").await, shown);
    let answer = erased.answer("carrier", of_round(2)).await.ok();
    assert_eq!(answer["round"], 2);
    let receipts = erased.at("finished").await["receipts"].take();
    assert_eq!(receipts.as_array().unwrap().len(), 3);
    assert_eq!(claims(&receipts[2])["round"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_bounds() {
    let tenure = Tenure::start().await;
    let erased = Erased::new(&tenure, "test1", &[("carrier", true)]).await;
    let begun = |field: &str, value: Value| {
        let mut body = json!({"status": "in_progress"});
        body[field] = value;
        body
    };
    let kept = |field: &str, value: Value| {
        let mut kept = json!({"kind": "invoices", "count": 2, "ground": "law", "until": null});
        kept[field] = value;
        kept
    };
    let many = |count: usize| json!(vec![kept("count", json!(1)); count]);
    let most = (1_u64 << 53) - 1;
    for body in [
        begun("found", json!(most)),
        begun("deleted", json!(0)),
        begun("detail", json!("ä".repeat(500))),
        begun("detail", json!("")),
        begun("retained", many(10)),
        begun("retained", json!([kept("kind", json!("k".repeat(64)))])),
        begun("retained", json!([kept("ground", json!("g".repeat(200)))])),
        begun("retained", json!([kept("count", json!(most))])),
        begun("retained", json!([{"kind": "k", "count": 0, "ground": "g"}])),
    ] {
        let answer = erased.answer("carrier", body.clone()).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    }
    let shown = erased.show().await;
    let one = |field: &str, value: Value| begun("retained", json!([kept(field, value)]));
    for (field, body) in [
        ("status", json!({})),
        ("status", begun("status", json!("done"))),
        ("status", begun("status", json!(""))),
        ("round", begun("round", Value::Null)),
        ("round", begun("round", json!("1"))),
        ("found", begun("found", json!(most + 1))),
        ("found", begun("found", json!(-1))),
        ("deleted", begun("deleted", json!(1.5))),
        ("detail", begun("detail", json!("ä".repeat(501)))),
        ("detail", begun("detail", json!("a\u{7}b"))),
        ("detail", begun("detail", Value::Null)),
        ("retained", begun("retained", many(11))),
        ("retained[0].kind", one("kind", json!(""))),
        ("retained[0].kind", one("kind", json!("k".repeat(65)))),
        ("retained[0].ground", one("ground", json!(" "))),
        ("retained[0].ground", one("ground", json!("g".repeat(201)))),
        ("retained[0].count", one("count", json!(most + 1))),
        ("retained[0].until", one("until", json!("tomorrow"))),
        ("retained[0].until", one("until", json!("2030-01-01"))),
        ("surprise", begun("surprise", json!(1))),
        ("surprise", one("surprise", json!(1))),
    ] {
        let refused = erased.answer("carrier", body.clone()).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{body}");
        assert_eq!(refused.body["error"]["details"], json!([{"field": field}]), "{body}");
    }
    assert_eq!(erased.show().await, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_speaks_for_a_participant_answers() {
    let tenure = Tenure::start().await;
    let files = json!({"required": true});
    let admin = tenure.admin().await;
    let erased = Erased::new(&tenure, "test1", &[("carrier", true)]).await;
    tenure.call_with(&admin, "PUT", "/v1.0/participants/files", files).await.ok();
    let stranger = tenure.account(&erased.admin, "stranger").await;
    let key = tenure.access_key(&stranger.token).await;
    for token in [&stranger.token, &key] {
        let refused = erased.answer_as(token, "carrier", &done(1)).await;
        assert_eq!(refused.refused(403), "PERMISSION_DENIED");
        let path = format!("/v1.0/erasures/{}/waivers", erased.id);
        let body = json!({"participant": "carrier", "reason": "closed"});
        let refused = tenure.call_with(token, "POST", &path, body).await;
        assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    }
    // A bound key speaks for its own participant, and only answers.
    let (own, others) = (erased.key("carrier").await, erased.key("files").await);
    let refused = erased.answer_as(&others, "carrier", &done(1)).await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    let path = format!("/v1.0/erasures/{}/waivers", erased.id);
    let body = json!({"participant": "carrier", "reason": "closed"});
    let refused = tenure.call_with(&own, "POST", &path, body).await;
    assert_eq!(refused.refused(403), "PERMISSION_DENIED");
    erased.at("awaiting").await;
    let answer = erased.answer_as(&own, "carrier", &done(1)).await.ok();
    assert_eq!(answer["answered_by"]["type"], "access_key");
    erased.at("finished").await;

    assert_eq!(erased.answer("other", done(1)).await.refused(404), "PARTICIPATION_NOT_FOUND");
    assert_eq!(erased.answer("No", done(1)).await.refused(400), "INVALID_REQUEST_PARAMETER");
    let admin = erased.admin.clone();
    let live = Erased { tenure: &tenure, admin: admin.clone(), id: stranger.id };
    assert_eq!(live.answer("carrier", done(1)).await.refused(404), "ERASURE_NOT_FOUND");
    assert_eq!(live.waive("carrier", "closed").await.refused(404), "ERASURE_NOT_FOUND");
    let malformed = Erased { tenure: &tenure, admin, id: "x".to_owned() };
    assert_eq!(malformed.answer("carrier", done(1)).await.refused(400), "INVALID_ID");
}

/// An answer is recorded even if the final receipt that should follow cannot be signed. The next request
/// about that participant's part in the erasure signs it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stands_whose_receipt_cannot_be_signed() {
    let keyless = Template::edited(|text| {
        let function = text.find("Binary: erasure_acknowledge}").unwrap();
        let (before, after) = text.split_at(function);
        before.to_owned()
            + &after.replacen("RECEIPT_KEY_ID: !Ref ReceiptKey", "RECEIPT_KEY_ID: Nobody", 1)
    });
    let tenure = Tenure::start_with(keyless.options()).await;
    let erased = Erased::new(&tenure, "test1", &[("carrier", true)]).await;
    let answer = erased.answer("carrier", done(5)).await.ok();
    assert_eq!(answer["state"], "completed");
    let shown = erased.at("awaiting").await;
    assert_eq!(shown["receipts"].as_array().unwrap().len(), 1);
    // Waiving a completed answer changes nothing, but the request completes the erasure.
    assert_eq!(erased.waive("carrier", "closed").await.ok(), answer);
    let shown = erased.at("finished").await;
    assert_eq!(shown["tm_complete"], answer["tm_answer"]);
}

/// The participant does not repeat its answer after the crash; the schedule that asks participants issues the
/// final receipt instead.
#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_completes_what_a_crash_left() {
    let tenure = Tenure::start_with(quick(uncounted())).await;
    let mut erased = Erased::new(&tenure, "test1", &[("carrier", true), ("files", true)]).await;
    erased.answer("files", done(3)).await.ok();
    let rule = json!([{"fault": "crash_before", "function": "ErasureAcknowledgeFunction", "operation": "TransactWriteItems", "nth": 1}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&rule)).await.ok();
    assert_eq!(erased.answer("carrier", done(5)).await.status, 500);
    erased.at("awaiting").await;
    erased.advance(2 * 3600).await;
    assert!(tenure.stack.settle().await);
    let shown = erased.at("finished").await;
    assert_eq!(shown["tm_complete"], shown["participants"][0]["tm_answer"]);
    assert_eq!(tenure.count_events(&erased.id, "customer_erased").await, 2);
}

/// Whatever fails in the first attempt, repeating the same answer completes the erasure.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_completes_what_a_crash_left() {
    let tenure = Tenure::start_with(quick(uncounted())).await;
    let faults = [
        ("crash_before", "UpdateItem", "ErasuresTable"),
        ("crash_after", "UpdateItem", "ErasuresTable"),
        ("timeout_after_apply", "UpdateItem", "ErasuresTable"),
        ("crash_before", "TransactWriteItems", "OutboxTable"),
        ("crash_after", "TransactWriteItems", "OutboxTable"),
        ("timeout_after_apply", "TransactWriteItems", "OutboxTable"),
        ("conflict", "TransactWriteItems", "OutboxTable"),
    ];
    for (number, (fault, operation, table)) in faults.into_iter().enumerate() {
        let erased = Erased::new(&tenure, &format!("test{number}"), &[("carrier", true)]).await;
        let rule = json!([{"fault": fault, "function": "ErasureAcknowledgeFunction", "operation": operation, "table": table, "nth": 1}]);
        tenure.send(tenure.request("POST", "/_local/faults").json(&rule)).await.ok();
        let first = erased.answer("carrier", done(5)).await;
        assert!([200, 500].contains(&first.status), "{fault} {operation}: {}", first.text);
        let again = erased.answer("carrier", done(5)).await.ok();
        assert_eq!(again["state"], "completed");
        let shown = erased.at("finished").await;
        assert_eq!(shown["receipts"].as_array().unwrap().len(), 2, "{fault} {operation}: {shown}");
        assert_eq!(tenure.count_events(&erased.id, "customer_erased").await, 2);
    }
}

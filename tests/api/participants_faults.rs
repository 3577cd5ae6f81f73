//! Erasures with participants of every kind, while three in ten calls fail on every hop. No answer is lost;
//! no receipt is final unless all required participants have answered or their answers are waived; and nobody
//! is asked after that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use sam_local::{Kept, Options};
use serde_json::{Value, json};
use shared::app::App;
use shared::domain::customer::Profile;
use shared::domain::digest::sha256;
use shared::domain::event::EventType;
use shared::domain::value::{FromText as _, PasswordHash};
use shared::domain::webhook::WebhookSecret;
use shared::domain::{Actor, Customer, FirstAdmin, Id, Login, Registration, Timestamp, Username};
use shared::platform::Clock;
use shared::store::customer::NewCustomer;

use crate::harness::{Answer, Tenure, quick, uncounted};
use crate::receipt::claims_of;
use crate::store::store;

/// How a participant behaves in these tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    /// Sends each answer three times at once.
    Duplicating,
    /// Sends `pending`, `in_progress` and `failed` before `completed`, and `pending` again after each of
    /// them.
    Slow,
    /// Sends `completed` twice, with different numbers of deleted items.
    Lying,
    /// Crashes after it has deleted its items, or before it learns that its answer was recorded.
    Crashing,
    /// Never answers.
    Dead,
}

/// The participants: name, behaviour, and whether each is required.
const PARTICIPANTS: [(&str, Kind, bool); 7] = [
    ("archive", Kind::Dead, true),
    ("billing", Kind::Duplicating, true),
    ("carrier", Kind::Good, true),
    ("crm", Kind::Lying, true),
    ("files", Kind::Slow, true),
    ("search", Kind::Crashing, true),
    ("tags", Kind::Dead, false),
];

/// Number of requests that a client has in flight.
const CONCURRENT: usize = 8;

/// Number of hourly scheduled runs after which the test fails if an erasure is still incomplete.
const MAX_RUNS: usize = 100;

/// A participant in the tests. It polls for accounts to erase, deletes their items, and sends its answers.
struct Participant {
    name: &'static str,
    kind: Kind,
    /// Token of its access key, which is bound to it.
    key: String,
    /// Number of items that it has deleted, by account. This log survives crashes.
    deleted: Mutex<HashMap<String, u64>>,
    /// How often it has handled each account.
    looks: Mutex<HashMap<String, u32>>,
    /// Number of items in its `completed` answer, by account; only for answers that it knows to be recorded.
    completed: Mutex<BTreeMap<String, u64>>,
}

/// A stack whose clients lose three calls in ten. In about half of the lost calls the request is lost, in the
/// others the response.
struct Faulty {
    tenure: Tenure,
    chance: AtomicU64,
    admin: String,
    is_over: AtomicBool,
}

impl Faulty {
    /// Returns `true` with a probability of `percent` per cent; the random numbers are xorshift64 (Marsaglia,
    /// 2003).
    fn is(&self, percent: u64) -> bool {
        let next = |mut state: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^ (state << 17)
        };
        let drawn = self
            .chance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(next(state)));
        next(drawn.unwrap()) % 100 < percent
    }

    /// Sends a request. `None` if the request or its response was lost, or if the status is 500 or above.
    async fn send(&self, token: &str, method: &str, path: &str, body: Value) -> Option<Answer> {
        if self.is(15) {
            return None;
        }
        let answer = match body {
            Value::Null => self.tenure.call(token, method, path).await,
            body => self.tenure.call_with(token, method, path, body).await,
        };
        assert!(answer.status >= 500 || [200, 409].contains(&answer.status), "{}", answer.text);
        (answer.status < 500 && !self.is(15)).then_some(answer)
    }

    /// Sends a request again and again until it gets a response.
    async fn insist(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        loop {
            if let Some(answer) = self.send(token, method, path, body.clone()).await {
                return answer;
            }
        }
    }

    /// Returns all open requests to a participant, read page by page.
    async fn requests(&self, token: &str, name: &str) -> Vec<Value> {
        let (mut requests, mut next) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1.0/participants/{name}/requests{next}");
            let page = self.insist(token, "GET", &path, &Value::Null).await.ok();
            requests.extend(page["result"].as_array().unwrap().iter().cloned());
            match page["next_page_token"].as_str() {
                Some(token) if !token.is_empty() => next = format!("?page_token={token}"),
                _ => return requests,
            }
        }
    }
}

impl Participant {
    fn new(name: &'static str, kind: Kind, key: String) -> Self {
        let (deleted, looks, completed) = Default::default();
        Self { name, kind, key, deleted, looks, completed }
    }

    async fn run(&self, stack: &Faulty) {
        while !stack.is_over.load(Ordering::Relaxed) && self.kind != Kind::Dead {
            let known: BTreeSet<_> = self.completed.lock().unwrap().keys().cloned().collect();
            let requests = stack.requests(&self.key, self.name).await;
            for request in &requests {
                let customer = request["customer_id"].as_str().unwrap();
                assert!(!known.contains(customer), "{} is asked after its answer", self.name);
            }
            let handled = stream::iter(requests).map(|request| self.handle(stack, request));
            handled.buffer_unordered(CONCURRENT).collect::<()>().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn handle(&self, stack: &Faulty, request: Value) {
        let customer = request["customer_id"].as_str().unwrap();
        let deleted = self.delete(customer);
        match self.kind {
            Kind::Dead => {}
            Kind::Good => self.complete(stack, customer, deleted).await,
            Kind::Duplicating => {
                join_all((0..3).map(|_| self.complete(stack, customer, deleted))).await;
            }
            Kind::Lying => {
                self.complete(stack, customer, deleted).await;
                self.complete(stack, customer, deleted + 100).await;
            }
            Kind::Crashing => {
                if stack.is(50) {
                    return;
                }
                let answer = self.answer(stack, customer, "completed", deleted).await;
                if stack.is(50) {
                    self.hear(customer, deleted, answer);
                }
            }
            Kind::Slow => {
                let look = *self.looks.lock().unwrap().get(customer).unwrap();
                let early = ["pending", "in_progress", "failed"].get(look as usize - 1);
                match early {
                    Some(status) => drop(self.answer(stack, customer, status, 0).await),
                    None => self.complete(stack, customer, deleted).await,
                }
                // An answer that was sent long ago arrives last.
                self.answer(stack, customer, "pending", 0).await;
            }
        }
    }

    /// Deletes the participant's items of an account. Returns their number: the same again if they were
    /// deleted before.
    fn delete(&self, customer: &str) -> u64 {
        *self.looks.lock().unwrap().entry(customer.to_owned()).or_default() += 1;
        let mut deleted = self.deleted.lock().unwrap();
        let count = 1 + deleted.len() as u64 % 7;
        *deleted.entry(customer.to_owned()).or_insert(count)
    }

    async fn complete(&self, stack: &Faulty, customer: &str, deleted: u64) {
        let answer = self.answer(stack, customer, "completed", deleted).await;
        self.hear(customer, deleted, answer);
    }

    async fn answer(
        &self,
        stack: &Faulty,
        customer: &str,
        status: &str,
        deleted: u64,
    ) -> Option<Answer> {
        let path = format!("/v1.0/erasures/{customer}/acknowledgements/{}", self.name);
        let body = json!({"status": status, "found": deleted, "deleted": deleted});
        stack.send(&self.key, "PUT", &path, body).await
    }

    /// Notes the response to a `completed` answer. Checks that no different answer was accepted before, and
    /// that only the lying participant is ever refused.
    fn hear(&self, customer: &str, deleted: u64, answer: Option<Answer>) {
        let Some(answer) = answer else { return };
        if answer.status == 200 {
            let mut completed = self.completed.lock().unwrap();
            let first = *completed.entry(customer.to_owned()).or_insert(deleted);
            assert_eq!(first, deleted, "two different answers of {} were taken", self.name);
        } else {
            assert_eq!(answer.refused(409), "ALREADY_ACKNOWLEDGED");
            assert_eq!(self.kind, Kind::Lying, "{} said the same", self.name);
        }
    }
}

/// Creates accounts directly in the store, without passwords; returns their ids.
async fn accounts(tenure: &Tenure, count: usize) -> Vec<String> {
    let start = Timestamp::from_micros(tenure.now().await.as_microsecond()).unwrap();
    let app = &App::new(store(tenure), Clock::showing(Arc::new(Mutex::new(start))));
    let create = async |number: usize| {
        let now = app.now();
        let username = Username::from_text(&format!("test{number}")).unwrap();
        let admin = FirstAdmin { id: app.new_id(now), username };
        let (profile, secret) = (Profile::default(), WebhookSecret::new(app.new_secret()));
        let id: Id<Customer> = app.new_id(now);
        let Registration { customer, admin } = Customer::register(id, profile, secret, admin, now);
        let login = Login::new(id, &admin, PasswordHash::stored(String::new()));
        let new =
            NewCustomer { customer: &customer, agent: &admin, login: &login, invitation: None };
        let created = EventType::CustomerCreated;
        let event = app.event(created, id, Vec::new(), Actor::BOOTSTRAP, now);
        app.store.insert_customer(&new, &event).await.unwrap();
        id.to_string()
    };
    stream::iter(0..count).map(create).buffer_unordered(CONCURRENT).collect().await
}

/// Registers the participants; returns each with an access key that is bound to it.
async fn register(tenure: &Tenure, admin: &str) -> Vec<Arc<Participant>> {
    let mut participants = Vec::new();
    for (name, kind, required) in PARTICIPANTS {
        let path = format!("/v1.0/participants/{name}");
        let body = json!({"required": required, "timeout": 7_200});
        tenure.call_with(admin, "PUT", &path, body).await.ok();
        let body = json!({"expire": 90 * 86_400, "participant": name});
        let key = tenure.call_with(admin, "POST", "/v1.0/accesskeys", body).await.ok();
        let key = key["token"].as_str().unwrap().to_owned();
        participants.push(Arc::new(Participant::new(name, kind, key)));
    }
    participants
}

async fn settle(tenure: &Tenure) {
    while !tenure.stack.settle().await {}
}

async fn run(tenure: &Tenure, schedule: &str) {
    let path = format!("/_local/schedules/{schedule}FunctionSchedule/run");
    // A run that a fault has killed does not fail the test.
    tenure.send(tenure.request("POST", &path)).await;
}

/// Returns the participant and the account of each erasure request among the events on the bus, starting with
/// the event at index `from`. Also returns the number of all events so far, with which the next call can
/// start.
fn questions(tenure: &Tenure, from: usize) -> (Vec<(String, String)>, usize) {
    let events = tenure.stack.events();
    let is_question = |seen: &&Value| seen["event"]["detail-type"] == "erasure_requested";
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let asked = events.iter().skip(from).filter(is_question).map(|seen| {
        let detail = &seen["event"]["detail"];
        (text(&detail["participant"]), text(&detail["customer_id"]))
    });
    (asked.collect(), events.len())
}

/// An account's items in the erasures table: the one that records its erasure, and for each participant the one that
/// records the requests to it and its answers.
#[derive(Default)]
struct Ledger {
    row: Value,
    parts: BTreeMap<String, Value>,
}

async fn ledgers(tenure: &Tenure) -> BTreeMap<String, Ledger> {
    let mut ledgers: BTreeMap<String, Ledger> = BTreeMap::new();
    for item in tenure.items("ErasuresTable").await {
        let Some(id) = item["customer_id"]["S"].as_str() else { continue };
        let ledger = ledgers.entry(id.to_owned()).or_default();
        match item["name"]["S"].as_str() {
            Some(name) => drop(ledger.parts.insert(name.to_owned(), item.clone())),
            None => ledger.row = item,
        }
    }
    ledgers
}

impl Ledger {
    fn is_complete(&self) -> bool {
        !self.row["tm_complete"].is_null()
    }

    /// Checks that only the last receipt is final, and that it shows an answer or a waiver for every required
    /// participant.
    fn check_receipts(&self) {
        let receipts = self.row["receipts"]["L"].as_array().unwrap();
        let receipts: Vec<_> = receipts.iter().map(|jws| jws["S"].as_str().unwrap()).collect();
        let claims: Vec<_> = receipts.iter().map(|jws| claims_of(jws)).collect();
        let finals: Vec<_> = claims.iter().map(|claims| claims["final"] == true).collect();
        match finals.as_slice() {
            [true] => assert!(claims[0]["supersedes"].is_null()),
            [false, true] => assert_eq!(claims[1]["supersedes"], sha256(receipts[0])),
            finals => panic!("{finals:?}"),
        }
        let participants = claims.last().unwrap()["covers"]["participants"].as_array().unwrap();
        assert_eq!(participants.len(), PARTICIPANTS.len());
        for (participant, (name, kind, required)) in participants.iter().zip(PARTICIPANTS) {
            assert_eq!(
                (&participant["name"], &participant["required"]),
                (&json!(name), &json!(required))
            );
            let state = match (kind, required) {
                (Kind::Dead, true) => "waived",
                (Kind::Dead, false) => "asked",
                _ => "completed",
            };
            assert_eq!(participant["state"], state, "{name}");
        }
    }
}

/// Waives the answers of the required participant that never answers, for all its open requests.
async fn waive(stack: &Faulty) {
    let requests = stack.requests(&stack.admin, "archive").await;
    let waive = async |request: &Value| {
        let path = format!("/v1.0/erasures/{}/waivers", request["customer_id"].as_str().unwrap());
        let body = json!({"participant": "archive", "reason": "Switched off in 2025"});
        stack.insist(&stack.admin, "POST", &path, &body).await.ok();
    };
    stream::iter(&requests).map(waive).buffer_unordered(CONCURRENT).collect::<()>().await;
}

/// Returns fault rules for the calls on every hop.
fn faults() -> Value {
    json!([
        {"fault": "crash_before", "probability": 0.001, "seed": 1},
        {"fault": "crash_after", "probability": 0.001, "seed": 2},
        {"fault": "timeout_after_apply", "probability": 0.001, "seed": 3},
        {"fault": "throttle", "probability": 0.15, "seed": 4},
        {"fault": "internal_error", "probability": 0.15, "seed": 5},
        {"fault": "conflict", "probability": 0.1, "seed": 6},
    ])
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how many is for the caller to say")]
async fn erasures_complete_with_participants_of_every_kind_under_faults() {
    let count = std::env::var("TENURE_ERASURES").map_or(40, |text| text.parse().expect("a number"));
    let mut options = quick(uncounted());
    options.parameters.insert("BreakerAccounts".to_owned(), "1000000".to_owned());
    let tenure = Tenure::start_with(Options {
        // Each server error shows all that are kept.
        kept: Kept { log_lines: 20, ..Kept::ALL },
        ..options
    })
    .await;
    let session = tenure.admin().await;
    let participants = register(&tenure, &session).await;
    let body = json!({"expire": 90 * 86_400});
    let admin = tenure.call_with(&session, "POST", "/v1.0/accesskeys", body).await.ok();
    let admin = admin["token"].as_str().unwrap().to_owned();
    let accounts = accounts(&tenure, count).await;

    tenure.send(tenure.request("POST", "/_local/faults").json(&faults())).await.ok();
    let (chance, is_over) = (AtomicU64::new(0x5eed), AtomicBool::new(false));
    let stack = Arc::new(Faulty { tenure, chance, admin, is_over });
    let clients: Vec<_> = participants
        .iter()
        .map(|participant| {
            let (stack, participant) = (Arc::clone(&stack), Arc::clone(participant));
            tokio::spawn(async move { participant.run(&stack).await })
        })
        .collect();
    let delete = async |id: &String| {
        let path = format!("/v1.0/customers/{id}");
        stack.insist(&stack.admin, "DELETE", &path, &Value::Null).await;
    };
    stream::iter(&accounts).map(delete).buffer_unordered(CONCURRENT).collect::<()>().await;

    let (tenure, mut seen) = (&stack.tenure, 0);
    for turn in 0.. {
        assert!(turn < MAX_RUNS, "not complete after {turn} hours");
        settle(tenure).await;
        seen = questions(tenure, seen).1;
        let answered: BTreeSet<(String, String)> = participants
            .iter()
            .flat_map(|one| {
                let completed = one.completed.lock().unwrap();
                completed.keys().map(|id| (one.name.to_owned(), id.clone())).collect::<Vec<_>>()
            })
            .collect();
        tenure.stack.advance_clock(3_600).await.unwrap();
        run(tenure, "PurgeRun").await;
        run(tenure, "ParticipantAsk").await;
        run(tenure, "OutboxPublish").await;
        settle(tenure).await;
        let asked = questions(tenure, seen).0;
        let again: Vec<_> = asked.iter().filter(|asked| answered.contains(asked)).collect();
        assert!(again.is_empty(), "asked after their answers: {again:?}");
        if turn >= 2 {
            waive(&stack).await;
        }
        let ledgers = ledgers(tenure).await;
        let complete =
            accounts.iter().filter(|id| ledgers.get(*id).is_some_and(Ledger::is_complete));
        let complete = complete.count();
        println!("hour {turn}: {complete} of {count} complete, {} asked", asked.len());
        if complete == count {
            break;
        }
    }
    stack.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }

    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
    for _ in 0..2 {
        run(tenure, "OutboxPublish").await;
        settle(tenure).await;
        tenure.stack.advance_clock(25 * 3_600).await.unwrap();
        run(tenure, "ParticipantAsk").await;
        settle(tenure).await;
    }
    let (asked, _) = questions(tenure, 0);
    println!("{} questions on the bus", asked.len());
    let ledgers = ledgers(tenure).await;
    for id in &accounts {
        let ledger = &ledgers[id];
        ledger.check_receipts();
        for participant in &participants {
            let part = &ledger.parts[participant.name];
            assert!(part["open_pk"].is_null(), "somebody is to look at {part}");
            if let Some(deleted) = participant.completed.lock().unwrap().get(id) {
                let recorded = &part["answer"]["M"];
                assert_eq!(recorded["status"]["S"], "completed");
                assert_eq!(recorded["deleted"]["N"], deleted.to_string(), "{}", participant.name);
            }
        }
    }
    let (_, end) = questions(tenure, 0);
    tenure.stack.advance_clock(3 * 86_400).await.unwrap();
    run(tenure, "ParticipantAsk").await;
    settle(tenure).await;
    assert_eq!(questions(tenure, end).0, [], "asked after the erasure was complete");
    check_events(tenure, &ledgers, &accounts);
}

/// Checks that one event announced each receipt of these accounts, however often the bus delivered that
/// event.
fn check_events(tenure: &Tenure, ledgers: &BTreeMap<String, Ledger>, accounts: &[String]) {
    let mut announced: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for seen in tenure.stack.events() {
        let event = &seen["event"];
        if event["detail-type"] == "customer_erased" {
            let text = |name: &str| event["detail"][name].as_str().unwrap().to_owned();
            announced.entry(text("customer_id")).or_default().insert(text("id"));
        }
    }
    for id in accounts {
        let receipts = ledgers[id].row["receipts"]["L"].as_array().unwrap().len();
        assert_eq!(announced[id].len(), receipts, "receipts that were announced");
    }
}

/// The function that records the last answer crashes before it signs the final receipt; the schedule signs
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn schedule_completes_an_erasure_whose_last_answer_has_not() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"required": true, "timeout": 86_400});
    tenure.call_with(&admin, "PUT", "/v1.0/participants/carrier", body).await.ok();
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    settle(&tenure).await;
    let crash = json!([{
        "fault": "crash_after",
        "function": "ErasureAcknowledgeFunction",
        "operation": "UpdateItem",
        "table": "ErasuresTable",
        "nth": 1,
    }]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&crash)).await.ok();
    let path = format!("/v1.0/erasures/{}/acknowledgements/carrier", account.id);
    let died = tenure.call_with(&admin, "PUT", &path, json!({"status": "completed"})).await;
    assert_eq!(died.status, 500, "{}", died.text);
    let read = async || ledgers(&tenure).await.remove(&account.id).unwrap();
    assert!(!read().await.parts["carrier"]["answer"].is_null());
    assert!(!read().await.is_complete());
    tenure.stack.advance_clock(3_600).await.unwrap();
    run(&tenure, "ParticipantAsk").await;
    let ledger = read().await;
    assert!(ledger.is_complete(), "{}", ledger.row);
    assert_eq!(ledger.row["receipts"]["L"].as_array().unwrap().len(), 2);
    assert_eq!(tenure.count_events(&account.id, "customer_erased").await, 2);
}

//! The states of an account (its status, who froze it, suspension, holds), and which requests each state
//! allows.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{PASSWORD, Tenure, contended, counted, new_customer, quick, uncounted};
use crate::receiver::{self, Arrival, Receiver};

/// A state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    FrozenByOwner,
    FrozenByOperator,
    /// Frozen by its owner, and afterwards by an operator as well.
    TakenOver,
    Suspended,
    SuspendedAndFrozen,
    Held,
    HeldAndFrozen,
    HeldAndSuspended,
    Deleted,
}

impl State {
    const ALL: [Self; 10] = [
        Self::Live,
        Self::FrozenByOwner,
        Self::FrozenByOperator,
        Self::TakenOver,
        Self::Suspended,
        Self::SuspendedAndFrozen,
        Self::Held,
        Self::HeldAndFrozen,
        Self::HeldAndSuspended,
        Self::Deleted,
    ];

    const fn is_suspended(self) -> bool {
        matches!(self, Self::Suspended | Self::SuspendedAndFrozen | Self::HeldAndSuspended)
    }

    const fn is_held(self) -> bool {
        matches!(self, Self::Held | Self::HeldAndFrozen | Self::HeldAndSuspended)
    }

    const fn is_frozen(self) -> bool {
        matches!(
            self,
            Self::FrozenByOwner
                | Self::FrozenByOperator
                | Self::TakenOver
                | Self::SuspendedAndFrozen
                | Self::HeldAndFrozen
        )
    }

    const fn is_frozen_by_operator(self) -> bool {
        matches!(self, Self::FrozenByOperator | Self::TakenOver)
    }
}

/// A column of the table of states in `infra/ENDPOINTS.md`: a kind of request on the caller's own account.
#[derive(Clone, Copy, Debug)]
enum Column {
    LogIn,
    Credentials,
    Read,
    Write,
    /// A write that would overwrite or delete what a hold preserves.
    Overwrite,
    Unregister,
    Leave,
    Recover,
}

type Outcome = (u16, &'static str);
const OK: Outcome = (200, "");
const FROZEN: Outcome = (403, "ACCOUNT_FROZEN");
const PRESERVED: Outcome = (409, "ACCOUNT_PRESERVED");

/// Returns a cell of the table: the response to this kind of request on an account in this state.
const fn expected(state: State, column: Column) -> Outcome {
    match (state, column) {
        (State::Deleted, _) => (401, "INVALID_CREDENTIALS"),
        (_, Column::LogIn | Column::Unregister) => OK,
        _ if state.is_suspended() => (403, "ACCOUNT_SUSPENDED"),
        (_, Column::Credentials) => OK,
        (_, Column::Leave | Column::Recover) if state.is_frozen_by_operator() => FROZEN,
        (_, Column::Read | Column::Write | Column::Overwrite) if state.is_frozen() => FROZEN,
        (_, Column::Recover) if !state.is_frozen() => (409, "STATE_INVALID"),
        (_, Column::Leave | Column::Overwrite) if state.is_held() => PRESERVED,
        _ => OK,
    }
}

/// An account with one item of each kind that the requests need, and its credentials.
struct Subject {
    id: String,
    username: String,
    session: String,
    key: String,
    key_id: String,
    agent: String,
    me: String,
    number: String,
}

impl Subject {
    async fn create(tenure: &Tenure, admin: &str, username: String) -> Self {
        // Without a webhook: nothing is delivered but what a test asks for.
        let mut body = new_customer(&username);
        body["webhook_uri"] = json!("");
        let account = tenure.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
        let session = tenure.login(&username, PASSWORD).await;
        let token = &session;
        let make =
            async |path: &str, body: Value| tenure.call_with(token, "POST", path, body).await.ok();
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        let key = make("/v1.0/accesskeys", json!({"expire": 86_400})).await;
        let other = json!({"username": format!("{username}-2"), "password": PASSWORD});
        let agent = make("/v1.0/agents", other).await;
        let number = make("/v1.0/numbers", json!({"name": "one"})).await;
        let me = tenure.call(token, "GET", "/v1.0/me").await.ok();
        Self {
            key: key["token"].as_str().unwrap().to_owned(),
            key_id: id(&key),
            agent: id(&agent),
            me: id(&me),
            number: id(&number),
            id: id(&account),
            username,
            session,
        }
    }

    /// Brings the account into a state; returns the time at which its deletion is due.
    async fn become_(&self, tenure: &Tenure, admin: &str, state: State) -> Value {
        let path = |below: &str| format!("/v1.0/customers/{}{below}", self.id);
        if matches!(
            state,
            State::FrozenByOwner
                | State::TakenOver
                | State::SuspendedAndFrozen
                | State::HeldAndFrozen
        ) {
            tenure.unregister(&self.session, json!({"password": PASSWORD})).await.ok();
        }
        if state.is_frozen_by_operator() {
            tenure.call(admin, "POST", &path("/freeze")).await.ok();
        }
        if state.is_suspended() {
            tenure.call(admin, "POST", &path("/suspend")).await.ok();
        }
        if state.is_held() {
            let reason = json!({"reason": "Case 7 of the court"});
            tenure.call_with(admin, "PUT", &path("/holds/case-7"), reason).await.ok();
        }
        if state == State::Deleted {
            tenure.call(admin, "DELETE", &path("")).await.ok();
        }
        tenure.call(admin, "GET", &path("")).await.ok()["tm_deletion_scheduled"].clone()
    }

    /// Returns requests on the account with their columns, ordered so that none prevents a later one.
    fn requests(&self) -> Vec<(Column, &'static str, String, Value)> {
        use Column::{Credentials, LogIn, Overwrite, Read, Write};
        let Self { agent, key_id, me, number, username, .. } = self;
        let name = || json!({"name": "changed"});
        let password = json!({"current_password": PASSWORD, "password": PASSWORD});
        vec![
            (
                LogIn,
                "POST",
                "/auth/login".into(),
                json!({"username": username, "password": PASSWORD}),
            ),
            (Read, "GET", "/v1.0/me".into(), Value::Null),
            (Read, "GET", "/v1.0/customer".into(), Value::Null),
            (Read, "GET", "/v1.0/accesskeys".into(), Value::Null),
            (Read, "GET", format!("/v1.0/agents/{agent}"), Value::Null),
            (Read, "GET", format!("/v1.0/numbers/{number}"), Value::Null),
            (Write, "POST", "/v1.0/numbers".into(), json!({})),
            (Write, "PUT", "/v1.0/customer/metadata".into(), json!({"rtp_debug": true})),
            (Write, "POST", "/v1.0/customer/webhook_secret/rotate".into(), json!({})),
            (Write, "POST", "/v1.0/accesskeys".into(), json!({"expire": 86_400})),
            (Write, "PUT", format!("/v1.0/accesskeys/{key_id}"), name()),
            (Overwrite, "PUT", "/v1.0/customer".into(), name()),
            (Overwrite, "PUT", format!("/v1.0/numbers/{number}"), name()),
            (Overwrite, "DELETE", format!("/v1.0/numbers/{number}"), Value::Null),
            (Overwrite, "PUT", format!("/v1.0/agents/{agent}"), name()),
            (
                Overwrite,
                "PUT",
                format!("/v1.0/agents/{agent}/permission"),
                json!({"permission": 64}),
            ),
            (Overwrite, "DELETE", format!("/v1.0/agents/{agent}"), Value::Null),
            (Credentials, "DELETE", format!("/v1.0/accesskeys/{key_id}"), Value::Null),
            (Credentials, "PUT", format!("/v1.0/agents/{me}/password"), password),
            (Credentials, "POST", "/auth/logout".into(), Value::Null),
        ]
    }
}

/// Sends a request and checks its response against the table of states. All requests but a log-in have the
/// account's session.
async fn check(
    tenure: &Tenure,
    subject: &Subject,
    state: State,
    (column, method, path, body): &(Column, &'static str, String, Value),
) -> Value {
    let request = tenure.request(method, path);
    let request = match column {
        Column::LogIn => request,
        _ => request.bearer(&subject.session),
    };
    let request = if body.is_null() { request } else { request.json(body) };
    let answer = tenure.send(request).await;
    let outcome = (answer.status, answer.body["error"]["reason"].as_str().unwrap_or_default());
    let context = format!("{state:?}: {column:?}, {method} {path}: {}", answer.text);
    assert_eq!(outcome, expected(state, *column), "{context}");
    let details = &answer.body["error"]["details"][0];
    let message = answer.message().to_lowercase();
    match outcome {
        FROZEN => {
            let leads_back = details["recovery_endpoint"].is_string();
            assert_eq!(leads_back, !state.is_frozen_by_operator(), "{context}");
            assert!(details["deletion_effective_at"].is_string(), "{context}");
        }
        // The owner must not learn of the hold, its reason, or the operators' routes.
        PRESERVED => {
            assert!(details.is_null(), "{context}");
            for word in ["hold", "held", "case", "court", "operator", "/customers"] {
                assert!(!message.contains(word), "{word}: {context}");
            }
        }
        _ => {}
    }
    answer.body
}

/// Sends every kind of request in every state, and compares the responses with the table in
/// `infra/ENDPOINTS.md`.
#[tokio::test(flavor = "multi_thread")]
async fn each_state_lets_through_what_the_table_says() {
    let tenure = &Tenure::start_with(quick(uncounted())).await;
    let admin = &tenure.admin().await;
    for (number, state) in State::ALL.into_iter().enumerate() {
        let subject = async |what: &str| {
            let subject = Subject::create(tenure, admin, format!("{what}-{number}")).await;
            let due = subject.become_(tenure, admin, state).await;
            (subject, due)
        };
        let (first, _) = subject("stays").await;
        for request in first.requests() {
            check(tenure, &first, state, &request).await;
        }

        let leave =
            json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        for (column, method, body) in [
            (Column::Unregister, "POST", json!({"password": PASSWORD})),
            (Column::Leave, "POST", leave),
            (Column::Recover, "DELETE", Value::Null),
        ] {
            let (one, due) = subject(&format!("{column:?}").to_lowercase()).await;
            let request = (column, method, "/auth/unregister".to_owned(), body);
            let answer = check(tenure, &one, state, &request).await;
            if state.is_frozen() && matches!(column, Column::Unregister) {
                assert_eq!(answer["tm_deletion_scheduled"], due, "{state:?}: the date stays");
            }
        }
    }
}

/// An owner cannot recover an account that an operator has frozen, neither with a session nor with an access
/// key.
#[tokio::test(flavor = "multi_thread")]
async fn an_operators_freeze_is_undone_by_operators_only() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for state in [State::FrozenByOperator, State::TakenOver] {
        let subject = Subject::create(&tenure, &admin, format!("{state:?}").to_lowercase()).await;
        let path = |below: &str| format!("/v1.0/customers/{}{below}", subject.id);
        let due = subject.become_(&tenure, &admin, state).await;
        for token in [&subject.session, &subject.key] {
            let refused = tenure.call(token, "DELETE", "/auth/unregister").await;
            assert_eq!(refused.refused(403), "ACCOUNT_FROZEN", "{state:?}");
        }
        let account = tenure.call(&admin, "GET", &path("")).await.ok();
        assert_eq!(
            (&account["status"], &account["tm_deletion_scheduled"]),
            (&json!("frozen"), &due)
        );
        let ledger = tenure.call(&admin, "GET", &path("/erasure")).await.ok();
        assert_eq!((&ledger["reason"], &ledger["tm_due"]), (&json!("freeze"), &due), "{state:?}");
        tenure.call(&admin, "POST", &path("/recover")).await.ok();
        tenure.call(&subject.key, "GET", "/v1.0/accesskeys").await.ok();
        // If the owner has frozen the account since then, the owner can recover it.
        tenure.unregister(&subject.session, json!({"password": PASSWORD})).await.ok();
        tenure.call(&subject.session, "DELETE", "/auth/unregister").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_restores_the_state_before_and_emits_one_event() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let subject = Subject::create(&tenure, &admin, "test1".into()).await;
    let path = |below: &str| format!("/v1.0/customers/{}{below}", subject.id);
    let before = tenure.call(&admin, "GET", &path("")).await.ok();
    for _ in 0..2 {
        let suspended = tenure.call(&admin, "POST", &path("/suspend")).await.ok();
        assert_eq!(suspended, before, "the 17 fields of the account stay");
    }
    for token in [&subject.session, &subject.key] {
        let refused = tenure.call(token, "GET", "/v1.0/me").await;
        assert_eq!(refused.refused(403), "ACCOUNT_SUSPENDED");
    }
    // Operators can still change the account.
    let number = format!("/v1.0/numbers/{}?customer_id={}", subject.number, subject.id);
    tenure.call_with(&admin, "PUT", &number, json!({"name": "seized"})).await.ok();
    for _ in 0..2 {
        assert_eq!(tenure.call(&admin, "POST", &path("/resume")).await.ok(), before);
    }
    for token in [&subject.session, &subject.key] {
        tenure.call(token, "GET", "/v1.0/me").await.ok();
    }
    for name in ["customer_suspended", "customer_resumed"] {
        assert_eq!(tenure.count_events(&subject.id, name).await, 1, "{name}");
    }

    let own = "/v1.0/customers/00000000-0000-0000-0000-000000000002/suspend";
    assert_eq!(tenure.call(&admin, "POST", own).await.refused(409), "LAST_PROJECT_ADMIN");
    tenure.call(&admin, "DELETE", &path("")).await.ok();
    let deleted = tenure.call(&admin, "POST", &path("/suspend")).await;
    assert_eq!(deleted.refused(409), "STATE_INVALID");
}

/// The owner of an account under a hold cannot delete or overwrite what it preserves, and learns nothing of
/// the hold, not even from webhooks.
#[tokio::test(flavor = "multi_thread")]
async fn holds_add_up_preserve_and_are_hidden_from_the_owner() {
    let (tenure, receiver) = (receiver::tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let subject = Subject::create(&tenure, &admin, "test1".into()).await;
    let path = |below: &str| format!("/v1.0/customers/{}{below}", subject.id);
    let hook = json!({"webhook_uri": receiver.url("/hook"), "webhook_method": "POST"});
    tenure.call_with(&admin, "PUT", &path(""), hook).await.ok();
    for (below, reason) in [("/hold", "Case 7"), ("/holds/case-8", "Case 8")] {
        tenure.call_with(&admin, "PUT", &path(below), json!({"reason": reason})).await.ok();
    }
    let names = async || {
        let holds = tenure.call(&admin, "GET", &path("/holds")).await.ok();
        let holds = holds["result"].as_array().unwrap().clone();
        holds.iter().map(|hold| hold["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["case-8", "default"]);

    // A hold also binds operators, whose responses give the reason.
    let number = format!("/v1.0/numbers/{}?customer_id={}", subject.number, subject.id);
    for refused in [
        tenure.call(&admin, "DELETE", &number).await,
        tenure.call_with(&admin, "PUT", &number, json!({"name": "x"})).await,
        tenure.call_with(&admin, "PUT", &path(""), json!({"name": "x"})).await,
        tenure.call(&admin, "DELETE", &path("")).await,
    ] {
        assert_eq!(refused.refused(409), "LEGAL_HOLD");
        let holds = &refused.body["error"]["details"][0]["holds"];
        assert_eq!((&holds[0]["name"], &holds[1]["name"]), (&json!("case-8"), &json!("default")));
        assert_eq!(holds[0]["by"]["role"], "project_admin");
    }
    let own = format!("/v1.0/numbers/{}", subject.number);
    let preserved = async || tenure.call(&subject.session, "DELETE", &own).await;
    assert_eq!(preserved().await.refused(409), "ACCOUNT_PRESERVED");
    tenure.call(&admin, "DELETE", &path("/hold")).await.ok();
    assert_eq!(names().await, ["case-8"]);
    assert_eq!(preserved().await.refused(409), "ACCOUNT_PRESERVED");
    // Lifting a hold that does not exist succeeds.
    tenure.call(&admin, "DELETE", &path("/holds/nobody")).await.ok();
    tenure.call(&admin, "DELETE", &path("/holds/case-8")).await.ok();
    preserved().await.ok();

    assert_eq!(tenure.count_events(&subject.id, "customer_held").await, 2);
    assert_eq!(tenure.count_events(&subject.id, "customer_released").await, 2);
    let arrivals = receiver.arrivals("/hook");
    let told: Vec<_> = arrivals.iter().map(Arrival::json).collect();
    let types: Vec<_> = told.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert!(types.contains(&"number_deleted") && types.contains(&"customer_updated"), "{types:?}");
    assert!(!types.iter().any(|name| ["customer_held", "customer_released"].contains(name)));
    let mut numbers: Vec<_> = told.iter().map(|one| one["sequence"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    let first = numbers[0];
    let gapless: Vec<_> = (first..).take(numbers.len()).collect();
    assert_eq!(numbers, gapless, "the owner misses no number");
    let log = tenure.call(&subject.session, "GET", "/v1.0/webhook_deliveries").await.ok();
    assert!(!log.to_string().contains("customer_held"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_names_have_a_form_and_a_limit() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let hold = async |name: &str| {
        let path = format!("/v1.0/customers/{}/holds/{name}", account.id);
        tenure.call_with(&admin, "PUT", &path, json!({"reason": "Case 7"})).await
    };
    for name in ["Case-7", "-case", "case-", "case_7", "case.7", &"x".repeat(41)] {
        let refused = hold(name).await;
        assert_eq!(refused.refused(400), "INVALID_REQUEST_PARAMETER", "{name}");
        assert_eq!(refused.body["error"]["details"][0]["field"], "name");
    }
    for number in 0..20 {
        hold(&format!("case-{number}")).await.ok();
    }
    assert_eq!(hold("one-more").await.refused(409), "TOO_MANY_HOLDS");
    hold("case-7").await.ok();
}

/// Returns the names of the milestones in the timeline of an account's overview.
fn milestones(overview: &Value) -> Vec<&str> {
    let timeline = overview["timeline"].as_array().unwrap();
    timeline.iter().map(|entry| entry["milestone"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_shows_the_state_of_an_account() {
    let (tenure, receiver) = (receiver::tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let subject = Subject::create(&tenure, &admin, "test1".into()).await;
    let path = |below: &str| format!("/v1.0/customers/{}{below}", subject.id);
    let overview = async || tenure.call(&admin, "GET", &path("/overview")).await.ok();
    let new = overview().await;
    assert_eq!(new["timeline"], json!([]));
    assert_eq!(new["status"], "initial");
    assert_eq!(new["resources"], json!({"agents": 2, "accesskeys": 1, "numbers": 1}));
    assert_eq!((&new["admins"], &new["email_verified"]), (&json!(1), &json!(false)));
    assert!(new["tm_last_login"].is_string(), "{new}");
    for absent in ["stage", "reason", "requested_by", "suspension", "tm_deletion_scheduled"] {
        assert_eq!(new[absent], Value::Null, "{absent}");
    }
    assert_eq!((&new["holds"], &new["failing_webhooks"]), (&json!([]), &json!(0)));

    receiver.answer(500);
    let hook = json!({"webhook_uri": receiver.url("/hook"), "webhook_method": "POST"});
    tenure.call_with(&admin, "PUT", &path(""), hook).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(overview().await["failing_webhooks"], 1);

    let number = format!("/v1.0/numbers/{}", subject.number);
    tenure.call(&subject.session, "DELETE", &number).await.ok();
    tenure.unregister(&subject.session, json!({"password": PASSWORD})).await.ok();
    let reason = json!({"reason": "Case 7"});
    tenure.call_with(&admin, "PUT", &path("/holds/case-7"), reason).await.ok();
    tenure.call(&admin, "POST", &path("/suspend")).await.ok();
    let held = overview().await;
    assert_eq!(milestones(&held), ["requested"]);
    assert_eq!((&held["status"], &held["stage"]), (&json!("frozen"), &json!("held")));
    assert_eq!(
        (&held["reason"], &held["frozen_by_operator"]),
        (&json!("unregister"), &json!(false))
    );
    assert_eq!(held["requested_by"]["role"], "customer_admin");
    assert_eq!(held["holds"][0]["name"], "case-7");
    assert_eq!(held["suspension"]["by"]["role"], "project_admin");
    assert_eq!(held["resources"], json!({"agents": 2, "accesskeys": 1}));
    assert!(held["tm_deletion_scheduled"].is_string());

    tenure.call(&admin, "DELETE", &path("/holds/case-7")).await.ok();
    let due = overview().await;
    assert_eq!(milestones(&due), ["requested", "due", "backups_end"]);
    assert_eq!(due["timeline"][1]["tm"], due["tm_deletion_scheduled"]);
    tenure.call(&admin, "DELETE", &path("")).await.ok();
    assert!(tenure.stack.settle().await);
    let gone = overview().await;
    let done = ["requested", "due", "deleted", "finished", "backups_end"];
    assert_eq!(milestones(&gone), done);
    assert_eq!((&gone["status"], &gone["stage"]), (&json!("deleted"), &json!("finished")));
    assert_eq!((&gone["resources"], &gone["tm_last_login"]), (&json!({}), &Value::Null));
    assert_eq!((&gone["reason"], &gone["suspension"]), (&json!("delete"), &Value::Null));
}

/// Writes are in progress when the account is suspended or put under a hold: none of them succeeds after
/// that.
#[tokio::test(flavor = "multi_thread")]
async fn no_write_under_way_succeeds_after_a_suspension_or_a_hold() {
    // A write that conflicts with another transaction is retried on the account as it is then.
    let tenure = Arc::new(Tenure::start_with(contended(counted())).await);
    let admin = tenure.admin().await;
    for (round, below) in
        ["/suspend", "/holds/case-7", "/suspend", "/holds/case-7"].iter().enumerate()
    {
        let subject = Subject::create(&tenure, &admin, format!("test{round}")).await;
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (tenure, session) = (Arc::clone(&tenure), subject.session.clone());
            let number = format!("/v1.0/numbers/{}", subject.number);
            writers.spawn(async move {
                loop {
                    let name = json!({"name": "changed"});
                    let answer = tenure.call_with(&session, "PUT", &number, name).await;
                    match answer.body["error"]["reason"].as_str() {
                        None => {}
                        Some("ACCOUNT_SUSPENDED" | "ACCOUNT_PRESERVED") => break,
                        Some(other) => panic!("{other}"),
                    }
                }
            });
        }
        let path = format!("/v1.0/customers/{}{below}", subject.id);
        if below.ends_with("suspend") {
            tenure.call(&admin, "POST", &path).await.ok();
        } else {
            tenure.call_with(&admin, "PUT", &path, json!({"reason": "Case 7"})).await.ok();
        }
        // From here on, no write may succeed.
        let after = item(&tenure, &subject).await;
        writers.join_all().await;
        assert_eq!(item(&tenure, &subject).await, after, "{below}");
    }
}

async fn item(tenure: &Tenure, subject: &Subject) -> Option<Value> {
    let items = tenure.items("AccountsTable").await;
    items.into_iter().find(|item| item["sk"]["S"] == format!("NUMBER#{}", subject.number))
}

//! Mail to account owners: when it is sent, what it says, and what remains stored of it.

use serde_json::{Value, json};
use shared::domain::digest::sha256;

use crate::harness::{Account, PASSWORD, Template, Tenure, options_with};

const SCHEDULE: &str = "/_local/schedules/MailSendFunctionSchedule/run";

/// Returns the real template, edited so that mail waits in the outbox until the schedule sends it. Unedited,
/// the outbox's stream would have it sent at once.
pub(crate) fn by_schedule() -> Template {
    Template::edited(without_stream)
}

/// Returns a template's text without the stream that invokes the mail sender, so that only the schedule sends
/// mail.
pub(crate) fn without_stream(text: String) -> String {
    let (before, function) = text.split_once("  MailSendFunction:").unwrap();
    let (events, after) = function.split_once("        Outbox:\n").unwrap();
    let (_, schedule) = after.split_once("        Schedule:\n").unwrap();
    format!("{before}  MailSendFunction:{events}        Schedule:\n{schedule}")
}

impl Tenure {
    /// Starts a stack in which only the schedule sends mail.
    async fn start_by_schedule() -> Self {
        Self::start_with(by_schedule().options()).await
    }

    /// Creates an account, and verifies its e-mail address as an operator.
    pub(crate) async fn verified(&self, admin: &str, username: &str) -> Account {
        let account = self.account(admin, username).await;
        let path = format!("/v1.0/customers/{}/verification", account.id);
        self.call_with(admin, "PUT", &path, json!({"email_verified": true})).await.ok();
        account
    }

    /// Runs the schedule that sends the mail that is due; returns its result.
    async fn send_mail(&self) -> Value {
        self.send(self.request("POST", SCHEDULE)).await.ok()
    }

    /// Invokes the mail sender for one outbox entry, as the stream does when the entry is written.
    pub(crate) async fn send_mail_of(&self, id: &str) {
        let record = json!({"dynamodb": {"Keys": {"id": {"S": id}}, "SequenceNumber": "1"}});
        let path = "/2015-03-31/functions/MailSendFunction/invocations";
        self.send(self.request("POST", path).json(&json!({"Records": [record]}))).await.ok();
    }

    /// Returns the subjects of the messages to an address, oldest first.
    async fn subjects(&self, address: &str) -> Vec<String> {
        let mail = self.send(self.request("GET", "/_local/mail")).await.ok();
        let mail = mail["mail"].as_array().unwrap();
        let own = mail.iter().filter(|message| message["to"] == json!([address]));
        own.map(|message| message["subject"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the mail that waits in the outbox.
    async fn waiting_mail(&self) -> Vec<Value> {
        let items = self.items("OutboxTable").await;
        items
            .into_iter()
            .filter(|item| item["id"]["S"].as_str().unwrap().starts_with("MAIL#"))
            .collect()
    }

    async fn ask_to_sign_up(&self, address: &str) {
        let body = json!({"email": address, "accepted_tos": true});
        self.send(self.request("POST", "/auth/signup").json(&body)).await.ok();
    }

    async fn leave(&self, account: &Account) {
        self.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    }
}

const FROZEN: &str = "Your account is frozen and will be deleted";
const WEEK: &str = "Your account will be deleted in a week";
const DAY: &str = "Your account will be deleted tomorrow";
const RECOVERED: &str = "Your account was recovered";
const ERASED: &str = "Your account was deleted: the receipt";

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_leaves_gets_three_notices_and_a_last_mail_with_the_receipt() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let to = "test1@example.com";
    tenure.leave(&account).await;
    // No mail emits an event, and no waiting mail has the address.
    assert_eq!(tenure.events_of(&account.id).await.len(), 3);
    let waiting = tenure.waiting_mail().await;
    assert_eq!(waiting.len(), 3);
    assert!(waiting.iter().all(|entry| entry["mail_to"].is_null()), "{waiting:?}");
    tenure.send_mail().await;
    assert_eq!(tenure.subjects(to).await, [FROZEN]);
    tenure.advance_days(22).await;
    assert_eq!(tenure.subjects(to).await, [FROZEN]);
    tenure.advance_days(1).await;
    tenure.advance_days(6).await;
    tenure.send_mail().await;
    assert_eq!(tenure.subjects(to).await, [FROZEN, WEEK, DAY]);

    tenure.advance_days(2).await;
    tenure
        .send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run"))
        .await
        .ok();
    tenure.stack.advance_clock(600).await.unwrap();
    assert_eq!(tenure.subjects(to).await, [FROZEN, WEEK, DAY, ERASED]);
    let mail = tenure.stack.mail();
    let last = mail.last().unwrap();
    // The operator's session has expired meanwhile.
    let admin = tenure.admin().await;
    let path = format!("/v1.0/customers/{}/erasure", account.id);
    let erasure = tenure.call(&admin, "GET", &path).await.ok();
    let receipt = erasure["receipt"].as_str().unwrap();
    for part in ["text", "html"] {
        let part = last[part].as_str().unwrap();
        assert!(part.contains(receipt) && part.contains(&account.id), "{part}");
    }
    // No mail is left waiting, and none is sent later.
    assert!(tenure.waiting_mail().await.is_empty());
    tenure.advance_days(8).await;
    assert_eq!(tenure.stack.mail().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_address_waits_sealed_for_a_day_at_most() {
    let tenure = Tenure::start_with(without_purge(&by_schedule())).await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    tenure.call(&admin, "DELETE", &path).await.ok();
    let [entry] = tenure.waiting_mail().await.try_into().unwrap();
    assert_eq!(entry["mail_to"]["S"], "test1@example.com");
    let run = tenure.send_mail().await;
    assert_eq!((&run["waiting"], &run["sent"]), (&json!(1), &json!(0)), "{run}");
    tenure.advance_days(1).await;
    tenure.send_mail().await;
    assert!(tenure.waiting_mail().await.is_empty());
    assert!(tenure.stack.mail().is_empty());
}

/// Returns options for `template` with mail on and the purge off.
fn without_purge(template: &Template) -> sam_local::Options {
    let mut options = template.options();
    options.parameters.insert("PurgeEnabled".to_owned(), "false".to_owned());
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_or_a_hold_drops_reminders() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let (back, kept) =
        (tenure.verified(&admin, "back").await, tenure.verified(&admin, "kept").await);
    for account in [&back, &kept] {
        tenure.leave(account).await;
    }
    tenure.send_mail().await;
    tenure.call(&back.token, "DELETE", "/auth/unregister").await.ok();
    let hold = format!("/v1.0/customers/{}/hold", kept.id);
    tenure.call_with(&admin, "PUT", &hold, json!({"reason": "Case 7 of the court"})).await.ok();
    for _ in 0..31 {
        tenure.advance_days(1).await;
    }
    assert_eq!(tenure.subjects("back@example.com").await, [FROZEN, RECOVERED]);
    assert_eq!(tenure.subjects("kept@example.com").await, [FROZEN]);
    assert!(tenure.waiting_mail().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_address_gets_no_notice_and_a_former_one_gets_the_change() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let unverified = tenure.account(&admin, "test1").await;
    tenure.leave(&unverified).await;
    assert!(tenure.waiting_mail().await.is_empty());

    let account = tenure.verified(&admin, "test2").await;
    let body = json!({"email": "other@example.com"});
    let path = format!("/v1.0/customers/{}", account.id);
    tenure.call_with(&admin, "PUT", &path, body).await.ok();
    assert_eq!(tenure.waiting_mail().await[0]["mail_to"]["S"], "test2@example.com");
    tenure.send_mail().await;
    let told = tenure.subjects("test2@example.com").await;
    assert_eq!(told, ["Your account has another e-mail address"]);
    let asked = tenure.subjects("other@example.com").await;
    assert_eq!(asked, ["Confirm the address of your account"]);
    assert!(tenure.waiting_mail().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_runs_send_a_message_once() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    tenure.leave(&account).await;
    // The address of this account is not verified yet.
    tenure.account(&admin, "test2").await;
    let runs = (0..8).map(|_| tenure.send_mail());
    futures_util::future::join_all(runs).await;
    assert_eq!(tenure.subjects("test1@example.com").await, [FROZEN]);
    let asked = tenure.subjects("test2@example.com").await;
    assert_eq!(asked, ["Confirm the address of your account"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_sending_sends_once_more() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    // Mail that was requested while the address was not verified is dropped.
    tenure.send_mail().await;
    tenure.leave(&account).await;
    let crash = json!([{"fault": "crash_before", "function": "MailSendFunction", "operation": "DeleteItem", "nth": 1}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&crash)).await.ok();
    // The process is killed before it can say what it has done.
    tenure.send(tenure.request("POST", SCHEDULE)).await;
    assert_eq!(tenure.subjects("test1@example.com").await, [FROZEN]);
    for _ in 0..5 {
        tenure.stack.advance_clock(3600).await.unwrap();
    }
    assert_eq!(tenure.subjects("test1@example.com").await, [FROZEN, FROZEN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_mail_is_tried_six_times_and_given_up() {
    let template = Template::edited(|text| {
        without_stream(text).replace("Action: [ses:SendEmail]", "Action: [ses:GetAccount]")
    });
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}/suspend", account.id);
    tenure.call(&admin, "POST", &path).await.ok();
    tenure.send_mail().await;
    for (made, wait) in [60, 300, 1800, 7200, 21_600].into_iter().enumerate() {
        // Before the next attempt is due, the mail is not tried again.
        tenure.send_mail().await;
        let attempts = (made + 1).to_string();
        assert_eq!(tenure.waiting_mail().await[0]["attempts"]["N"], attempts);
        tenure.stack.advance_clock(wait).await.unwrap();
        assert!(tenure.stack.settle().await);
    }
    let logs = tenure.stack.logs();
    let refusals = logs.iter().filter(|line| line.contains("mail not sent"));
    let refusals: Vec<_> = refusals.collect();
    assert_eq!(refusals.len(), 6, "{refusals:?}");
    assert!(refusals[0].contains("AccessDeniedException"), "{}", refusals[0]);
    assert!(logs.iter().any(|line| line.contains(r#""MailGivenUp":1"#)));
    assert!(tenure.waiting_mail().await.is_empty());
    assert!(tenure.stack.mail().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sender_nothing_is_written_or_run() {
    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    tenure.leave(&account).await;
    assert!(tenure.waiting_mail().await.is_empty());
    let moved = tenure.advance_days(1).await;
    assert!(moved["schedules"]["MailSendFunctionSchedule"].is_null(), "{moved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_notified_of_a_suspension_a_new_password_and_an_admin_key() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let key = json!({"expire": 86_400, "permission": 64});
    tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", key).await.ok();
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    assert!(tenure.waiting_mail().await.is_empty(), "it does not administer");

    tenure.access_key(&account.token).await;
    let path = format!("/v1.0/agents/{}/password", me["id"].as_str().unwrap());
    let password = json!({"current_password": PASSWORD, "password": "another long password"});
    tenure.call_with(&account.token, "PUT", &path, password).await.ok();
    let path = format!("/v1.0/customers/{}/suspend", account.id);
    tenure.call(&admin, "POST", &path).await.ok();
    tenure.send_mail().await;
    let mut told = tenure.subjects("test1@example.com").await;
    told.sort();
    let expected = [
        "A password of your account was changed",
        "An access key with admin rights was created",
        "Your account was suspended",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_sends_what_is_due_without_waiting_for_the_schedule() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}/suspend", account.id);
    tenure.call(&admin, "POST", &path).await.ok();
    let mail = tenure.mail_to("test1@example.com").await;
    let told = mail.iter().any(|message| message["subject"] == "Your account was suspended");
    assert!(told, "{mail:?}");
}

/// Whether an item marks an e-mail address as undeliverable.
fn is_mark(row: &Value) -> bool {
    row["pk"]["S"].as_str().unwrap().starts_with("UNDELIVERABLE#")
}

/// Creates an account with this e-mail address, and verifies it as an operator.
async fn with_address(tenure: &Tenure, admin: &str, username: &str, address: &str) -> Account {
    let account = tenure.account(admin, username).await;
    let path = format!("/v1.0/customers/{}", account.id);
    tenure.call_with(admin, "PUT", &path, json!({"email": address})).await.ok();
    let verification = format!("{path}/verification");
    tenure.call_with(admin, "PUT", &verification, json!({"email_verified": true})).await.ok();
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_bounced_or_complained_gets_no_more_mail_until_an_operator_verifies_it() {
    let tenure = Tenure::start_by_schedule().await;
    let admin = tenure.admin().await;
    for (reason, days) in [("bounced", 90), ("complained", 365)] {
        let name = if reason == "bounced" { "bounce" } else { "complaint" };
        let address = format!("{name}@simulator.amazonses.com");
        let account = with_address(&tenure, &admin, name, &address).await;
        let path = format!("/v1.0/customers/{}", account.id);
        let overview = || tenure.call(&admin, "GET", format!("{path}/overview").leak());
        let resume_and_suspend = async || {
            tenure.call(&admin, "POST", &format!("{path}/resume")).await;
            tenure.call(&admin, "POST", &format!("{path}/suspend")).await.ok();
            tenure.send_mail().await
        };
        assert_eq!(overview().await.ok()["mail"], json!({"undeliverable": null}));
        resume_and_suspend().await;
        assert!(tenure.stack.settle().await);
        assert_eq!(tenure.subjects(&address).await.len(), 1, "{reason}");
        let undeliverable = &overview().await.ok()["mail"]["undeliverable"];
        assert_eq!(undeliverable["reason"], reason);

        // Only a hash of the address is stored, in an item that expires.
        let rows = tenure.items("AccountsTable").await;
        let pk = format!("UNDELIVERABLE#{}", sha256(&address));
        let of = |row: &&Value| row["pk"]["S"] == pk.as_str();
        let row = rows.iter().find(of).unwrap();
        let mut names: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["expires_at", "pk", "reason", "sk", "tm"]);
        let expires_at: i64 = row["expires_at"]["N"].as_str().unwrap().parse().unwrap();
        let left = expires_at - tenure.now().await.as_second();
        assert!((left - days * 86_400).abs() < 60, "{left}");

        let run = resume_and_suspend().await;
        assert_eq!((&run["suppressed"], &run["sent"]), (&json!(1), &json!(0)), "{run}");
        assert_eq!(tenure.subjects(&address).await.len(), 1, "{reason}");
        assert!(tenure.waiting_mail().await.is_empty());

        let verification = json!({"email_verified": true});
        let path = format!("{path}/verification");
        tenure.call_with(&admin, "PUT", &path, verification).await.ok();
        assert_eq!(overview().await.ok()["mail"], json!({"undeliverable": null}));
        let run = resume_and_suspend().await;
        assert_eq!(run["sent"], 1, "{run}");
    }
    let logs = tenure.stack.logs();
    assert!(logs.iter().any(|line| line.contains(r#""MailBounced":1"#)));
    assert!(logs.iter().any(|line| line.contains(r#""MailComplained":1"#)));
    assert!(logs.iter().any(|line| line.contains(r#""MailSuppressed":1"#)));
    assert!(!logs.iter().any(|line| line.contains("amazonses")), "an address is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_application_stops_no_mail_and_a_full_mailbox_neither() {
    let tenure = Tenure::start().await;
    let path = "/2015-03-31/functions/MailFeedbackFunction/invocations";
    let recipients = json!([{"emailAddress": "ann@example.com"}]);
    let bounce = json!({"bounceType": "Transient", "bouncedRecipients": recipients});
    let event = json!({"source": "aws.ses", "detail": {"bounce": bounce}});
    tenure.send(tenure.request("POST", path).json(&event)).await.ok();
    let rows = tenure.items("AccountsTable").await;
    assert!(!rows.iter().any(is_mark));
    let text = Template::text();
    let rule = text.split("  MailFeedbackFunction:").nth(1).unwrap();
    let rule = rule.split("RetryPolicy").next().unwrap();
    assert!(rule.contains(r#"tags: {"ses:configuration-set": [!Sub "tenure-${Stage}"]}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_beyond_the_hourly_limit_waits_for_the_next_hour_and_none_is_lost() {
    let template = by_schedule();
    let mut options = template.options();
    options.parameters.insert("MailPerHour".to_owned(), "2".to_owned());
    let tenure = Tenure::start_with(options).await;
    let left = 3600 - tenure.now().await.as_second() % 3600;
    if left < 1200 {
        tenure.stack.advance_clock(left).await.unwrap();
    }
    let admin = tenure.admin().await;
    for number in 0..5 {
        let account = tenure.verified(&admin, &format!("test{number}")).await;
        let path = format!("/v1.0/customers/{}/suspend", account.id);
        tenure.call(&admin, "POST", &path).await.ok();
    }
    let runs = futures_util::future::join_all((0..4).map(|_| tenure.send_mail())).await;
    assert!(runs.iter().any(|run| run["breaker_open"] == true), "{runs:?}");
    let first = tenure.stack.mail().len();
    // Two runs that send a message at the same moment count it twice.
    assert!((1..=2).contains(&first), "{first}");
    // Mail that users request waits, too.
    tenure.ask_to_sign_up("ann@example.com").await;
    let run = tenure.send_mail().await;
    assert_eq!((&run["breaker_open"], &run["sent"]), (&json!(true), &json!(0)), "{run}");
    assert_eq!(tenure.stack.mail().len(), first);
    assert!(tenure.waiting_mail().await.iter().all(|entry| entry["attempts"]["N"] == "0"));
    assert_eq!(tenure.waiting_mail().await.len(), 5 - first);
    for _ in 0..3 {
        tenure.stack.advance_clock(3600).await.unwrap();
        tenure.send_mail().await;
    }
    assert_eq!(tenure.stack.mail().len(), 6);
    assert!(tenure.waiting_mail().await.is_empty());
    let open = r#""MailBreakerOpen":1"#;
    assert!(tenure.stack.logs().iter().any(|line| line.contains(open)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_does_not_replace_a_complaint() {
    let tenure = Tenure::start().await;
    let path = "/2015-03-31/functions/MailFeedbackFunction/invocations";
    let recipients = json!([{"emailAddress": "ann@example.com"}]);
    let bounce = json!({"bounceType": "Permanent", "bouncedRecipients": recipients});
    let complaint = json!({"complainedRecipients": recipients});
    let mut rows = Vec::new();
    for detail in
        [json!({"bounce": bounce}), json!({"complaint": complaint}), json!({"bounce": bounce})]
    {
        tenure.send(tenure.request("POST", path).json(&json!({"detail": detail}))).await.ok();
        let items = tenure.items("AccountsTable").await;
        let row = items.into_iter().find(is_mark).unwrap();
        rows.push(row["reason"]["S"].clone());
    }
    assert_eq!(rows, ["bounced", "complained", "complained"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_bounced_gets_no_second_link() {
    let tenure = Tenure::start_by_schedule().await;
    let address = "bounce@simulator.amazonses.com";
    for _ in 0..2 {
        tenure.ask_to_sign_up(address).await;
        tenure.send_mail().await;
        assert!(tenure.stack.settle().await);
        assert_eq!(tenure.subjects(address).await.len(), 1);
    }
    let left = tenure.items("OutboxTable").await;
    assert!(!left.iter().any(|item| item["id"]["S"].as_str().unwrap().starts_with("INTENT#")));
}

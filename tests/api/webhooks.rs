//! Delivery of events to webhooks: signatures, retries, and the log of deliveries.

use std::time::{Duration, Instant};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use shared::domain::owned::Kind;

use crate::harness::{Account, PASSWORD, Tenure, root};
use crate::receiver::{Arrival, DEAD, Receiver, tenure};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Maximum time, in seconds, between each attempt and the next, including the random part and the wait for
/// the schedule.
const DELAYS: [i64; 9] = [
    5 + MINUTE,
    6 * MINUTE,
    34 * MINUTE,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    16 * HOUR,
    23 * HOUR,
    27 * HOUR,
];

/// Creates a customer whose webhooks are sent to `url` with `method`.
async fn account(tenure: &Tenure, admin: &str, name: &str, method: &str, url: &str) -> Account {
    let body = json!({
        "username": name,
        "password": PASSWORD,
        "webhook_method": method,
        "webhook_uri": url,
    });
    let created = tenure.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
    let token = tenure.login(name, PASSWORD).await;
    Account { id: created["id"].as_str().unwrap().to_owned(), token }
}

async fn secret(tenure: &Tenure, id: &str) -> String {
    let pk = format!("CUSTOMER#{id}");
    let items = tenure.items("AccountsTable").await;
    let root = items.iter().find(|item| item["pk"]["S"] == *pk && item["sk"]["S"] == "A").unwrap();
    root["webhook_secret"]["S"].as_str().unwrap().to_owned()
}

/// Returns the account's log of webhook deliveries, oldest first.
async fn log(tenure: &Tenure, token: &str) -> Vec<Value> {
    assert!(tenure.stack.settle().await);
    let page = tenure.call(token, "GET", "/v1.0/webhook_deliveries").await.ok();
    page["result"].as_array().unwrap().iter().rev().cloned().collect()
}

/// Moves the clock, and waits until everything that is then due is done.
async fn wait(tenure: &Tenure, seconds: i64) {
    assert!(tenure.stack.settle().await);
    tenure.stack.advance_clock(seconds).await.unwrap();
    assert!(tenure.stack.settle().await);
}

/// A compiled JSON Schema from `infra/events`.
struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn read(name: &str) -> Self {
        let file = root().join(format!("infra/events/{name}.schema.json"));
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        let index = compiler.compile(file.to_str().unwrap(), &mut schemas).unwrap();
        Self(schemas, index)
    }

    #[track_caller]
    fn check(&self, event: &Value) {
        let Self(schemas, index) = self;
        schemas.validate(event, *index).unwrap_or_else(|error| panic!("{event}: {error:#}"));
    }
}

fn types(arrivals: &[Arrival]) -> Vec<String> {
    arrivals.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect()
}

/// Returns the number of outbox entries that contain the webhook URI and secrets of a deleted account, which
/// are kept there until its last event is delivered.
async fn sealed(tenure: &Tenure) -> usize {
    let items = tenure.items("OutboxTable").await;
    let holds = |item: &&Value| {
        ["farewell_method", "farewell_uri", "farewell_secrets"]
            .iter()
            .any(|name| !item[name].is_null())
    };
    items.iter().filter(holds).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lifecycle_event_is_delivered_and_signed() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    let secret = secret(&tenure, &own.id).await;

    let name = json!({"name": "changed"});
    tenure.call_with(&admin, "PUT", &format!("/v1.0/customers/{}", own.id), name).await.ok();
    let number =
        tenure.call_with(&own.token, "POST", "/v1.0/numbers", json!({"name": "one"})).await.ok();
    let frozen = tenure.unregister(&own.token, json!({"password": PASSWORD})).await.ok();
    tenure.call(&own.token, "DELETE", "/auth/unregister").await.ok();
    let events = log(&tenure, &own.token).await;
    let at_once = json!({
        "password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true,
    });
    tenure.unregister(&own.token, at_once).await.ok();
    assert!(tenure.stack.settle().await);

    let mut arrivals = receiver.arrivals("/hook");
    arrivals.sort_by_key(|arrival| arrival.json()["sequence"].as_u64());
    assert_eq!(
        types(&arrivals),
        [
            "customer_created",
            "customer_updated",
            "number_created",
            "customer_frozen",
            "customer_recovered",
            "customer_deleted",
        ]
    );
    for (place, arrival) in arrivals.iter().enumerate() {
        let body = arrival.json();
        assert_eq!(body["sequence"], place + 1);
        assert_eq!(body["data"]["customer_id"], *own.id);
        assert_eq!(arrival.method, "POST");
        assert_eq!(arrival.header("content-type"), "application/json");
        assert!(arrival.is_signed_by(&secret));
        assert!(!arrival.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert!(arrival.header("x-voipbin-signature").starts_with("sha256="));
    }
    // A receiver learns of an operator only that it was one.
    let actor = |number: usize| arrivals[number].json()["actor"].clone();
    let operator =
        json!({"type": "operator", "id": null, "role": "project_admin", "customer_id": null});
    assert_eq!([actor(0), actor(1)], [operator.clone(), operator]);
    assert_eq!((&actor(3)["type"], &actor(3)["customer_id"]), (&json!("agent"), &json!(own.id)));
    assert_eq!(arrivals[2].json()["data"]["id"], number["id"]);
    let freezing = &arrivals[3].json()["data"];
    assert_eq!(freezing["id"], *own.id);
    assert_eq!(freezing["status"], "frozen");
    assert_eq!(freezing["tm_deletion_scheduled"], frozen["tm_deletion_scheduled"]);

    // The log has the same events, but for the last.
    assert_eq!(events.len(), 5);
    for (event, arrival) in events.iter().zip(&arrivals) {
        assert_eq!(event["type"], arrival.json()["type"]);
        assert_eq!(event["id"], arrival.header("webhook-id"));
        assert_eq!(event["sequence"], arrival.json()["sequence"]);
        assert_eq!(event["status"], "delivered", "{event}");
        assert_eq!(event["attempts"], 1);
        assert_eq!(event["last_result"], "delivered");
        assert_eq!(event["tm_next_attempt"], Value::Null);
    }
    assert_eq!(sealed(&tenure).await, 0, "the sealed target is removed after the delivery");

    // Webhooks and bus events match their schemas, events of the erasure included.
    let (webhook, bus) = (Schema::read("webhook"), Schema::read("bus"));
    for arrival in &arrivals {
        webhook.check(&arrival.json());
    }
    let events = tenure.stack.events();
    let told = events.iter().map(|seen| &seen["event"]["detail"]);
    let told: Vec<_> = told.filter(|detail| detail["customer_id"] == *own.id).collect();
    assert!(told.iter().any(|detail| detail["sequence"].is_null()), "an event of the erasure");
    for detail in told {
        bus.check(detail);
    }
}

/// Both schemas, that of events on the bus and that of webhooks, list the event types of every kind of item
/// that emits events.
#[test]
fn every_kind_is_in_the_event_schemas() {
    for name in ["bus", "webhook"] {
        let text = std::fs::read_to_string(root().join(format!("infra/events/{name}.schema.json")));
        let schema: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let names = schema["properties"]["type"]["enum"].as_array().unwrap();
        for kind in Kind::ALL.iter().filter(|kind| kind.is_announced()) {
            for event in [kind.created(), kind.updated(), kind.deleted()] {
                assert!(names.contains(&json!(event)), "{name}: {event}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_succeeds_after_three_days_of_failures() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    receiver.answer(503);
    let own = account(&tenure, &admin, "test1", "PUT", &receiver.url("/hook")).await;
    for seconds in &DELAYS[..8] {
        wait(&tenure, *seconds).await;
    }
    let token = tenure.login("test1", PASSWORD).await;
    let pending = &log(&tenure, &token).await[0];
    assert_eq!((&pending["status"], &pending["last_result"]), (&json!("pending"), &json!("5xx")));
    assert_eq!(pending["attempts"], 9);
    assert!(pending["tm_next_attempt"].is_string());

    receiver.answer(204);
    wait(&tenure, DELAYS[8]).await;
    let arrivals = receiver.arrivals("/hook");
    assert_eq!(arrivals.len(), 10);
    let secret = secret(&tenure, &own.id).await;
    let first = &arrivals[0];
    for arrival in &arrivals {
        assert_eq!(arrival.method, "PUT");
        assert_eq!(arrival.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(arrival.body, first.body, "the body is the same at every attempt");
        assert!(arrival.is_signed_by(&secret));
    }
    assert_ne!(arrivals[9].header("webhook-timestamp"), first.header("webhook-timestamp"));
    let token = tenure.login("test1", PASSWORD).await;
    assert_eq!(log(&tenure, &token).await[0]["status"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_that_asks_for_a_later_attempt_gets_it() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    receiver.answer_retry_after(503, "7200");
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    let next_attempt = async || {
        let delivery = &log(&tenure, &own.token).await[0];
        assert_eq!(delivery["status"], "pending");
        let next: jiff::Timestamp = delivery["tm_next_attempt"].as_str().unwrap().parse().unwrap();
        next.as_second() - tenure.now().await.as_second()
    };
    let seconds = next_attempt().await;
    assert!((2 * HOUR - 30..=2 * HOUR).contains(&seconds), "{seconds}");
    wait(&tenure, 2 * HOUR - 5 * MINUTE).await;
    assert_eq!(receiver.arrivals("/hook").len(), 1, "not before that");

    // A `Retry-After` shorter than the retry schedule is ignored; one longer than a day is cut to a day.
    receiver.answer_retry_after(429, "0");
    wait(&tenure, 6 * MINUTE).await;
    assert_eq!(receiver.arrivals("/hook").len(), 2);
    let seconds = next_attempt().await;
    assert!((4 * MINUTE..=6 * MINUTE).contains(&seconds), "{seconds}");
    receiver.answer_retry_after(429, "Fri, 31 Dec 2100 23:59:59 GMT");
    wait(&tenure, 7 * MINUTE).await;
    assert_eq!(receiver.arrivals("/hook").len(), 3);
    let seconds = next_attempt().await;
    assert!((24 * HOUR - 2 * MINUTE..=24 * HOUR).contains(&seconds), "{seconds}");

    receiver.answer(200);
    wait(&tenure, 24 * HOUR).await;
    assert_eq!(log(&tenure, &own.token).await[0]["status"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_uri_without_a_method_is_sent_by_post() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let uri = json!({
        "username": "test1", "password": PASSWORD, "webhook_uri": receiver.url("/created"),
    });
    let created = tenure.call_with(&admin, "POST", "/v1.0/customers", uri).await.ok();
    assert_eq!(created["webhook_method"], "POST");
    let path = format!("/v1.0/customers/{}", created["id"].as_str().unwrap());
    // The account's first event is delivered before webhooks are switched off.
    assert!(tenure.stack.settle().await);
    let off = json!({"webhook_method": "", "webhook_uri": receiver.url("/off")});
    let updated = tenure.call_with(&admin, "PUT", &path, off).await.ok();
    assert_eq!(updated["webhook_method"], "", "an empty method switches webhooks off");
    let uri = json!({"webhook_uri": receiver.url("/updated")});
    let updated = tenure.call_with(&admin, "PUT", &path, uri).await.ok();
    assert_eq!(updated["webhook_method"], "POST");
    assert!(tenure.stack.settle().await);
    let count = |path| receiver.arrivals(path).len();
    assert_eq!((count("/created"), count("/off"), count("/updated")), (1, 0, 1));
    assert_eq!(receiver.arrivals("/updated")[0].method, "POST");
    let null = json!({"username": "test2", "password": PASSWORD, "webhook_method": null});
    tenure.call_with(&admin, "POST", "/v1.0/customers", null).await.refused(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_delivery_fails_and_can_be_resent() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    receiver.answer(404);
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    for seconds in DELAYS {
        wait(&tenure, seconds).await;
    }
    let token = tenure.login("test1", PASSWORD).await;
    let failed = &log(&tenure, &token).await[0];
    assert_eq!((&failed["status"], &failed["last_result"]), (&json!("failed"), &json!("4xx")));
    assert_eq!((&failed["attempts"], &failed["tm_next_attempt"]), (&json!(10), &Value::Null));
    wait(&tenure, 24 * HOUR).await;
    assert_eq!(receiver.arrivals("/hook").len(), 10, "no further attempt");
    let dead = |line: &String| line.contains(r#""WebhookDead":1"#);
    assert!(tenure.stack.logs().iter().any(dead), "the metric of the alarm");

    // Another account's delivery is not found.
    let other = account(&tenure, &admin, "test2", "POST", &receiver.url("/other")).await;
    let resend = format!("/v1.0/webhook_deliveries/{}/resend", failed["id"].as_str().unwrap());
    let refused = tenure.call(&other.token, "POST", &resend).await;
    assert_eq!(refused.refused(404), "WEBHOOK_DELIVERY_NOT_FOUND");

    receiver.answer(200);
    let token = tenure.login("test1", PASSWORD).await;
    let again = tenure.call(&token, "POST", &resend).await.ok();
    assert_eq!((&again["status"], &again["attempts"]), (&json!("pending"), &json!(0)));
    wait(&tenure, MINUTE).await;
    assert_eq!(receiver.arrivals("/hook").len(), 11);
    let sent = &log(&tenure, &token).await[0];
    assert_eq!((&sent["status"], &sent["attempts"]), (&json!("delivered"), &json!(1)));
    assert_eq!(
        tenure.count_events(&own.id, "customer_created").await,
        1,
        "a resend publishes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_410_disables_the_webhook_until_it_is_set_again() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    assert!(tenure.stack.settle().await);
    receiver.answer(410);
    // The transaction that disables the webhook conflicts with another one, and is retried.
    tenure.meet_others(&["WebhookDeliverFunction"]).await;
    let test = tenure.call(&own.token, "POST", "/v1.0/customer/webhook_test").await.ok();
    assert_eq!((&test["type"], &test["status"]), (&json!("webhook_test"), &json!("pending")));
    let last = log(&tenure, &own.token).await.pop().unwrap();
    assert_eq!((&last["id"], &last["status"]), (&test["id"], &json!("gone")));
    assert_eq!(tenure.count_events(&own.id, "customer_webhook_disabled").await, 1);

    // Nothing more is sent, and a test webhook is refused.
    tenure.call_with(&own.token, "POST", "/v1.0/numbers", json!({})).await.ok();
    let refused = tenure.call(&own.token, "POST", "/v1.0/customer/webhook_test").await;
    assert_eq!(refused.refused(409), "WEBHOOK_NOT_CONFIGURED");
    wait(&tenure, HOUR).await;
    assert_eq!(receiver.arrivals("/hook").len(), 2);

    receiver.answer(200);
    let again = json!({"webhook_uri": receiver.url("/hook")});
    tenure.call_with(&admin, "PUT", &format!("/v1.0/customers/{}", own.id), again).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(types(&receiver.arrivals("/hook")).last().unwrap(), "customer_updated");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_event_is_delivered_late_and_its_target_kept_at_most_a_day() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let late = account(&tenure, &admin, "late", "POST", &receiver.url("/late")).await;
    assert!(tenure.stack.settle().await);
    let late_secret = secret(&tenure, &late.id).await;
    receiver.answer(500);
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", late.id)).await.ok();
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&late.id).await, ["A"], "the purge does not wait for the delivery");
    assert_eq!(sealed(&tenure).await, 1);
    receiver.answer(200);
    wait(&tenure, DELAYS[0]).await;
    let farewell = receiver.arrivals("/late").pop().unwrap();
    assert_eq!(farewell.json()["type"], "customer_deleted");
    assert_eq!(farewell.json()["data"]["status"], "deleted");
    assert!(farewell.is_signed_by(&late_secret));
    assert_eq!(sealed(&tenure).await, 0);

    // A receiver that is down for a day.
    let admin = tenure.admin().await;
    let never = account(&tenure, &admin, "never", "POST", &receiver.url("/never")).await;
    assert!(tenure.stack.settle().await);
    receiver.answer(500);
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", never.id)).await.ok();
    for seconds in &DELAYS[..6] {
        wait(&tenure, *seconds).await;
    }
    assert_eq!(sealed(&tenure).await, 1);
    wait(&tenure, 4 * HOUR).await;
    assert_eq!(sealed(&tenure).await, 0, "the sealed target is removed after a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_discards_undelivered_events() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    receiver.answer(500);
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    tenure.call_with(&own.token, "POST", "/v1.0/numbers", json!({})).await.ok();
    assert!(tenure.stack.settle().await);
    let before = receiver.arrivals("/hook").len();
    receiver.answer(200);
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", own.id)).await.ok();
    wait(&tenure, HOUR).await;
    assert_eq!(types(&receiver.arrivals("/hook")[before..]), ["customer_deleted"]);
    let items = tenure.items("OutboxTable").await;
    let discarded = items.iter().filter(|item| item["delivery"]["S"] == "discarded").count();
    assert_eq!(discarded, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_during_the_overlap() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    let old = secret(&tenure, &own.id).await;
    let rotate = "/v1.0/customer/webhook_secret/rotate";
    let long = json!({"overlap": 31 * 24 * HOUR});
    let refused = tenure.call_with(&own.token, "POST", rotate, long).await;
    assert!(refused.message().contains("overlap"), "{}", refused.text);
    let rotated = tenure.call_with(&own.token, "POST", rotate, json!({"overlap": HOUR})).await.ok();
    let new = rotated["webhook_secret"].as_str().unwrap();
    assert_ne!(new, old);
    assert!(tenure.stack.settle().await);
    let told = receiver.arrivals("/hook").pop().unwrap();
    assert!(told.is_signed_by(new) && told.is_signed_by(&old));

    wait(&tenure, 2 * HOUR).await;
    tenure.call(&own.token, "POST", "/v1.0/customer/webhook_test").await.ok();
    assert!(tenure.stack.settle().await);
    let test = receiver.arrivals("/hook").pop().unwrap();
    assert!(test.is_signed_by(new) && !test.is_signed_by(&old));
    assert_eq!(test.json()["type"], "webhook_test");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_webhook_has_no_body_and_no_method_sends_nothing() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let own = account(&tenure, &admin, "test1", "GET", &receiver.url("/get")).await;
    account(&tenure, &admin, "test2", "", &receiver.url("/none")).await;
    assert!(tenure.stack.settle().await);
    let secret = secret(&tenure, &own.id).await;
    let arrivals = receiver.arrivals("/get");
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].method, "GET");
    assert!(arrivals[0].body.is_empty());
    assert!(arrivals[0].is_signed_by(&secret));
    assert!(receiver.arrivals("/none").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_receiver_does_not_delay_others() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    // Accepts connections and never answers.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/mute", mute.local_addr().unwrap().port());
    let slow = account(&tenure, &admin, "slow", "POST", &url).await;
    for _ in 0..8 {
        tenure.call_with(&slow.token, "POST", "/v1.0/numbers", json!({})).await.ok();
    }
    account(&tenure, &admin, "quick", "POST", &receiver.url("/quick")).await;
    // The slow receiver's attempts are still under way then: each takes 15 s.
    let soon = tokio::time::timeout(Duration::from_secs(10), async {
        while receiver.arrivals("/quick").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(soon.await.is_ok(), "another receiver delayed the delivery");
    let pending = tenure.call(&slow.token, "GET", "/v1.0/webhook_deliveries").await.ok();
    let pending = pending["result"].as_array().unwrap();
    assert!(pending.iter().all(|event| event["status"] == "pending"));
}

/// Waits until the receiver has got `count` webhooks at `path`; returns how long that took. Fails after ten
/// seconds: an attempt that gets no response blocks for 15 s.
async fn arrives(receiver: &Receiver, path: &str, count: usize) -> Duration {
    let started = Instant::now();
    let arrive = async {
        while receiver.arrivals(path).len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let arrived = tokio::time::timeout(Duration::from_secs(10), arrive).await;
    assert!(arrived.is_ok(), "{} of {count} at {path}", receiver.arrivals(path).len());
    started.elapsed()
}

/// An account with sixty events has its webhook at a path that never responds. Another account's webhook is
/// at another path of the same host.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_path_delays_no_other_account_at_its_host() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let other = account(&tenure, &admin, "other", "POST", &receiver.url("/other")).await;
    // The limits of attempts count by the minute, so the test begins with a new minute. The clock moves by more than a
    // minute, which runs the schedule: it is not due again before the test moves the clock.
    wait(&tenure, 121 - tenure.now().await.as_second() % 60).await;
    let admin = tenure.admin().await;
    let dead = account(&tenure, &admin, "dead", "POST", &receiver.url(DEAD)).await;
    for _ in 0..60 {
        tenure.call_with(&dead.token, "POST", "/v1.0/numbers", json!({})).await.ok();
    }
    receiver.answer(503);
    let test = "/v1.0/customer/webhook_test";
    tenure.call(&other.token, "POST", test).await.ok();
    let by_the_bus = arrives(&receiver, "/other", 2).await;

    // The failed webhook is due together with all those of the dead path that were not even attempted; one
    // run has to reach it.
    assert!(tenure.stack.settle().await);
    receiver.answer(204);
    let before = receiver.arrivals(DEAD).len();
    let run = tenure.stack.advance_clock(2 * MINUTE);
    let (ran, by_the_schedule) = tokio::join!(run, arrives(&receiver, "/other", 3));
    ran.unwrap();
    println!("by the bus after {by_the_bus:?}, by the schedule after {by_the_schedule:?}");
    let attempts = receiver.arrivals(DEAD).len() - before;
    assert!((1..=5).contains(&attempts), "{attempts} attempts at the dead path in a run");
    let last = log(&tenure, &tenure.login("other", PASSWORD).await).await.pop().unwrap();
    assert_eq!((&last["status"], &last["attempts"]), (&json!("delivered"), &json!(2)));
}

/// The functions that publish and deliver events are killed between any two of their steps.
#[tokio::test(flavor = "multi_thread")]
async fn events_survive_crashes_of_publisher_and_deliverer() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let own = account(&tenure, &admin, "test1", "POST", &receiver.url("/hook")).await;
    assert!(tenure.stack.settle().await);
    let steps = [
        ("OutboxPublishFunction", "BatchGetItem", 1),
        ("OutboxPublishFunction", "UpdateItem", 1),
        ("WebhookDeliverFunction", "BatchGetItem", 1),
        ("WebhookDeliverFunction", "UpdateItem", 1),
        ("WebhookDeliverFunction", "UpdateItem", 2),
        ("WebhookDeliverFunction", "UpdateItem", 3),
        ("WebhookDeliverFunction", "UpdateItem", 4),
        ("WebhookDeliverFunction", "UpdateItem", 5),
    ];
    for (function, operation, nth) in steps {
        for fault in ["crash_before", "crash_after"] {
            let rule = json!([{
                "fault": fault, "function": function, "operation": operation, "nth": nth,
            }]);
            let rules = tenure.request("POST", "/_local/faults").json(&rule);
            tenure.send(rules).await.ok();
            let token = tenure.login("test1", PASSWORD).await;
            let test = tenure.call(&token, "POST", "/v1.0/customer/webhook_test").await.ok();
            assert!(tenure.stack.settle().await);
            tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
            wait(&tenure, 2 * MINUTE).await;
            wait(&tenure, 2 * MINUTE).await;
            let arrivals = receiver.arrivals("/hook");
            let id = test["id"].as_str().unwrap();
            let arrived = arrivals.iter().any(|arrival| arrival.header("webhook-id") == id);
            assert!(arrived, "{fault} {function} {operation} {nth}");
            let last = log(&tenure, &token).await.pop().unwrap();
            assert_eq!(last["status"], "delivered", "{fault} {function} {operation} {nth}");
        }
    }
    let sequence = |arrival: &Arrival| arrival.json()["sequence"].as_u64().unwrap();
    let mut heard: Vec<_> = receiver.arrivals("/hook").iter().map(sequence).collect();
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard, (1..=17).collect::<Vec<_>>(), "of {}", own.id);
}

/// Most scheduled runs find nothing to do. They have to emit their metrics all the same: alarms watch them.
#[tokio::test(flavor = "multi_thread")]
async fn schedules_with_nothing_to_do_succeed_and_emit_metrics() {
    let tenure = Tenure::start().await;
    assert!(tenure.stack.settle().await);
    for (function, metric) in [
        ("OutboxPublishFunction", "OutboxOldest"),
        ("WebhookDeliverFunction", "WebhookOldest"),
        ("PurgeRunFunction", "PurgeOldestOverdue"),
        ("ParticipantAskFunction", "ErasuresIncomplete"),
    ] {
        let path = format!("/_local/schedules/{function}Schedule/run");
        let result = tenure.send(tenure.request("POST", &path)).await.ok();
        assert!(result.is_object() && result.get("errorMessage").is_none(), "{function}: {result}");
        assert_eq!(tenure.stack.stats()["functions"][function]["errors"], 0, "{function}");
        let emitted = tenure.stack.logs().into_iter().any(|line| {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            line[metric] == 0 && line["Stage"] == "dev"
        });
        assert!(emitted, "{function}: no {metric}");
    }
}

/// A webhook whose URI is a route of this API does not cause another webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_to_this_api_does_nothing() {
    let tenure = tenure().await;
    let admin = tenure.admin().await;
    let own = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&own.token).await;
    let base = tenure.stack.url();
    let url = format!("{base}/v1.0/customer/webhook_test?accesskey={key}");
    let looping = account(&tenure, &admin, "test2", "POST", &url).await;
    tenure.call(&looping.token, "POST", "/v1.0/customer/webhook_test").await.ok();
    let log = log(&tenure, &looping.token).await;
    let last = log.last().unwrap();
    assert_eq!(
        (&last["type"], &last["last_result"]),
        (&json!("webhook_test"), &json!("5xx")),
        "{last}"
    );
    assert_eq!(tenure.count_events(&own.id, "webhook_test").await, 0);

    let before = tenure.accounts().await;
    let call = tenure.request("POST", "/v1.0/accesskeys").bearer(&own.token);
    let call = call.header("webhook-id", "msg_1").json(&json!({"expire": 86_400}));
    assert_eq!(tenure.send(call).await.refused(508), "LOOP_DETECTED");
    assert_eq!(tenure.accounts().await, before);
}

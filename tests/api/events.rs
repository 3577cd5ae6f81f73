//! The history of an account: who did what, and when.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::harness::{Account, PASSWORD, Tenure, options_with, root, uncounted};
use crate::receiver::{Receiver, tenure};

fn of(account: &Account) -> String {
    format!("/v1.0/customers/{}", account.id)
}

/// Returns all events of the list at the path `list`, newest first, read in pages of `page_size`.
async fn events(tenure: &Tenure, token: &str, list: &str, page_size: usize) -> Vec<Value> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    let separator = if list.contains('?') { '&' } else { '?' };
    loop {
        let path = format!("{list}{separator}page_size={page_size}&page_token={page_token}");
        let page = tenure.call(token, "GET", &path).await.ok();
        all.extend(page["result"].as_array().unwrap().iter().cloned());
        page["next_page_token"].as_str().unwrap().clone_into(&mut page_token);
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Returns what an operator sees of an account's history, oldest first.
async fn history(tenure: &Tenure, account: &Account) -> Vec<Value> {
    let admin = tenure.admin().await;
    let mut events = events(tenure, &admin, &format!("{}/events", of(account)), 100).await;
    events.reverse();
    events
}

/// Returns, for each event, its type, and the type and role of its actor.
fn acts(events: &[Value]) -> Vec<[&str; 3]> {
    events
        .iter()
        .map(|event| {
            let actor = &event["actor"];
            [&event["type"], &actor["type"], &actor["role"]].map(|text| text.as_str().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_names_the_actor_of_every_transition() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let operator = tenure.call(&admin, "GET", "/v1.0/me").await.ok();
    let account = tenure.account(&admin, "test1").await;
    let own = account.token.as_str();
    let owner = tenure.call(own, "GET", "/v1.0/me").await.ok();
    let (customer, password) = (of(&account), json!({"password": PASSWORD}));

    let hook = json!({"webhook_uri": receiver.url("/hook")});
    tenure.call_with(own, "PUT", "/v1.0/customer", hook).await.ok();
    let debug = json!({"rtp_debug": true});
    tenure.call_with(&admin, "PUT", &format!("{customer}/metadata"), debug).await.ok();
    let ann = json!({"username": "ann", "password": PASSWORD});
    let ann = tenure.call_with(own, "POST", "/v1.0/agents", ann).await.ok();
    let ann_id = ann["id"].as_str().unwrap();
    let name = json!({"name": "Ann"});
    tenure.call_with(own, "PUT", &format!("/v1.0/agents/{ann_id}"), name).await.ok();
    let manager = json!({"permission": 64});
    tenure.call_with(own, "PUT", &format!("/v1.0/agents/{ann_id}/permission"), manager).await.ok();
    let ann_token = tenure.login("ann", PASSWORD).await;
    let number = tenure.call_with(&ann_token, "POST", "/v1.0/numbers", json!({})).await.ok();
    let key =
        tenure.call_with(own, "POST", "/v1.0/accesskeys", json!({"expire": 86_400})).await.ok();
    let program = key["token"].as_str().unwrap();
    tenure.call_with(program, "POST", "/v1.0/flows", json!({})).await.ok();
    let agents = format!("/v1.0/agents/{ann_id}");
    tenure.call(own, "DELETE", &agents).await.ok();
    // The receiver responds with 410 (gone), which disables the webhook.
    assert!(tenure.stack.settle().await);
    receiver.answer(410);
    tenure.call(own, "POST", "/v1.0/customer/webhook_test").await.ok();
    assert!(tenure.stack.settle().await);
    let reason = json!({"reason": "Case 7 of the court"});
    tenure.call_with(&admin, "PUT", &format!("{customer}/holds/case-7"), reason).await.ok();
    tenure.call(&admin, "DELETE", &format!("{customer}/holds/case-7")).await.ok();
    tenure.call(&admin, "POST", &format!("{customer}/suspend")).await.ok();
    tenure.call(&admin, "POST", &format!("{customer}/resume")).await.ok();
    tenure.unregister(own, password.clone()).await.ok();
    tenure.call(own, "DELETE", "/auth/unregister").await.ok();
    tenure.call(&admin, "POST", &format!("{customer}/freeze")).await.ok();
    tenure.call(&admin, "POST", &format!("{customer}/recover")).await.ok();
    tenure.unregister(own, password).await.ok();
    tenure.advance_days(31).await;
    assert!(tenure.stack.settle().await);

    let history = history(&tenure, &account).await;
    let [by_operator, by_owner] =
        ["project_admin", "customer_admin"].map(|role| move |name| [name, "agent", role]);
    let mut expected = vec![
        by_operator("customer_created"),
        by_owner("customer_updated"),
        by_operator("customer_updated"),
        by_owner("agent_created"),
        by_owner("agent_updated"),
        by_owner("agent_updated"),
        ["number_created", "agent", "customer_manager"],
        by_owner("accesskey_created"),
        ["flow_created", "access_key", "customer_admin"],
        by_owner("agent_deleted"),
        by_owner("webhook_test"),
        ["customer_webhook_disabled", "webhook_delivery", "system"],
        by_operator("customer_held"),
        by_operator("customer_released"),
        by_operator("customer_suspended"),
        by_operator("customer_resumed"),
        by_owner("customer_frozen"),
        by_owner("customer_recovered"),
        by_operator("customer_frozen"),
        by_operator("customer_recovered"),
        by_owner("customer_frozen"),
    ];
    let purged = [
        "customer_deleted",
        "customer_erased",
        "accesskey_deleted",
        "agent_deleted",
        "flow_deleted",
        "number_deleted",
    ];
    let split = expected.len();
    expected.extend(purged.map(|name| [name, "purge", "system"]));
    let acts = acts(&history);
    assert_eq!(acts[..split], expected[..split]);
    // The events of the purge have the same time, so their order is not defined.
    let sorted = |acts: &[[&str; 3]]| acts.iter().map(|act| act.join(" ")).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&acts[split..]), sorted(&expected[split..]));

    let actor = |number: usize| &history[number]["actor"];
    let project = operator["customer_id"].clone();
    assert_eq!((&actor(0)["id"], &actor(0)["customer_id"]), (&operator["id"], &project));
    assert_eq!((&actor(1)["id"], &actor(1)["customer_id"]), (&owner["id"], &json!(account.id)));
    assert_eq!(actor(6)["id"], ann["id"]);
    assert_eq!(actor(8)["id"], key["id"]);
    assert_eq!(history[6]["subjects"], json!([number["id"]]));
    assert_eq!(history[0]["subjects"], json!([]));
    let holds: Vec<_> = history.iter().filter(|event| !event["hold"].is_null()).collect();
    let [placed, lifted] = holds.as_slice() else { panic!("{holds:?}") };
    assert_eq!((&placed["type"], &placed["hold"]), (&json!("customer_held"), &json!("case-7")));
    assert_eq!((&lifted["type"], &lifted["hold"]), (&json!("customer_released"), &json!("case-7")));
    let purge = json!({"type": "purge", "id": null, "role": "system", "customer_id": null});
    assert_eq!(*actor(split), purge);
    // The history holds only ids of what was erased.
    let text = Value::from(history).to_string();
    assert!(!text.contains("Ann") && !text.contains("Case 7") && !text.contains("/hook"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_sees_neither_holds_nor_which_operator_it_was() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (own, customer) = (account.token.as_str(), of(&account));
    for name in ["one", "two", "three"] {
        tenure.call_with(own, "PUT", "/v1.0/customer", json!({"name": name})).await.ok();
        let reason = json!({"reason": "Case 7"});
        tenure.call_with(&admin, "PUT", &format!("{customer}/hold"), reason).await.ok();
        tenure.call(&admin, "DELETE", &format!("{customer}/hold")).await.ok();
    }
    let seen = events(&tenure, own, "/v1.0/events", 100).await;
    let updated = ["customer_updated", "agent", "customer_admin"];
    let created = ["customer_created", "operator", "project_admin"];
    assert_eq!(acts(&seen), [updated, updated, updated, created]);
    let operator =
        json!({"type": "operator", "id": null, "role": "project_admin", "customer_id": null});
    assert_eq!(seen[3]["actor"], operator);
    // Pages are full, so that their length does not reveal events that are not shown.
    for size in 1..=3 {
        let page = tenure.call(own, "GET", &format!("/v1.0/events?page_size={size}")).await.ok();
        assert_eq!(page["result"].as_array().unwrap().len(), size);
        assert_ne!(page["next_page_token"], "");
    }
    for held in ["customer_held", "customer_released"] {
        let page = tenure.call(own, "GET", &format!("/v1.0/events?type={held}")).await.ok();
        assert_eq!(page, json!({"result": [], "next_page_token": ""}));
    }
    assert_eq!(history(&tenure, &account).await.len(), 4 + 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_complete_page_by_page_and_by_type() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let (own, customer) = (account.token.as_str(), of(&account));
    for number in 0..9 {
        let name = json!({"name": number.to_string()});
        tenure.call_with(own, "POST", "/v1.0/numbers", name.clone()).await.ok();
        tenure.call_with(own, "PUT", "/v1.0/customer", name).await.ok();
        if number % 3 == 0 {
            let reason = json!({"reason": "Case 7"});
            tenure.call_with(&admin, "PUT", &format!("{customer}/hold"), reason).await.ok();
            tenure.call(&admin, "DELETE", &format!("{customer}/hold")).await.ok();
        }
    }
    let other = tenure.account(&admin, "test2").await;
    let list = format!("{customer}/events");
    let all = events(&tenure, &admin, &list, 100).await;
    assert_eq!(all.len(), 1 + 18 + 6);
    assert!(all.is_sorted_by(|a, b| a["timestamp"].as_str() >= b["timestamp"].as_str()));
    for size in [1, 2, 7, 24, 25] {
        assert_eq!(events(&tenure, &admin, &list, size).await, all, "{size}");
    }
    for (wanted, count) in [("number_created", 9), ("customer_held", 3), ("customer_created", 1)] {
        for size in [1, 2, 100] {
            let found = events(&tenure, &admin, &format!("{list}?type={wanted}"), size).await;
            let expected: Vec<_> =
                all.iter().filter(|event| event["type"] == wanted).cloned().collect();
            assert_eq!((found.len(), &found), (count, &expected));
        }
    }
    assert_eq!(events(&tenure, &other.token, "/v1.0/events", 100).await.len(), 1);
    let unknown = tenure.call(&admin, "GET", &format!("{list}?type=customer_vanished")).await;
    assert_eq!(unknown.refused(400), "INVALID_REQUEST_PARAMETER");
    assert!(unknown.message().contains("type"), "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_can_be_read_for_as_long_as_they_are_kept() {
    for (days, last) in [(None, 90), (Some("1"), 1), (Some("400"), 400)] {
        let tenure = match days {
            Some(days) => Tenure::start_with(options_with("EventRetentionDays", days)).await,
            None => Tenure::start().await,
        };
        let admin = tenure.admin().await;
        let account = tenure.account(&admin, "test1").await;
        tenure.call(&admin, "DELETE", &of(&account)).await.ok();
        // First, until the delivery of the last event has failed, which deletes the copy of the webhook in its entry.
        let early = (last - 1).min(2);
        tenure.advance_days(early).await;
        tenure.advance_days(last - 1 - early).await;
        let kept = history(&tenure, &account).await;
        assert!(kept.len() >= 3, "{last} days: {kept:?}");
        tenure.advance_days(2).await;
        assert_eq!(history(&tenure, &account).await, Vec::<Value>::new(), "{last} days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn last_event_of_an_account_stays_without_what_was_sealed_into_it() {
    let (tenure, receiver) = (tenure().await, Receiver::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let hook = json!({"webhook_uri": receiver.url("/hook")});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", hook).await.ok();
    tenure.call(&admin, "DELETE", &of(&account)).await.ok();
    tenure.advance_days(20).await;
    let kept = history(&tenure, &account).await;
    assert!(kept.iter().any(|event| event["type"] == "customer_deleted"), "{kept:?}");
    let items = Value::from(tenure.items("OutboxTable").await).to_string();
    assert!(!items.contains("/hook") && !items.contains("whsec"), "{items}");
}

/// The event types are listed in three places, which must agree: the schema of events on the bus, the OpenAPI
/// description, and the values that the parameter `type` accepts.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_type_on_the_bus_is_described_and_can_be_asked_for() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let schema = std::fs::read_to_string(root().join("infra/events/bus.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let on_bus = schema["properties"]["type"]["enum"].as_array().unwrap();
    let text = std::fs::read_to_string(root().join("infra/openapi.yaml")).unwrap();
    let described = text.split("    EventType:\n").nth(1).unwrap();
    let described = described.split_once("enum: [").unwrap().1.split_once(']').unwrap().0;
    let described: Vec<_> = described.split(", ").collect();
    assert_eq!(described, on_bus.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>());
    for name in described {
        tenure.call(&admin, "GET", &format!("{}/events?type={name}", of(&account))).await.ok();
    }
}

/// For one page, at most a thousand events are read, whatever their types. A page of events of one type can
/// therefore be empty, and yet be followed by another.
#[tokio::test(flavor = "multi_thread")]
async fn page_of_one_type_without_rows_leads_to_those_that_follow() {
    let tenure = Tenure::start_with(uncounted()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", json!({"name": "x"})).await.ok();
    assert!(tenure.stack.settle().await);
    let outbox = tenure.database().scan().table_name("OutboxTable").send().await.unwrap();
    let is_update =
        |item: &&HashMap<_, _>| item["type"] == AttributeValue::S("customer_updated".to_owned());
    let update = outbox.items().iter().find(is_update).unwrap();
    let puts = (0..1_100).map(|number| {
        let mut copy = update.clone();
        let id = format!("ffffffff-ffff-7fff-8fff-{number:012x}");
        copy.insert("id".to_owned(), AttributeValue::S(id));
        tenure.database().put_item().table_name("OutboxTable").set_item(Some(copy)).send()
    });
    let puts: Vec<_> = stream::iter(puts).buffer_unordered(16).collect().await;
    assert!(puts.iter().all(Result::is_ok));

    let list = format!("{}/events?type=customer_created", of(&account));
    let first = tenure.call(&admin, "GET", &list).await.ok();
    assert_eq!(first["result"], json!([]));
    assert_ne!(first["next_page_token"], "");
    let found = events(&tenure, &admin, &list, 100).await;
    assert_eq!(acts(&found), [["customer_created", "agent", "project_admin"]]);
}

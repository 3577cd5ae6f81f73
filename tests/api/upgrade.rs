//! Functions of this version run beside those of a later version during a deployment, and after it in a
//! rollback. In every item that they change, they keep the attributes that only the later version knows.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Template, Tenure, new_customer};
use crate::mail::without_stream;
use crate::receiver::Receiver;

/// The accounts table, with the names of its key attributes. Requests change items in this table and in the
/// erasures table; to the outbox they only add items.
const ACCOUNTS: (&str, &[&str]) = ("AccountsTable", &["pk", "sk"]);
const ERASURES: (&str, &[&str]) = ("ErasuresTable", &["pk", "sk"]);
const OUTBOX: (&str, &[&str]) = ("OutboxTable", &["id"]);

/// An attribute that only a later version knows.
const LATER: &str = "of_a_later_version";

/// An item's table, and the names and values of its key attributes.
type Place = (&'static str, Vec<(&'static str, String)>);

impl Tenure {
    /// Returns the table and keys of each item that lacks the attribute [`LATER`].
    async fn without_it(
        &self,
        tables: &[(&'static str, &'static [&'static str])],
    ) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        for (table, keys) in tables {
            for item in self.items(table).await.iter().filter(|item| item.get(LATER).is_none()) {
                let key =
                    |name: &&'static str| (*name, item[*name]["S"].as_str().unwrap().to_owned());
                places.insert((*table, keys.iter().map(key).collect()));
            }
        }
        places
    }

    /// Adds the attribute [`LATER`] to every item, as a later version would.
    async fn write_as_a_later_version(&self, tables: &[(&'static str, &'static [&'static str])]) {
        for (table, keys) in self.without_it(tables).await {
            let text = AttributeValue::S;
            let mut update = self.database().update_item().table_name(table);
            for (name, value) in keys {
                update = update.key(name, text(value));
            }
            let update = update.update_expression(format!("SET {LATER} = :kept"));
            let update = update.expression_attribute_values(":kept", text("kept".to_owned()));
            update.send().await.unwrap();
        }
    }

    /// Checks that no item has lost the attribute [`LATER`]. `change` names the change that was made.
    async fn assert_kept(&self, tables: &[(&'static str, &'static [&'static str])], change: &str) {
        assert!(self.stack.settle().await, "the stack does not settle");
        let mut lost = self.without_it(tables).await;
        lost.retain(|place| !is_count(place));
        assert!(lost.is_empty(), "{change} erased it from {lost:?}");
    }
}

/// Whether an item is a counter (of attempts, requests, messages or hosts), a marker or a ticket: these are
/// written and deleted as a whole, so the attribute need not survive.
fn is_count((_, keys): &Place) -> bool {
    let counts = ["THROTTLE#", "NETWORK#", "REQUESTS#", "HOST#", "MESSAGES#", "MARKED#", "TICKET#"];
    counts.iter().any(|kind| keys[0].1.starts_with(kind))
}

fn id(created: &Value) -> &str {
    created["id"].as_str().unwrap()
}

impl Tenure {
    /// Removes attributes from an account's item, because an earlier version did not write them. `attributes`
    /// lists their names as in a `REMOVE` expression.
    async fn write_as_an_earlier_version(&self, id: &str, attributes: &str) {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let update = self.database().update_item().table_name("AccountsTable");
        let update = update.key("pk", text(&format!("CUSTOMER#{id}"))).key("sk", text("A"));
        update.update_expression(format!("REMOVE {attributes}")).send().await.unwrap();
    }

    /// Deletes an account's marker, the item that makes it appear in the list of accounts in the state
    /// `mark`: an earlier version would not have written it.
    async fn delete_marker(&self, mark: &str, id: &str) {
        let items = self.items("AccountsTable").await;
        let is_marker = |item: &&Value| {
            item["pk"]["S"] == format!("MARKED#{mark}") && item["customer_id"]["S"] == id
        };
        let marker = items.iter().find(is_marker).unwrap();
        let [pk, sk] = ["pk", "sk"].map(|name| marker[name]["S"].as_str().unwrap().to_owned());
        let delete = self.database().delete_item().table_name(ACCOUNTS.0);
        let delete = delete.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk));
        delete.send().await.unwrap();
    }

    async fn backfill(&self, event: Value) -> Answer {
        let path = "/2015-03-31/functions/IndexBackfillFunction/invocations";
        self.send(self.request("POST", path).json(&event)).await
    }

    /// Returns the account root, the item with the account's own data, as it is stored.
    async fn root(&self, id: &str) -> Value {
        let items = self.items("AccountsTable").await;
        let is_root =
            |item: &&Value| item["pk"]["S"] == format!("CUSTOMER#{id}") && item["sk"]["S"] == "A";
        items.iter().find(is_root).unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_brings_accounts_of_an_earlier_version_into_every_index() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for name in ["test1", "test2", "test3"] {
        accounts.push(tenure.account(&admin, name).await);
    }
    let [one, frozen, deleted] = accounts.as_slice() else { panic!() };
    tenure.call(&admin, "POST", &format!("/v1.0/customers/{}/freeze", frozen.id)).await.ok();
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", deleted.id)).await.ok();
    assert!(tenure.stack.settle().await);
    let mut written = Vec::new();
    for account in &accounts {
        written.push(tenure.root(&account.id).await);
    }
    tenure.write_as_an_earlier_version(&one.id, "name_key").await;
    tenure.write_as_an_earlier_version(&frozen.id, "name_key, due_pk, due_sk").await;
    tenure.write_as_an_earlier_version(&deleted.id, "due_pk, due_sk").await;
    tenure.delete_marker("scheduled", &frozen.id).await;
    let found = async || {
        let found = tenure.call(&admin, "GET", "/v1.0/customers?name=name%20of").await.ok();
        found["result"].as_array().unwrap().len()
    };
    assert_eq!(found().await, 0, "an account without the key is not found");
    let due = async || {
        let due = tenure.call(&admin, "GET", "/v1.0/customers?status=frozen&sort=due").await.ok();
        due["result"].as_array().unwrap().len()
    };
    assert_eq!(due().await, 0, "an account without the marker is in no list");

    // If the newest of the live accounts has been done already, the call continues after it.
    let newest = written[1]["tm_create"]["S"].as_str().unwrap();
    let older = tenure.backfill(json!({"from": newest})).await.ok();
    assert_eq!((&older["checked"], &older["changed"]), (&json!(2), &json!(1)), "{older}");
    assert_eq!(found().await, 1);
    let all = tenure.backfill(json!({})).await.ok();
    assert_eq!((&all["checked"], &all["changed"]), (&json!(3), &json!(1)), "{all}");
    assert_eq!(all["unfinished_from"], Value::Null);
    assert_eq!((found().await, due().await), (2, 1));
    for (account, written) in accounts.iter().zip(&written) {
        assert_eq!(tenure.root(&account.id).await, *written, "it is as this version writes it");
    }
    tenure.delete_marker("scheduled", &frozen.id).await;
    let marked = tenure.backfill(json!({})).await.ok();
    assert_eq!(
        (&marked["changed"], due().await),
        (&json!(1), 1),
        "where only the marker is missing"
    );
    let again = tenure.backfill(json!({})).await.ok();
    assert_eq!((&again["checked"], &again["changed"]), (&json!(3), &json!(0)), "{again}");
    let refused = tenure.backfill(json!({"from": "active"})).await;
    assert!(refused.text.contains("unfinished_from"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_keeps_what_a_later_version_has_written_and_a_deletion_erases_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let own = async |path: &str, body: Value| {
        tenure.call_with(&account.token, "POST", path, body).await.ok()
    };
    let payer = own("/v1.0/billing_accounts", json!({})).await;
    let number = own("/v1.0/numbers", json!({"data": {"a": 1}})).await;
    let agent = own("/v1.0/agents", json!({"username": "ann", "password": PASSWORD})).await;
    let key = own("/v1.0/accesskeys", json!({"expire": 86_400})).await;
    let customer = format!("/v1.0/customers/{}", account.id);
    let of_agent = format!("/v1.0/agents/{}", id(&agent));
    let of_key = format!("/v1.0/accesskeys/{}", id(&key));
    let hold = json!({"reason": "Case 7"});
    tenure.call_with(&admin, "PUT", &format!("{customer}/hold"), hold.clone()).await.ok();
    tenure.call(&admin, "DELETE", &format!("{customer}/hold")).await.ok();

    let (owner, operator) = (&account.token, &admin);
    let changes = [
        (owner, "PUT", "/v1.0/customer".to_owned(), json!({"name": "Acme", "phone_number": "+1"})),
        (owner, "PUT", "/v1.0/customer/metadata".to_owned(), json!({"rtp_debug": true})),
        (
            owner,
            "PUT",
            "/v1.0/customer/billing_account_id".to_owned(),
            json!({"billing_account_id": id(&payer)}),
        ),
        (owner, "POST", "/v1.0/customer/webhook_secret/rotate".to_owned(), json!({})),
        (owner, "PUT", format!("/v1.0/numbers/{}", id(&number)), json!({"data": {"b": 2}})),
        (owner, "PUT", of_agent.clone(), json!({"name": "Ann"})),
        (owner, "PUT", format!("{of_agent}/permission"), json!({"permission": 64})),
        (
            owner,
            "PUT",
            format!("{of_agent}/password"),
            json!({"password": format!("{PASSWORD} 2"), "current_password": PASSWORD}),
        ),
        (owner, "PUT", of_key.clone(), json!({"name": "bot"})),
        (owner, "POST", format!("{of_key}/rotate"), json!({})),
        (operator, "PUT", customer.clone(), json!({"detail": "of operators"})),
        (operator, "PUT", format!("{customer}/metadata"), json!({"rtp_debug": false})),
        (operator, "PUT", format!("{customer}/verification"), json!({"email_verified": true})),
        (operator, "PUT", format!("{customer}/hold"), hold.clone()),
        (operator, "DELETE", format!("{customer}/hold"), Value::Null),
        (operator, "POST", format!("{customer}/suspend"), json!({})),
        (operator, "POST", format!("{customer}/resume"), json!({})),
        (operator, "POST", format!("{customer}/freeze"), json!({})),
        (operator, "POST", format!("{customer}/recover"), json!({})),
        (owner, "POST", "/auth/unregister".to_owned(), json!({"password": PASSWORD})),
        (owner, "DELETE", "/auth/unregister".to_owned(), Value::Null),
    ];
    for (token, method, path, body) in changes {
        tenure.write_as_a_later_version(&[ACCOUNTS, ERASURES]).await;
        if body.is_null() {
            tenure.call(token, method, &path).await.ok();
        } else {
            tenure.call_with(token, method, &path, body).await.ok();
        }
        tenure.assert_kept(&[ACCOUNTS, ERASURES], &format!("{method} {path}")).await;
    }

    // The next requests mark a session whose token was in a URL, and record the first use of a key.
    let key = tenure.access_key(owner).await;
    tenure.write_as_a_later_version(&[ACCOUNTS, ERASURES]).await;
    tenure.send(tenure.request("GET", &format!("/v1.0/me?token={owner}"))).await.ok();
    tenure.call(&key, "GET", "/v1.0/me").await.ok();
    tenure.assert_kept(&[ACCOUNTS, ERASURES], "the use of a credential").await;

    tenure.call(&admin, "DELETE", &customer).await.ok();
    let erased = tenure.without_it(&[ACCOUNTS, ERASURES]).await;
    let pk = format!("CUSTOMER#{}", account.id);
    let root = |(_, keys): &Place| keys[0].1 == pk && keys[1].1 == "A";
    assert!(erased.iter().any(root), "a tombstone keeps nothing that may be personal");
}

#[tokio::test(flavor = "multi_thread")]
async fn publisher_deliverer_and_sender_keep_what_a_later_version_has_written() {
    // Nothing leaves the outbox: events cannot be marked as published, the receiver fails, and no mail may be
    // sent.
    let template = Template::edited(|text| {
        without_stream(text).replace("Action: [ses:SendEmail]", "Action: [ses:GetAccount]")
    });
    let mut options = template.options();
    options.parameters.insert("WebhookAllowLoopback".to_owned(), "true".to_owned());
    let (tenure, receiver) = (Tenure::start_with(options).await, Receiver::start().await);
    receiver.answer(500);
    let unmarked = json!([{"fault": "throttle", "function": "OutboxPublishFunction", "operation": "UpdateItem"}]);
    tenure.send(tenure.request("POST", "/_local/faults").json(&unmarked)).await.ok();

    let admin = tenure.admin().await;
    let mut body = new_customer("test1");
    body["webhook_uri"] = json!(receiver.url("/hook"));
    let created = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    let customer = format!("/v1.0/customers/{}", id(&created));
    for (method, path, body) in [
        ("PUT", "verification", json!({"email_verified": true})),
        ("POST", "suspend", json!({})),
        // An event about a hold is published on the bus, but sent to no webhook.
        ("PUT", "hold", json!({"reason": "Case 7"})),
    ] {
        tenure.call_with(&admin, method, &format!("{customer}/{path}"), body).await.ok();
    }
    assert!(tenure.stack.settle().await);
    tenure.send(tenure.request("DELETE", "/_local/faults")).await.ok();
    tenure.write_as_a_later_version(&[OUTBOX]).await;
    let before = tenure.items("OutboxTable").await;

    tenure.stack.advance_clock(600).await.unwrap();
    assert!(tenure.stack.settle().await);
    let after = tenure.items("OutboxTable").await;
    for (entry, changed) in [("customer_suspended", "attempts"), ("customer_held", "due_pk")] {
        let find = |items: &[Value]| items.iter().find(|item| item["type"]["S"] == entry).cloned();
        let (before, after) = (find(&before).unwrap(), find(&after).unwrap());
        assert_ne!(before[changed], after[changed], "{entry}");
    }
    let is_tried =
        |item: &Value| item["notice"]["S"] == "suspended" && item["attempts"]["N"] != "0";
    assert!(after.iter().any(is_tried), "{after:?}");
    tenure.assert_kept(&[OUTBOX], "a run").await;
}

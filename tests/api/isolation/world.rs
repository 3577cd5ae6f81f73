//! Creates the accounts of the isolation matrix, and sends its requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use shared::domain::Credential;

use super::AT_ONCE;
use super::cell::{Cell, Form, Holder, Level, Status, Target};
use super::rows::{ACCESS_KEY, CUSTOMER, IS_FROZEN, NUMBER, OK, ONESELF, OWNED, Thing, UsesUp};
use crate::harness::{Answer, Call, PASSWORD, Tenure, new_customer};

/// An id that does not exist.
const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";

/// The name of the participant in paths. Every bound key is bound to it.
const PARTICIPANT: &str = "carrier";

/// A text in every field of the foreign account (the account that is not the caller's), by which a leak is
/// recognised.
const FOREIGN: &str = "foreign-account";

/// A running stack with the accounts that call, and the accounts and items that they try to reach.
pub(super) struct World {
    pub(super) tenure: Tenure,
    admin: String,
    callers: BTreeMap<(Level, Status), Account>,
    foreign: Account,
    /// Id of a purged account.
    gone: String,
    /// A ticket, with which anybody may follow the erasure of an account that has unregistered.
    ticket: String,
    unique: AtomicUsize,
}

impl World {
    pub(super) async fn create(tenure: Tenure, levels: &[Level]) -> Self {
        let admin = tenure.admin().await;
        register(&tenure, &admin, PARTICIPANT).await;
        let mut foreign = Account::create(&tenure, &admin, FOREIGN).await;
        foreign.own_everything(&tenure).await;
        let gone = Account::create(&tenure, &admin, "gone-account").await.id;
        tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{gone}")).await.ok();
        let left = Account::create(&tenure, &admin, "left-account").await;
        let left = tenure.unregister(&left.session.valid, json!({"password": PASSWORD})).await;
        let ticket = left.ticket();
        let pairs =
            levels.iter().flat_map(|level| Status::ALL.iter().map(|status| (*level, *status)));
        let callers = stream::iter(pairs).map(async |(level, status)| {
            let name = format!("{level:?}-{status:?}-account").to_lowercase();
            let mut account = Account::create(&tenure, &admin, &name).await;
            account.own_everything(&tenure).await;
            account.add_dead_credentials(&tenure).await;
            account.add_bound_key(&tenure).await;
            account.become_(&tenure, &admin, level, status).await;
            ((level, status), account)
        });
        let callers = callers.buffer_unordered(AT_ONCE).collect().await;
        let unique = AtomicUsize::new(0);
        let world = Self { tenure, admin, callers, foreign, gone, ticket, unique };
        world.use_every_credential().await;
        assert!(world.tenure.stack.settle().await, "events keep coming");
        world
    }

    /// Restarts the stack; the accounts are the same.
    pub(super) async fn restarted(self, start: impl AsyncFnOnce() -> Tenure) -> Self {
        drop(self.tenure);
        Self { tenure: start().await, ..self }
    }

    /// Uses every valid token once in each form: the first use of a token writes, and would otherwise be
    /// blamed on a request that must write nothing.
    async fn use_every_credential(&self) {
        let tokens = self
            .callers
            .values()
            .flat_map(|account| [&account.session.valid, &account.key.valid, &account.bound.valid]);
        let forms = [Form::Bearer, Form::QueryToken, Form::QueryAccesskey];
        let uses = tokens.flat_map(|token| forms.map(|form| (form, token)));
        let uses = stream::iter(uses).map(|(form, token)| {
            self.tenure.send(with_credential(
                &self.tenure,
                "GET",
                "/v1.0/accesskeys",
                "",
                form,
                token,
            ))
        });
        uses.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    /// Waits until all background work is done; returns the write units that each function has consumed since
    /// the last call. Functions that wrote nothing are left out.
    pub(super) async fn take_writes(&self) -> BTreeMap<String, f64> {
        let stack = &self.tenure.stack;
        assert!(stack.settle().await, "the stack does not settle");
        let stats = stack.stats();
        stack.reset_stats();
        let functions = stats["functions"].as_object().unwrap().iter();
        let units = functions
            .map(|(name, function)| (name.clone(), function["dynamodb"]["wcu"].as_f64().unwrap()));
        units.filter(|(_, units)| *units > 0.0).collect()
    }

    /// Returns the items of all tables, without the counts of log-in attempts.
    pub(super) async fn tables_without_attempts(&self) -> Vec<Vec<Value>> {
        assert!(self.tenure.stack.settle().await, "the stack does not settle");
        let mut tables = Vec::new();
        for table in self.tenure.stack.tables() {
            let mut items = self.tenure.items(table).await;
            items.retain(|item| !is_count(item));
            items.iter_mut().for_each(strip_attempts);
            tables.push(items);
        }
        tables
    }

    pub(super) async fn forget_attempts(&self) {
        for mut item in self.tenure.items("AccountsTable").await {
            let before = item.clone();
            strip_attempts(&mut item);
            let [pk, sk] = ["pk", "sk"].map(|name| before[name]["S"].as_str().unwrap());
            if is_count(&before) {
                remove(&self.tenure, [pk, sk]).await;
            } else if item != before {
                let update = self.tenure.database().update_item().table_name("AccountsTable");
                let key = |text: &str| AttributeValue::S(text.to_owned());
                let update = update.key("pk", key(pk)).key("sk", key(sk));
                let update = update
                    .update_expression("REMOVE networks, attempts, wait_ms, next_at, last_at");
                update.send().await.unwrap();
            }
        }
    }

    /// Returns all items of the foreign account.
    pub(super) async fn foreign_partition(&self) -> Vec<Value> {
        let mut items = self.tenure.items("AccountsTable").await;
        items.retain(|item| item["pk"]["S"] == *partition(&self.foreign.id));
        items
    }

    pub(super) async fn send(&self, cell: &Cell) -> Answer {
        let Cell { row, form, target, holder, level, status } = *cell;
        let used_up = if cell.expected() == OK { row.uses_up } else { UsesUp::Nothing };
        let mut own_thing = None;
        let fresh = match (used_up, target) {
            (UsesUp::Account, Target::Own) => Some(self.fresh_account(level, status).await),
            // In a frozen account, nothing can be created any more.
            (UsesUp::Target, Target::Own) if status == Status::Frozen => {
                let account = Account::create(&self.tenure, &self.admin, &self.unique()).await;
                if let Some(thing) = row.target {
                    own_thing = Some(self.fresh_thing(&account, thing).await);
                }
                account.become_(&self.tenure, &self.admin, level, status).await;
                Some(account)
            }
            _ => None,
        };
        let caller = fresh.as_ref().unwrap_or(&self.callers[&(level, status)]);
        let (method, path) = row.route.split_once(' ').unwrap_or(("GET", "/nowhere"));
        let name = match used_up {
            UsesUp::Participant => {
                let name = self.unique();
                register(&self.tenure, &self.admin, &name).await;
                name
            }
            _ => PARTICIPANT.to_owned(),
        };
        let path =
            path.replace("{kind}", "numbers").replace("{name}", &name).replace("{file}", "app.js");
        let path = path.replace("{ticket}", &self.ticket);
        let (mut path, mut query) = (path, String::new());
        if let Some(thing) = row.target {
            let id = match (used_up, target) {
                (UsesUp::Target, Target::Own) => match own_thing {
                    Some(id) => id,
                    None => self.fresh_thing(caller, thing).await,
                },
                (UsesUp::Target, Target::Named) => self.fresh_thing(&self.foreign, thing).await,
                (UsesUp::Account, Target::Foreign) => self.fresh_account(level, row.from).await.id,
                _ => self.id(caller, thing, target),
            };
            path = path.replace("{id}", &id);
        }
        if cell.names_another() {
            query = format!("customer_id={}", self.foreign.id);
        }
        let tokens = match holder {
            Holder::Session => &caller.session,
            Holder::AccessKey => &caller.key,
            Holder::BoundKey => &caller.bound,
        };
        let token = match form {
            Form::Expired => tokens.expired.clone(),
            Form::Revoked => tokens.revoked.clone(),
            Form::Garbage => broken(&tokens.valid),
            _ => tokens.valid.clone(),
        };
        // None of these headers may identify the caller.
        let request = with_credential(&self.tenure, method, &path, &query, form, &token)
            .header("x-customer-id", &self.foreign.id)
            .header("cookie", &format!("customer_id={}; token={}", self.foreign.id, self.admin))
            .header("x-forwarded-for", "192.0.2.1");
        self.tenure.send(self.with_body(request, row.body, &caller.username)).await
    }

    /// Compares a response with the expected one; returns what is wrong with it, or `None`.
    pub(super) fn judge(&self, cell: &Cell, answer: &Answer) -> Option<String> {
        let (expected, error) = (cell.expected(), &answer.body["error"]);
        let reason = error["reason"].as_str().unwrap_or_default();
        let wrong = if (answer.status, reason) != expected {
            format!("wants {expected:?}, got {} {reason}", answer.status)
        } else if expected != OK && !is_whole(answer) {
            format!("the envelope lacks something: {}", answer.text)
        } else if expected == IS_FROZEN && !tells_the_way_back(&error["details"]) {
            format!("does not tell the way back: {}", answer.text)
        } else if self.shows_foreign(answer) && (expected != OK || !cell.gets_across()) {
            format!("shows a foreign account: {}", answer.text)
        } else {
            return None;
        };
        Some(format!("{cell}: {wrong}"))
    }

    fn shows_foreign(&self, answer: &Answer) -> bool {
        answer.text.contains(FOREIGN) || answer.text.contains(&self.foreign.id)
    }

    fn id(&self, caller: &Account, thing: &Thing, target: Target) -> String {
        let of = |account: &Account, which: usize| match () {
            () if *thing == CUSTOMER => account.id.clone(),
            () if *thing == ONESELF => account.agent(),
            () => account.things[thing.collection][which].clone(),
        };
        match target {
            Target::Own => of(caller, 0),
            Target::Foreign | Target::Named => of(&self.foreign, 0),
            Target::Deleted if *thing == CUSTOMER => self.gone.clone(),
            Target::Deleted => of(caller, 1),
            Target::Missing => MISSING.to_owned(),
            Target::Malformed => of(&self.foreign, 0).replace('-', ""),
        }
    }

    fn with_body(&self, call: Call, body: &str, username: &str) -> Call {
        if body.is_empty() {
            return call;
        }
        let body = filled(body, username, &self.unique());
        call.header("content-type", "application/json").body(body)
    }

    fn unique(&self) -> String {
        format!("fresh-{}-account", self.unique.fetch_add(1, Ordering::Relaxed))
    }

    async fn fresh_account(&self, level: Level, status: Status) -> Account {
        let account = Account::create(&self.tenure, &self.admin, &self.unique()).await;
        account.become_(&self.tenure, &self.admin, level, status).await;
        account
    }

    async fn fresh_thing(&self, owner: &Account, thing: &Thing) -> String {
        // As the operator: a project admin has to name the account of a new number anyway.
        let created = if *thing == NUMBER {
            let path = format!("{}?customer_id={}", thing.collection, owner.id);
            self.tenure.call_with(&self.admin, "POST", &path, json!({})).await.ok()
        } else {
            create(&self.tenure, &owner.session.valid, thing, &self.unique()).await
        };
        created["id"].as_str().unwrap().to_owned()
    }
}

/// An account with one agent, its credentials, and the items that it owns.
struct Account {
    id: String,
    username: String,
    session: Tokens,
    key: Tokens,
    /// An access key that is bound to a participant. Only its valid token is used here.
    bound: Tokens,
    /// Sort keys of the items that store a permission: the agent and its access key.
    permitted: Vec<String>,
    /// Ids of the account's items by collection: first an existing item, then a deleted one.
    things: BTreeMap<&'static str, Vec<String>>,
}

#[derive(Default)]
struct Tokens {
    valid: String,
    expired: String,
    revoked: String,
}

impl Account {
    /// Creates an account whose only agent is an admin.
    async fn create(tenure: &Tenure, admin: &str, username: &str) -> Self {
        let mut body = new_customer(username);
        // Without a webhook: its deliveries would write, and be mistaken for writes of a request.
        body["webhook_uri"] = json!("");
        let created = tenure.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
        let id = created["id"].as_str().unwrap().to_owned();
        let session = Tokens { valid: tenure.login(username, PASSWORD).await, ..Tokens::default() };
        let key = Tokens { valid: tenure.access_key(&session.valid).await, ..Tokens::default() };
        let mut permitted = tenure.partition(&id).await;
        permitted.retain(|sk| sk.starts_with("AGENT#") || sk.starts_with("KEY#"));
        let things = BTreeMap::new();
        let bound = Tokens::default();
        Self { id, username: username.to_owned(), session, key, bound, permitted, things }
    }

    /// Creates two items in every collection, and deletes the second one of each.
    async fn own_everything(&mut self, tenure: &Tenure) {
        let token = &self.session.valid;
        for thing in OWNED {
            let mut ids = Vec::new();
            for number in 0..2 {
                let unique = format!("{}-{number}", self.username);
                let created = create(tenure, token, thing, &unique).await;
                ids.push(created["id"].as_str().unwrap().to_owned());
            }
            let path = format!("{}/{}", thing.collection, ids[1]);
            tenure.call(token, "DELETE", &path).await.ok();
            self.things.insert(thing.collection, ids);
        }
    }

    /// Returns the id of the account's agent.
    fn agent(&self) -> String {
        let mut ids = self.permitted.iter().filter_map(|sk| sk.strip_prefix("AGENT#"));
        ids.next().expect("an agent").to_owned()
    }

    /// Adds credentials that have expired but are still stored, and credentials that are revoked.
    async fn add_dead_credentials(&mut self, tenure: &Tenure) {
        let session = async || {
            let token = tenure.login(&self.username, PASSWORD).await;
            let Some(Credential::Session { agent, session, .. }) = Credential::parse(&token) else {
                panic!("{token}")
            };
            let sk = format!("SESSION#{}{}", agent.uuid().simple(), session.uuid().simple());
            (token, sk)
        };
        let key = async || {
            let key = create(tenure, &self.session.valid, &ACCESS_KEY, "").await;
            let sk = format!("KEY#{}", key["id"].as_str().unwrap());
            (key["token"].as_str().unwrap().to_owned(), sk)
        };
        let past = || AttributeValue::S("2020-01-01T00:00:00Z".to_owned());
        let ((session_expired, sk), (key_expired, key_sk)) = (session().await, key().await);
        let past_second = AttributeValue::N("1577836800".to_owned());
        set(tenure, &self.id, &sk, "expires_at", past_second).await;
        for sk in [sk, key_sk] {
            set(tenure, &self.id, &sk, "tm_expire", past()).await;
        }
        let ((session_revoked, sk), (key_revoked, key_sk)) = (session().await, key().await);
        remove(tenure, [&partition(&self.id), &sk]).await;
        let path = format!("/v1.0/accesskeys/{}", key_sk.trim_start_matches("KEY#"));
        tenure.call(&self.session.valid, "DELETE", &path).await.ok();
        (self.session.expired, self.session.revoked) = (session_expired, session_revoked);
        (self.key.expired, self.key.revoked) = (key_expired, key_revoked);
    }

    /// Adds an access key that is bound to a participant, by editing the item of an ordinary key: only
    /// project admins can create bound keys through the API.
    async fn add_bound_key(&mut self, tenure: &Tenure) {
        let key = create(tenure, &self.session.valid, &ACCESS_KEY, "").await;
        let sk = format!("KEY#{}", key["id"].as_str().unwrap());
        set(tenure, &self.id, &sk, "permission", AttributeValue::N("0".to_owned())).await;
        let participant = AttributeValue::S(PARTICIPANT.to_owned());
        put(tenure, &self.id, &sk, "participant", participant).await;
        key["token"].as_str().unwrap().clone_into(&mut self.bound.valid);
    }

    /// Sets the permission of the agent and its key, and the state of the account.
    async fn become_(&self, tenure: &Tenure, admin: &str, level: Level, status: Status) {
        if status == Status::Frozen {
            tenure.unregister(&self.session.valid, json!({"password": PASSWORD})).await.ok();
        }
        for sk in &self.permitted {
            set(tenure, &self.id, sk, "permission", AttributeValue::N(level.bits().to_string()))
                .await;
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let path = |below: &str| format!("/v1.0/customers/{}{below}", self.id);
        if status == Status::Held {
            let reason = json!({"reason": "Case 7"});
            tenure.call_with(admin, "PUT", &path("/hold"), reason).await.ok();
        }
        if status == Status::Suspended {
            tenure.call(admin, "POST", &path("/suspend")).await.ok();
        }
        match status {
            Status::Initial | Status::Frozen => {}
            // In this stack, which sends no mail, no address can be verified.
            Status::Active | Status::Held | Status::Suspended => {
                set(tenure, &self.id, "A", "status", text("active")).await;
            }
            // The state between deletion and purge.
            Status::Deleted => set(tenure, &self.id, "A", "status", text("deleted")).await,
            Status::Purged => {
                tenure.call(admin, "DELETE", &format!("/v1.0/customers/{}", self.id)).await.ok();
            }
        }
    }
}

async fn create(tenure: &Tenure, token: &str, thing: &Thing, unique: &str) -> Value {
    let body = serde_json::from_str(&filled(thing.new, "", unique)).unwrap();
    tenure.call_with(token, "POST", thing.collection, body).await.ok()
}

fn filled(body: &str, username: &str, unique: &str) -> String {
    let body = body.replace("$username", username).replace("$password", PASSWORD);
    body.replace("$unique", unique)
}

fn with_credential(
    tenure: &Tenure,
    method: &str,
    path: &str,
    query: &str,
    form: Form,
    token: &str,
) -> Call {
    let (bearers, parameters) = match form {
        Form::Nothing => (0, String::new()),
        Form::QueryToken => (0, format!("token={token}")),
        Form::QueryAccesskey => (0, format!("accesskey={token}")),
        Form::TwoInQuery => (0, format!("token={token}&accesskey={token}")),
        Form::HeaderAndQuery => (1, format!("token={token}")),
        Form::TwoHeaders => (2, String::new()),
        Form::Bearer | Form::Expired | Form::Revoked | Form::Garbage => (1, String::new()),
    };
    let query = [query, &parameters]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("&");
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    (0..bearers).fold(tenure.request(method, &uri), |call, _| call.bearer(token))
}

/// Returns the token with its last character changed.
fn broken(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn partition(id: &str) -> String {
    format!("CUSTOMER#{id}")
}

fn is_count(item: &Value) -> bool {
    let pk = item["pk"]["S"].as_str().unwrap_or_default();
    ["THROTTLE#", "REQUESTS#", "NETWORK#"].iter().any(|kind| pk.starts_with(kind))
}

/// Removes the counts of log-in attempts from an item that also has other attributes: a session, or the lock
/// of a user name. The lock has a count for each known network.
fn strip_attempts(item: &mut Value) {
    let is_session = item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("SESSION#"));
    let Some(item) = item.as_object_mut() else { return };
    if is_session {
        for counted in ["attempts", "wait_ms", "next_at", "last_at"] {
            item.remove(counted);
        }
    }
    item.remove("networks");
}

fn is_whole(answer: &Answer) -> bool {
    let error = &answer.body["error"];
    let is_text = |name: &&str| error[*name].as_str().is_some_and(|text| !text.is_empty());
    ["status", "reason", "message", "request_id"].iter().all(is_text)
        && answer
            .headers
            .get("x-request-id")
            .is_some_and(|id| *id == error["request_id"].as_str().unwrap_or_default())
        && answer.headers.get("cache-control").is_some_and(|value| value == "no-store")
}

fn tells_the_way_back(details: &Value) -> bool {
    details[0]["deletion_effective_at"].is_string()
        && details[0]["deletion_scheduled_at"].is_string()
        && details[0]["recovery_endpoint"] == "DELETE /auth/unregister"
}

/// Registers a participant.
async fn register(tenure: &Tenure, admin: &str, name: &str) {
    let path = format!("/v1.0/participants/{name}");
    tenure.call_with(admin, "PUT", &path, json!({"required": true})).await.ok();
}

/// Changes an attribute that the item has.
async fn set(tenure: &Tenure, id: &str, sk: &str, name: &str, value: AttributeValue) {
    update(tenure, [id, sk], "attribute_exists(#name)", name, value).await;
}

/// Adds an attribute that the item does not have.
async fn put(tenure: &Tenure, id: &str, sk: &str, name: &str, value: AttributeValue) {
    let is_new = "attribute_exists(pk) AND attribute_not_exists(#name)";
    update(tenure, [id, sk], is_new, name, value).await;
}

async fn update(
    tenure: &Tenure,
    [id, sk]: [&str; 2],
    condition: &str,
    name: &str,
    value: AttributeValue,
) {
    let update = tenure
        .database()
        .update_item()
        .table_name("AccountsTable")
        .key("pk", AttributeValue::S(partition(id)))
        .key("sk", AttributeValue::S(sk.to_owned()))
        .condition_expression(condition)
        .update_expression("SET #name = :value")
        .expression_attribute_names("#name", name)
        .expression_attribute_values(":value", value);
    update.send().await.expect("an item to change");
}

async fn remove(tenure: &Tenure, [pk, sk]: [&str; 2]) {
    let delete = tenure
        .database()
        .delete_item()
        .table_name("AccountsTable")
        .key("pk", AttributeValue::S(pk.to_owned()))
        .key("sk", AttributeValue::S(sk.to_owned()));
    delete.send().await.unwrap();
}

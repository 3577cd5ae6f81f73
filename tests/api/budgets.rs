//! The number of database calls and the capacity of every endpoint, compared with the budgets in
//! `infra/budgets.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{read_dir, read_to_string};

use serde_json::{Value, json};
use shared::domain::participant::{ParticipantName, TIMEOUT};
use shared::domain::participation::{Participating, Participation};
use shared::domain::{Id, Timestamp};

use crate::harness::{
    Call, PASSWORD, Template, Tenure, mailing_with, new_customer, options_with, quick, root, slow,
    ticket_of,
};
use crate::pages::{FILES, PAGES};
use crate::{participants, participants_answers};

/// Number of columns of the table in `infra/budgets.md` that are compared as text.
const COLUMNS: usize = 5;

/// Average cost of counting a request against its quota, in calls and in write units: only one request in
/// eight is counted.
const COUNT: f64 = 0.125;

/// Dollars per million read and write units.
const RCU_PRICE: f64 = 0.125;
const WCU_PRICE: f64 = 0.625;

/// The budgeted or measured cost of a request.
#[derive(PartialEq)]
struct Cost {
    /// First columns of the request's row in `infra/budgets.md`: request, steps, calls, RCU, WCU.
    cells: [String; COLUMNS],
    /// Write units by table and index.
    written: BTreeMap<String, f64>,
}

impl Cost {
    fn request(&self) -> &str {
        &self.cells[0]
    }

    /// Returns the DynamoDB usage of `function` for a request. Whether a request is counted against its quota
    /// is random, so the cost of counting in this run (`counted`, in calls and write units) is replaced by
    /// the mean (`average`).
    fn measured(request: &str, function: &Value, counted: f64, average: f64) -> Self {
        let cost = &function["dynamodb"];
        let units = |value: &Value, is_counted: bool| {
            let units = value.as_f64().unwrap();
            if is_counted { units - counted + average } else { units }
        };
        let mut counts: BTreeMap<&str, f64> = cost["calls"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, count)| (name.as_str(), units(count, name == "UpdateItem")))
            .collect();
        if average > 0.0 {
            counts.entry("UpdateItem").or_insert(average);
        }
        let asked: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let mut written: BTreeMap<String, f64> = cost["written"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(place, sum)| (label(place), units(sum, place == "AccountsTable")))
            .collect();
        if average > 0.0 {
            written.entry("accounts".to_owned()).or_insert(average);
        }
        written.retain(|_, units| *units > 0.0);
        let cells = [
            request.to_owned(),
            cost["steps"].to_string(),
            asked.join(", "),
            units(&cost["rcu"], false).to_string(),
            units(&cost["wcu"], true).to_string(),
        ];
        Self { cells, written }
    }
}

/// A row of the table in `infra/budgets.md`.
struct Budget {
    cost: Cost,
    /// Dollars per million requests, as the row states them: for the measured units, and for the fewest units
    /// possible.
    prices: [f64; 2],
    /// The same two prices, computed from the row's units.
    computed: [f64; 2],
}

fn budgets() -> Vec<Budget> {
    let text = read_to_string(root().join("infra/budgets.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [.., price, least, places] = cells.as_slice() else { panic!("{row}: too few columns") };
        let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{row}: {text}"));
        let places: Vec<_> =
            places.split(';').filter(|place| !place.is_empty()).map(parts).collect();
        let (rcu, wcu) = (number(cells[3]), number(cells[4]));
        let read = if rcu > 0.0 { 1.0 } else { 0.0 };
        let least_wcu: f64 = places.iter().map(least_written).sum();
        Budget {
            prices: [number(price), number(least)],
            computed: [rcu * RCU_PRICE + wcu * WCU_PRICE, read * RCU_PRICE + least_wcu * WCU_PRICE],
            cost: Cost {
                cells: std::array::from_fn(|cell| cells[cell].trim_end_matches('`').to_owned()),
                written: places.into_iter().map(|(place, parts)| (place, sum(&parts))).collect(),
            },
        }
    })
    .collect()
}

/// Parses a text like `accounts: account 2, agent 2`: the name of a table or index, and the write units of
/// each item that is written there.
fn parts(text: &str) -> (String, Vec<(&str, f64)>) {
    let (place, parts) = text.split_once(':').unwrap_or_else(|| panic!("{text}: no place"));
    let units = parts.split(',').map(|part| {
        let part = part.trim().rsplit_once(' ');
        let part = part.and_then(|(name, units)| Some((name, units.parse::<f64>().ok()?)));
        part.unwrap_or_else(|| panic!("{text}: a part has no units"))
    });
    (place.trim().to_owned(), units.collect())
}

fn sum(parts: &[(&str, f64)]) -> f64 {
    parts.iter().map(|(_, units)| units).sum()
}

/// Returns the fewest write units that writing these items could take: each item is written once, without a
/// transaction, which would double the units. Counters and condition checks are left out.
fn least_written((place, parts): &(String, Vec<(&str, f64)>)) -> f64 {
    let is_extra =
        |name: &str| name == "count" || name.contains("attempt") || name.ends_with("checked");
    parts
        .iter()
        .filter(|(name, _)| !is_extra(name))
        .map(|(_, units)| if place.contains('/') || *units < 2.0 { *units } else { units / 2.0 })
        .sum()
}

/// The costs of all requests made so far, and the stack that they are sent to.
struct Bill {
    tenure: Tenure,
    /// Whether the first transaction of each request fails, as if it conflicted with another one.
    is_contended: bool,
    budgets: Vec<Budget>,
    costs: Vec<Cost>,
    /// Names of the binaries that computed a password hash.
    hashing: BTreeSet<String>,
    /// The ticket from the last unregistration; empty until there is one.
    ticket: String,
}

impl Bill {
    /// Sends a request to `path`, and records its cost in the row of `route`.
    async fn pay(&mut self, route: &str, token: &str, path: &str, body: Option<Value>) -> Value {
        self.pay_as(route, "", token, path, body).await
    }

    /// Like [`Self::pay`], but records the cost in a row of its own, whose name is the route followed by
    /// `variant`.
    async fn pay_as(
        &mut self,
        route: &str,
        variant: &str,
        token: &str,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        let tenure = &self.tenure;
        assert!(tenure.stack.settle().await);
        tenure.stack.reset_stats();
        if self.is_contended {
            tenure.meet_others(&[&function(route)]).await;
        }
        let call = tenure.request(route.split(' ').next().unwrap(), path);
        let call = if token.is_empty() { call } else { call.bearer(token) };
        let call = body.iter().fold(call, Call::json);
        let answer = tenure.send(call).await;
        if let Some(ticket) = ticket_of(&answer.headers) {
            self.ticket = ticket;
        }
        let answer = answer.ok();
        let stats = tenure.stack.stats();
        // Only this function's costs: the publisher may be working at the same time.
        let function = &stats["functions"][function(route)];
        if function["hashes"] != 0 {
            self.hashing.insert(binary(route));
        }
        let request = format!("{route}{variant}");
        let measured = |counted, average| Cost::measured(&request, function, counted, average);
        // Whether a request was counted against its quota is random.
        let either = [measured(0.0, COUNT), measured(1.0, COUNT)];
        let is_budget = |cost: &Cost| self.budgets.iter().any(|budget| budget.cost == *cost);
        let cost = either.into_iter().find(is_budget).unwrap_or_else(|| measured(0.0, 0.0));
        self.costs.push(cost);
        answer
    }
}

/// Returns the name of the binary behind `route`.
fn binary(route: &str) -> String {
    Template::functions()[route].clone()
}

/// Returns the logical id of the function behind `route`.
fn function(route: &str) -> String {
    let binary = binary(route);
    let words = binary.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Function"
}

/// Returns the name of a table or index as it appears in `infra/budgets.md`.
fn label(place: &str) -> String {
    place.replace("Table", "").to_lowercase()
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_costs_its_budget() {
    // The groups of requests run concurrently, each on a stack of its own: they mostly wait for slow tables.
    let (sessions, owned, leaving, mailed) = tokio::join!(
        measure(sessions_and_accounts, false),
        measure(owned_items, false),
        measure(unregistration_and_deletion, false),
        measure(requests_for_mail, false)
    );
    let routes = sessions.tenure.stack.routes().to_vec();
    let (mut costs, mut hashing) = (Vec::new(), BTreeSet::new());
    for bill in [sessions, owned, leaving, mailed] {
        costs.extend(bill.costs);
        hashing.extend(bill.hashing);
    }
    let budgets = budgets();

    let mut wrong = String::new();
    let is_budget = |cost: &Cost| budgets.iter().any(|budget| budget.cost == *cost);
    for cost in costs.iter().filter(|cost| !is_budget(cost)) {
        let places = cost.written.iter().map(|(place, units)| format!("{place}: ? {units}"));
        let places = places.collect::<Vec<_>>().join("; ");
        let cells = cost.cells[1..].join(" | ");
        writeln!(wrong, "| `{}` | {cells} | ? | ? | {places} |", cost.request()).unwrap();
    }
    assert!(wrong.is_empty(), "measured costs that differ from infra/budgets.md:\n{wrong}");

    for Budget { cost, prices, computed } in &budgets {
        let is_rounded = |(price, exact): (&f64, &f64)| (price - exact).abs() < 0.0051;
        let are_right = prices.iter().zip(computed).all(is_rounded);
        assert!(are_right, "{}: prices {prices:?}, computed {computed:?}", cost.request());
    }

    let paid: BTreeSet<&str> = costs.iter().map(Cost::request).collect();
    let budgeted: BTreeSet<&str> = budgets.iter().map(|budget| budget.cost.request()).collect();
    assert_eq!(paid, budgeted, "every row has a request here, and every request a row");
    // The fallback for unknown routes needs no budget: it makes no database calls.
    for route in routes.iter().filter(|route| *route != "$default") {
        assert!(paid.contains(route.as_str()), "add a row to infra/budgets.md for {route}");
    }
    assert_eq!(hashing, prepared_to_hash(), "exactly the functions that hash use hashing_main!");
}

/// No request fails because a concurrent transaction came first.
#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_succeeds_when_its_first_transaction_meets_another() {
    tokio::join!(
        measure(sessions_and_accounts, true),
        measure(owned_items, true),
        measure(unregistration_and_deletion, true),
        measure(requests_for_mail, true)
    );
}

/// Runs `part`, a series of requests, against a stack of its own. Its purge schedule is practically off, so
/// that no purge adds to the counts.
async fn measure(part: impl AsyncFnOnce(&mut Bill), is_contended: bool) -> Bill {
    let options = options_with("PurgeSchedule", "rate(365 days)");
    let options = if is_contended { quick(options) } else { slow(options) };
    let tenure = Tenure::start_with(options).await;
    let budgets = budgets();
    let (costs, hashing) = (Vec::new(), BTreeSet::new());
    let ticket = String::new();
    let mut bill = Bill { tenure, is_contended, budgets, costs, hashing, ticket };
    part(&mut bill).await;
    bill
}

/// Returns the names of the binaries that allocate the memory for password hashes when they start.
fn prepared_to_hash() -> BTreeSet<String> {
    let files = read_dir(root().join("functions/src/bin")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let prepared = files.filter(|file| read_to_string(file).unwrap().contains("hashing_main!"));
    prepared.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

async fn sessions_and_accounts(bill: &mut Bill) {
    let admin = bill.tenure.admin().await;
    let login = |name: &str| Some(json!({"username": name, "password": PASSWORD}));
    let (customers, one) = ("/v1.0/customers", "/v1.0/customers/{id}");
    let created =
        bill.pay("POST /v1.0/customers", &admin, customers, Some(new_customer("test1"))).await;
    let path = format!("{customers}/{}", id(&created));
    let at = |below: &str| format!("{path}{below}");
    let token =
        bill.pay("POST /auth/login", "", "/auth/login", login("test1")).await["token"].clone();
    let token = token.as_str().unwrap();
    let known = " from a known network";
    bill.pay_as("POST /auth/login", known, "", "/auth/login", login("test1")).await;

    for (variant, query) in [
        ("", ""),
        ("?status=", "?status=initial"),
        ("?name=", "?name=n"),
        ("?email=", "?email=test1@example.com"),
        ("?deleted=true", "?deleted=true"),
    ] {
        let path = format!("{customers}{query}");
        bill.pay_as("GET /v1.0/customers", variant, &admin, &path, None).await;
    }
    bill.pay(&format!("GET {one}"), &admin, &path, None).await;
    let update = Some(json!({"detail": "x"}));
    bill.pay(&format!("PUT {one}"), &admin, &path, update).await;
    let rename = Some(json!({"name": "Zebra"}));
    bill.pay_as(&format!("PUT {one}"), " with name", &admin, &path, rename).await;
    let email = Some(json!({"email": "y@example.com"}));
    bill.pay_as(&format!("PUT {one}"), " with email", &admin, &path, email).await;
    let switch = Some(json!({"rtp_debug": true}));
    bill.pay(&format!("PUT {one}/metadata"), &admin, &at("/metadata"), switch.clone()).await;
    let payer =
        bill.tenure.call_with(token, "POST", "/v1.0/billing_accounts", json!({})).await.ok();
    let pays = Some(json!({"billing_account_id": payer["id"]}));
    let route = format!("PUT {one}/billing_account_id");
    bill.pay(&route, &admin, &at("/billing_account_id"), pays.clone()).await;

    let route = format!("PUT {one}/verification");
    let known = Some(json!({"identity_verification_status": "pending"}));
    bill.pay(&route, &admin, &at("/verification"), known).await;
    let proven = Some(json!({"email_verified": true}));
    bill.pay_as(&route, " of the address", &admin, &at("/verification"), proven).await;

    let own = "/v1.0/customer";
    bill.pay("GET /v1.0/customer", token, own, None).await;
    bill.pay("PUT /v1.0/customer", token, own, Some(json!({"detail": "y"}))).await;
    let email = Some(json!({"email": "z@example.com", "current_password": PASSWORD}));
    bill.pay_as("PUT /v1.0/customer", " with email", token, own, email).await;
    let path = format!("{own}/metadata");
    bill.pay("PUT /v1.0/customer/metadata", token, &path, Some(json!({"rtp_debug": false}))).await;
    let path = format!("{own}/billing_account_id");
    bill.pay("PUT /v1.0/customer/billing_account_id", token, &path, pays).await;
    bill.pay("GET /v1.0/events", token, "/v1.0/events", None).await;
    bill.pay_as("GET /v1.0/events", "?type=", token, "/v1.0/events?type=customer_updated", None)
        .await;
    bill.pay("GET /v1.0/me", token, "/v1.0/me", None).await;
    bill.pay("GET /v1.0/erasure-keys", "", "/v1.0/erasure-keys", None).await;
    bill.pay("GET /ping", "", "/ping", None).await;

    // With an account of its own: logging out everywhere ends all sessions of the agent.
    let out = bill.tenure.account(&admin, "out").await.token;
    let everywhere = Some(json!({"everywhere": true}));
    bill.pay_as("POST /auth/logout", " everywhere", &out, "/auth/logout", everywhere).await;
    let out = bill.tenure.login("out", PASSWORD).await;
    bill.pay("POST /auth/logout", &out, "/auth/logout", None).await;
}

async fn owned_items(bill: &mut Bill) {
    let admin = bill.tenure.admin().await;
    let account = bill.tenure.account(&admin, "owner").await;
    let token = account.token.as_str();

    let agents = "/v1.0/agents";
    let ann = Some(json!({"username": "ann", "password": PASSWORD}));
    let ann = bill.pay("POST /v1.0/agents", token, agents, ann).await;
    let mut bob = json!({"username": "bob", "password": PASSWORD, "permission": 32});
    bob["current_password"] = json!(PASSWORD);
    bill.pay_as("POST /v1.0/agents", " of an admin", token, agents, Some(bob)).await;
    let ann = format!("{agents}/{}", id(&ann));
    bill.pay("GET /v1.0/agents", token, agents, None).await;
    let theirs = format!("{agents}?customer_id={}", account.id);
    bill.pay_as("GET /v1.0/agents", "?customer_id=", &admin, &theirs, None).await;
    bill.pay("GET /v1.0/agents/{id}", token, &ann, None).await;
    bill.pay("PUT /v1.0/agents/{id}", token, &ann, Some(json!({"name": "x"}))).await;
    let path = format!("{ann}/permission");
    let manager = Some(json!({"permission": 64}));
    let route = "PUT /v1.0/agents/{id}/permission";
    bill.pay(route, token, &path, manager).await;
    let admin_too = Some(json!({"permission": 32, "current_password": PASSWORD}));
    bill.pay_as(route, " of an admin", token, &path, admin_too).await;
    let path = format!("{ann}/password");
    let password = Some(json!({"password": PASSWORD, "current_password": PASSWORD}));
    bill.pay("PUT /v1.0/agents/{id}/password", token, &path, password).await;
    bill.pay("DELETE /v1.0/agents/{id}", token, &ann, None).await;
    let me = bill.tenure.call(token, "GET", "/v1.0/me").await.ok();
    let (route, path) =
        ("PUT /v1.0/agents/{id}/password", format!("{agents}/{}/password", id(&me)));
    let own = Some(json!({"password": PASSWORD, "current_password": PASSWORD}));
    bill.pay_as(route, " of one's own", token, &path, own).await;
    bill.tenure.access_key(token).await;
    let with_keys = Some(json!({"password": PASSWORD, "current_password": PASSWORD, "keys": true}));
    bill.pay_as(route, " of one's own and one key", token, &path, with_keys).await;

    let keys = "/v1.0/accesskeys";
    let key = bill.pay("POST /v1.0/accesskeys", token, keys, Some(json!({"expire": 86_400}))).await;
    let secret = key["token"].as_str().unwrap();
    let key = format!("{keys}/{}", id(&key));
    bill.pay("GET /v1.0/accesskeys", token, keys, None).await;
    bill.pay_as("GET /v1.0/me", " with a key's first use of a day", secret, "/v1.0/me", None).await;
    bill.pay("GET /v1.0/accesskeys/{id}", token, &key, None).await;
    bill.pay("PUT /v1.0/accesskeys/{id}", token, &key, Some(json!({"name": "x"}))).await;
    let path = format!("{key}/rotate");
    bill.pay("POST /v1.0/accesskeys/{id}/rotate", token, &path, Some(json!({}))).await;
    bill.pay("DELETE /v1.0/accesskeys/{id}", token, &key, None).await;

    let (participants, carrier) = ("/v1.0/participants", "/v1.0/participants/carrier");
    let one = format!("{participants}/{{name}}");
    let required = Some(json!({"required": true}));
    bill.pay(&format!("PUT {one}"), &admin, carrier, required).await;
    bill.pay(&format!("GET {one}"), &admin, carrier, None).await;
    bill.pay(&format!("GET {participants}"), &admin, participants, None).await;
    bill.pay("GET /v1.0/purge", &admin, "/v1.0/purge", None).await;
    let bound = Some(json!({"expire": 86_400, "participant": "carrier"}));
    bill.pay_as("POST /v1.0/accesskeys", " of a participant", &admin, keys, bound).await;
    let (route, path) = (format!("GET {one}/requests"), format!("{carrier}/requests"));
    bill.pay_as(&route, " without any", &admin, &path, None).await;
    let name = ParticipantName::parse("carrier").unwrap();
    let asked = Participating { name, required: true, timeout: TIMEOUT };
    let now = Timestamp::from_micros(bill.tenure.now().await.as_microsecond()).unwrap();
    let part = Participation::new(Id::new(now, [7; 10]), 1, &asked, now, now);
    participants::insert(&bill.tenure, &part).await;
    bill.pay(&route, &admin, &path, None).await;
    bill.pay(&format!("DELETE {one}"), &admin, carrier, None).await;

    let sessions = "/v1.0/sessions";
    bill.tenure.login("owner", PASSWORD).await;
    let list = bill.pay("GET /v1.0/sessions", token, sessions, None).await;
    let path = format!("{sessions}/{}", id(&list["result"][0]));
    bill.pay("DELETE /v1.0/sessions/{id}", token, &path, None).await;

    let numbers = "/v1.0/numbers";
    let number = bill.pay("POST /v1.0/{kind}", token, numbers, Some(json!({}))).await;
    let number = format!("{numbers}/{}", id(&number));
    let theirs = format!("{number}?customer_id={}", account.id);
    bill.pay("GET /v1.0/{kind}", token, numbers, None).await;
    bill.pay("GET /v1.0/{kind}/{id}", token, &number, None).await;
    bill.pay_as("GET /v1.0/{kind}/{id}", "?customer_id=", &admin, &theirs, None).await;
    bill.pay("PUT /v1.0/{kind}/{id}", token, &number, Some(json!({"name": "x"}))).await;
    bill.pay("DELETE /v1.0/{kind}/{id}", token, &number, None).await;

    let (test, rotate) = ("/v1.0/customer/webhook_test", "/v1.0/customer/webhook_secret/rotate");
    bill.pay(&format!("POST {rotate}"), token, rotate, Some(json!({}))).await;
    let delivery = bill.pay(&format!("POST {test}"), token, test, Some(json!({}))).await;
    let deliveries = "/v1.0/webhook_deliveries";
    bill.pay("GET /v1.0/webhook_deliveries", token, deliveries, None).await;
    let path = format!("{deliveries}/{}/resend", id(&delivery));
    bill.pay("POST /v1.0/webhook_deliveries/{id}/resend", token, &path, Some(json!({}))).await;

    bill.tenure.stack.advance_clock(3600).await.unwrap();
    let first = " with a session's first use of an hour";
    bill.pay_as("GET /v1.0/sessions", first, token, sessions, None).await;
}

/// Sends the requests that work only if the installation sends mail.
async fn requests_for_mail(bill: &mut Bill) {
    let purge = ("PurgeSchedule", "rate(365 days)");
    let options = mailing_with([purge]);
    let options = if bill.is_contended { quick(options) } else { slow(options) };
    bill.tenure = Tenure::start_with(options).await;
    for page in PAGES.into_iter().chain(FILES) {
        bill.pay(&format!("GET {page}"), "", page, None).await;
    }
    bill.pay("GET /console", "", "/console", None).await;
    bill.pay("GET /console/{file}", "", "/console/app.js", None).await;
    let (sign_up, verify) = ("/auth/signup", "/auth/email-verify");
    let body = json!({"email": "ann@example.com", "accepted_tos": true, "name": "Ann Ltd"});
    bill.pay(&format!("POST {sign_up}"), "", sign_up, Some(body)).await;
    let resend = format!("{verify}/resend");
    let body = json!({"email": "ann@example.com"});
    bill.pay(&format!("POST {resend}"), "", &resend, Some(body)).await;
    let token = bill.tenure.mailed_token("ann@example.com").await;
    let route = format!("POST {verify}");
    let body = json!({"token": token, "password": PASSWORD});
    bill.pay_as(&route, "", "", verify, Some(body)).await;
    let admin = bill.tenure.admin().await;
    bill.tenure.account(&admin, "test1").await;
    let token = bill.tenure.mailed_token("test1@example.com").await;
    bill.pay_as(&route, " of an account", "", verify, Some(json!({"token": token}))).await;

    let link = "/auth/unregister-link";
    let body = json!({"email": "test1@example.com"});
    bill.pay(&format!("POST {link}"), "", link, Some(body)).await;
    let token = json!({"token": bill.tenure.mailed_token("test1@example.com").await});
    let by_link = "/auth/unregister-by-link";
    bill.pay(&format!("POST {by_link}"), "", by_link, Some(token)).await;

    let (bob, customers, agents) = ("bob@example.org", "/v1.0/customers", "/v1.0/agents");
    let name = |username: &str| Some(json!({"username": username}));
    let invited = " with an invitation";
    bill.pay_as("POST /v1.0/customers", invited, &admin, customers, name(bob)).await;
    let token = bill.tenure.mailed_token(bob).await;
    let (reset, body) = ("/auth/password-reset", json!({"token": token, "password": PASSWORD}));
    bill.pay("POST /auth/password-reset", "", reset, Some(body)).await;
    let session = bill.tenure.login(bob, PASSWORD).await;
    let agent = name("eve@example.org");
    let eve = bill.pay_as("POST /v1.0/agents", invited, &session, agents, agent).await;
    let path = format!("{agents}/{}/password-reset", id(&eve));
    bill.pay("POST /v1.0/agents/{id}/password-reset", &session, &path, None).await;
    bill.pay("POST /auth/password-forgot", "", "/auth/password-forgot", name(bob)).await;
}

async fn unregistration_and_deletion(bill: &mut Bill) {
    let admin = bill.tenure.admin().await;
    let one = "/v1.0/customers/{id}";
    let account = bill.tenure.account(&admin, "leaver").await;
    let (token, path) = (account.token.as_str(), format!("/v1.0/customers/{}", account.id));
    let at = |below: &str| format!("{path}{below}");
    let unregister = "/auth/unregister";
    let password = Some(json!({"password": PASSWORD}));
    let route = "POST /auth/unregister";
    bill.pay(route, token, unregister, password.clone()).await;
    bill.pay_as(route, " again", token, unregister, password).await;
    let path_of_status = format!("/v1.0/erasures/{}", bill.ticket);
    bill.pay("GET /v1.0/erasures/{ticket}", "", &path_of_status, None).await;
    bill.pay("DELETE /auth/unregister", token, unregister, None).await;
    bill.pay(&format!("POST {one}/freeze"), &admin, &at("/freeze"), None).await;
    bill.pay(&format!("POST {one}/recover"), &admin, &at("/recover"), None).await;
    let reason = Some(json!({"reason": "Case 7"}));
    bill.pay(&format!("PUT {one}/hold"), &admin, &at("/hold"), reason).await;
    let held = "/v1.0/customers?hold=true";
    bill.pay_as("GET /v1.0/customers", "?hold=true", &admin, held, None).await;
    bill.pay(&format!("DELETE {one}/hold"), &admin, &at("/hold"), None).await;
    let (holds, named) = (format!("{one}/holds"), at("/holds/case-8"));
    let reason = Some(json!({"reason": "Case 8"}));
    bill.pay(&format!("PUT {holds}/{{name}}"), &admin, &named, reason).await;
    bill.pay(&format!("GET {holds}"), &admin, &at("/holds"), None).await;
    bill.pay(&format!("DELETE {holds}/{{name}}"), &admin, &named, None).await;
    bill.pay(&format!("POST {one}/suspend"), &admin, &at("/suspend"), None).await;
    bill.pay(&format!("POST {one}/resume"), &admin, &at("/resume"), None).await;
    bill.pay(&format!("GET {one}/overview"), &admin, &at("/overview"), None).await;
    bill.pay(&format!("POST {one}/erasure/plan"), &admin, &at("/erasure/plan"), None).await;
    bill.pay(&format!("DELETE {one}"), &admin, &path, None).await;
    bill.pay(&format!("GET {one}/erasure"), &admin, &at("/erasure"), None).await;
    bill.pay(&format!("GET {one}/events"), &admin, &at("/events"), None).await;
    let asked = [("carrier", true), ("files", true), ("mail", true)];
    participants_answers::ask(&bill.tenure, &account.id, 1, &asked).await;
    let (erasure, complete) =
        (format!("/v1.0/erasures/{}", account.id), " that completes the erasure");
    let route = "PUT /v1.0/erasures/{id}/acknowledgements/{name}";
    let answer = |status: &str| Some(json!({"status": status}));
    let path = format!("{erasure}/acknowledgements/carrier");
    bill.pay(route, &admin, &path, answer("in_progress")).await;
    bill.pay_as(route, " that completes the part", &admin, &path, answer("completed")).await;
    let (route, path) = ("POST /v1.0/erasures/{id}/waivers", format!("{erasure}/waivers"));
    let waiver = |name: &str| Some(json!({"participant": name, "reason": "closed"}));
    bill.pay(route, &admin, &path, waiver("files")).await;
    bill.pay_as(route, complete, &admin, &path, waiver("mail")).await;
    let other = bill.tenure.account(&admin, "other").await.id;
    bill.tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{other}")).await.ok();
    assert!(bill.tenure.stack.settle().await);
    participants_answers::ask(&bill.tenure, &other, 1, &asked[..1]).await;
    let route = "PUT /v1.0/erasures/{id}/acknowledgements/{name}";
    let path = format!("/v1.0/erasures/{other}/acknowledgements/carrier");
    bill.pay_as(route, complete, &admin, &path, answer("completed")).await;

    let leaver = bill.tenure.account(&admin, "at-once").await;
    let leave = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    bill.pay_as("POST /auth/unregister", " at once", &leaver.token, unregister, Some(leave)).await;
}

//! Measures contention: many clients write to the items of one account. The local stack locks a transaction's
//! items for some time, as DynamoDB does, and meanwhile refuses other writes to them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use sam_local::{Kept, Options, Stack};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Api;
use crate::contestants::Places;
use crate::report::{date, machine, percentile, save};
use crate::{Contend, Result, say};

const PASSWORD: &str = "correct horse battery staple";

/// Number of accounts that clients write to in the scene with several accounts.
const ACCOUNTS: usize = 16;

/// Number of concurrent writers while an [`Act`] is measured.
const BESIDE: usize = 32;

/// Time that writers are at work before the measurement begins.
const HEAD_START: Duration = Duration::from_millis(500);

/// Numbers of clients that log the same agent in at the same time. None is throttled: an agent has 20
/// password attempts from a network that it has used before.
const LOG_INS: [usize; 3] = [1, 4, 16];

/// Name of the function that creates resources; its transactions are counted.
const CREATE: &str = "ResourceCreateFunction";
const LOG_IN: &str = "AuthLoginFunction";

/// Measurements of one scene with one number of clients.
#[derive(Serialize)]
struct Row {
    scene: String,
    /// Number of concurrent clients.
    clients: usize,
    per_second: f64,
    succeeded: u64,
    /// Number of answers with status 503.
    refused: u64,
    /// Number of answers with another status than 2xx or 503.
    other: u64,
    /// Transactions sent to `DynamoDB`, retries included, per successful request. `None` if they are not
    /// counted.
    tries: Option<f64>,
    /// Write units per successful request. `None` if they are not counted.
    wcu: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
}

/// Results of the calls of one or many clients: the number of answers by result, and the response times.
#[derive(Default)]
struct Answers {
    succeeded: u64,
    refused: u64,
    other: u64,
    /// Response time of each request, in milliseconds.
    waits: Vec<f64>,
}

impl Answers {
    fn add(&mut self, status: u16, wait: Duration) {
        match status {
            200..=299 => self.succeeded += 1,
            503 => self.refused += 1,
            _ => self.other += 1,
        }
        self.waits.push(wait.as_secs_f64() * 1000.0);
    }

    fn merge(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.other += other.other;
        self.waits.extend(other.waits);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
    fn row(mut self, scene: &str, clients: usize, time: Duration, cost: Option<Cost>) -> Row {
        self.waits.sort_by(f64::total_cmp);
        let per_success = |sum: f64| sum / (self.succeeded as f64).max(1.0);
        Row {
            scene: scene.to_owned(),
            clients,
            per_second: self.succeeded as f64 / time.as_secs_f64(),
            succeeded: self.succeeded,
            refused: self.refused,
            other: self.other,
            tries: cost.map(|cost| per_success(cost.transactions)),
            wcu: cost.map(|cost| per_success(cost.wcu)),
            p50_ms: percentile(&self.waits, 50),
            p99_ms: percentile(&self.waits, 99),
        }
    }
}

/// Transactions and write units of a function since the counters were reset.
#[derive(Clone, Copy)]
struct Cost {
    transactions: f64,
    wcu: f64,
}

impl Cost {
    fn of(stack: &Stack, function: &str) -> Self {
        let cost = &stack.stats()["functions"][function]["dynamodb"];
        let number = |value: &Value| value.as_f64().unwrap_or_default();
        Self {
            transactions: number(&cost["calls"]["TransactWriteItems"]),
            wcu: number(&cost["wcu"]),
        }
    }
}

/// An account and the session of its admin.
#[derive(Clone)]
struct Account {
    id: String,
    username: String,
    token: String,
}

/// A request that is measured while other clients write to the same account.
#[derive(Clone, Copy)]
enum Act {
    Unregister,
    Delete,
    LogIn,
}

impl Act {
    const ALL: [Self; 3] = [Self::Unregister, Self::Delete, Self::LogIn];

    const fn name(self) -> &'static str {
        match self {
            Self::Unregister => "unregister",
            Self::Delete => "delete",
            Self::LogIn => "log-in",
        }
    }

    async fn call(self, api: &Api, operator: &str, account: &Account) -> Result<u16> {
        let password = json!({"password": PASSWORD});
        let login = json!({"username": account.username, "password": PASSWORD});
        let customer = format!("/v1.0/customers/{}", account.id);
        let (method, path, token, body) = match self {
            Self::Unregister => {
                (Method::POST, "/auth/unregister", account.token.as_str(), Some(&password))
            }
            Self::Delete => (Method::DELETE, customer.as_str(), operator, None),
            Self::LogIn => (Method::POST, "/auth/login", "", Some(&login)),
        };
        Ok(api.call(method, path, token, body).await?.0)
    }
}

struct Scenes<'a> {
    stack: &'a Stack,
    api: Api,
    operator: String,
    accounts: usize,
    rows: Vec<Row>,
}

/// Runs every scene and writes `contend.md` and `contend.json`.
pub(crate) async fn run(arguments: &Contend, places: &Places) -> Result<()> {
    let options = Options {
        // The limits on requests of an account and on purges are not what is measured.
        parameters: [("RequestsPerMinute", "0"), ("BreakerAccounts", "1000000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        contention: Duration::from_millis(arguments.hold),
        kept: Kept { log_lines: 1_000, ..Kept::ALL },
        ..local::options(places.root.join("template.yaml"), &places.release)
    };
    let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
    let api = Api::new(stack.url());
    let operator = api.log_in_as_operator().await?;
    let mut scenes = Scenes { stack: &stack, api, operator, accounts: 0, rows: Vec::new() };
    let time = Duration::from_secs(arguments.seconds);
    for writers in &arguments.writers {
        scenes.writers("writers, one account", 1, *writers, time).await?;
    }
    for writers in arguments.writers.iter().filter(|writers| **writers >= ACCOUNTS) {
        scenes.writers(&format!("writers, {ACCOUNTS} accounts"), ACCOUNTS, *writers, time).await?;
    }
    for clients in LOG_INS {
        scenes.log_ins(clients, arguments.rounds).await?;
    }
    for act in Act::ALL {
        scenes.beside(act, arguments.rounds).await?;
    }
    let rows = scenes.rows;
    stack.stop().await;
    let text = markdown(&rows, arguments.hold);
    save(&arguments.out, "contend", json!({"hold_ms": arguments.hold, "rows": rows}), &text)
}

impl Scenes<'_> {
    async fn account(&mut self) -> Result<Account> {
        self.accounts += 1;
        let username = format!("contend{}", self.accounts);
        let body = json!({"username": username, "password": PASSWORD});
        let customer = self.api.post("/v1.0/customers", &self.operator, &body).await?;
        let id = customer["id"].as_str().ok_or("no id")?.to_owned();
        let token = self.api.log_in(&username, PASSWORD).await?;
        Ok(Account { id, username, token })
    }

    /// Measures `writers` concurrent clients that create phone numbers (`POST /v1.0/numbers`), spread over
    /// `accounts` accounts.
    async fn writers(
        &mut self,
        scene: &str,
        accounts: usize,
        writers: usize,
        time: Duration,
    ) -> Result<()> {
        let mut owners = Vec::with_capacity(accounts);
        for _ in 0..accounts {
            owners.push(self.account().await?);
        }
        // Lets the functions' processes start before the measurement.
        self.write(&owners, writers, HEAD_START).await?;
        self.settle().await?;
        self.stack.reset_stats();
        let started = Instant::now();
        let answers = self.write(&owners, writers, time).await?;
        let time = started.elapsed();
        let cost = Cost::of(self.stack, CREATE);
        self.add(answers.row(scene, writers, time, Some(cost)));
        Ok(())
    }

    async fn write(&self, owners: &[Account], writers: usize, time: Duration) -> Result<Answers> {
        let stop = Arc::new(AtomicBool::new(false));
        let writing = spawn_writers(&self.api, owners, writers, &stop);
        sleep(time).await;
        stop.store(true, Ordering::Relaxed);
        collect(writing).await
    }

    /// Measures log-ins: `clients` concurrent clients log the same agent in, each `rounds` times.
    async fn log_ins(&mut self, clients: usize, rounds: usize) -> Result<()> {
        let account = self.account().await?;
        self.settle().await?;
        self.stack.reset_stats();
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (api, account) = (self.api.clone(), account.clone());
            tasks.spawn(async move {
                let mut answers = Answers::default();
                for _ in 0..rounds {
                    let asked = Instant::now();
                    let status = Act::LogIn.call(&api, "", &account).await?;
                    answers.add(status, asked.elapsed());
                }
                Result::Ok(answers)
            });
        }
        let answers = collect(tasks).await?;
        let cost = Cost::of(self.stack, LOG_IN);
        self.add(answers.row("log-ins, one agent", clients, started.elapsed(), Some(cost)));
        Ok(())
    }

    /// Measures `act`: in each round, creates an account, lets [`BESIDE`] clients write to it, and meanwhile
    /// sends the request of `act` once.
    async fn beside(&mut self, act: Act, rounds: usize) -> Result<()> {
        let mut answers = Answers::default();
        for _ in 0..rounds {
            let account = self.account().await?;
            let stop = Arc::new(AtomicBool::new(false));
            let owner = std::slice::from_ref(&account);
            let writing = spawn_writers(&self.api, owner, BESIDE, &stop);
            sleep(HEAD_START).await;
            let asked = Instant::now();
            let status = act.call(&self.api, &self.operator, &account).await?;
            answers.add(status, asked.elapsed());
            stop.store(true, Ordering::Relaxed);
            collect(writing).await?;
            self.settle().await?;
        }
        let time = Duration::from_secs_f64(answers.waits.iter().sum::<f64>() / 1000.0);
        let scene = format!("{} beside {BESIDE} writers", act.name());
        self.add(answers.row(&scene, 1, time, None));
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        if self.stack.settle().await { Ok(()) } else { Err("the stack does not settle".into()) }
    }

    fn add(&mut self, row: Row) {
        say(&line(&row));
        self.rows.push(row);
    }
}

/// Starts clients that create phone numbers (`POST /v1.0/numbers`) until `stop` is set.
fn spawn_writers(
    api: &Api,
    owners: &[Account],
    writers: usize,
    stop: &Arc<AtomicBool>,
) -> JoinSet<Result<Answers>> {
    let mut tasks = JoinSet::new();
    for owner in owners.iter().cycle().take(writers) {
        let (api, token, stop) = (api.clone(), owner.token.clone(), Arc::clone(stop));
        tasks.spawn(async move {
            let (mut answers, body) = (Answers::default(), json!({}));
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let (status, _) =
                    api.call(Method::POST, "/v1.0/numbers", &token, Some(&body)).await?;
                answers.add(status, asked.elapsed());
            }
            Ok(answers)
        });
    }
    tasks
}

async fn collect(mut tasks: JoinSet<Result<Answers>>) -> Result<Answers> {
    let mut all = Answers::default();
    while let Some(answers) = tasks.join_next().await {
        all.merge(answers??);
    }
    Ok(all)
}

fn markdown(rows: &[Row], hold: u64) -> String {
    let mut text = format!("{}, {}; items held for {hold} ms.\n\n", date(), machine());
    text += "| scene | clients | per second | succeeded | refused | other | tries | WCU | p50 ms | p99 ms |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    text
}

fn line(row: &Row) -> String {
    let Row { scene, clients, per_second, succeeded, refused, other, .. } = row;
    let shown = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    format!(
        "| {scene} | {clients} | {per_second:.1} | {succeeded} | {refused} | {other} | {} | {} | {:.0} | {:.0} |",
        shown(row.tries),
        shown(row.wcu),
        row.p50_ms,
        row.p99_ms
    )
}

//! The functions on growing tables: the cost of a call must stay the same, and that of a purge must grow only with
//! the items that it deletes.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;
use tokio::process::Command;

use crate::compare::{Asked, SCENES, Scene, Stage, float, invoke, ms};
use crate::contestants::{Contestant, Places};
use crate::endpoint::Endpoint;
use crate::measure::{Cost, Process};
use crate::report::{date, machine, percentile, save};
use crate::world::TIMEOUT;
use crate::{Result, Scale, cost, say};

/// Number of calls of each endpoint at each number of accounts.
const CALLS: usize = 40;

/// Limit of write units per purged item, for accounts with a thousand items or more.
const WCU_PER_ITEM: f64 = 1.1;

const PURGE: &str = "PurgeRunFunction";

/// Measurements of an endpoint at one number of accounts.
#[derive(Serialize)]
struct Request {
    accounts: u32,
    endpoint: &'static str,
    warm_p50_ms: f64,
    warm_p99_ms: f64,
    #[serde(flatten)]
    asked: Asked,
}

/// Measurements of the purge of one account.
#[derive(Serialize)]
struct Purge {
    items: u32,
    runs: u32,
    seconds: f64,
    cpu_seconds: f64,
    items_per_second_of_cpu: f64,
    wcu_per_item: f64,
    rcu_per_item: f64,
    calls: f64,
    /// Maximum number of DynamoDB calls that the purge may make: `6 + items / 20`.
    calls_limit: f64,
    events: f64,
    rss_mib: f64,
    dollars_per_thousand: f64,
}

/// Measures the endpoints at each number of accounts, and a purge at each number of items.
pub(crate) async fn run(arguments: &Scale, places: &Places) -> Result<()> {
    let stage = Stage::set(places).await?;
    let mut requests = Vec::new();
    let (mut accounts, mut there) = (arguments.accounts.clone(), 0);
    accounts.sort_unstable();
    for size in accounts {
        say(&format!("{size} accounts"));
        // Only the measured calls are delayed, not those that fill the tables.
        stage.delay(quick());
        stage.world.fill(size.saturating_sub(there)).await?;
        there = size;
        for endpoint in [Endpoint::Get, Endpoint::List, Endpoint::Create, Endpoint::Login] {
            requests.push(request(&stage, places, endpoint, size).await?);
        }
    }
    let mut purges = Vec::new();
    for items in &arguments.items {
        say(&format!("a purge of {items} things"));
        purges.push(purge(&stage, places, *items).await?);
    }
    let text = markdown(&requests, &purges);
    save(&arguments.out, "scale", json!({"requests": requests, "purges": purges}), &text)
}

/// Returns the scene with 4 ms of latency per call, in which parallel calls overlap and are counted as one
/// step.
const fn near() -> Scene {
    SCENES[2]
}

const fn quick() -> Scene {
    SCENES[0]
}

async fn start(
    stage: &Stage,
    places: &Places,
    endpoint: Endpoint,
    scene: Scene,
) -> Result<Process> {
    let mut command = Contestant::Tenure.command(places, endpoint)?;
    stage.equip(&mut command, endpoint.function(), endpoint.function(), scene, false);
    stage.delay(scene);
    Process::start(command, None).await
}

async fn request(
    stage: &Stage,
    places: &Places,
    endpoint: Endpoint,
    accounts: u32,
) -> Result<Request> {
    let mut process = start(stage, places, endpoint, near()).await?;
    invoke(&mut process, &stage.world.request(endpoint).await?).await?;
    let before = stage.asked(endpoint.function());
    let mut waits = Vec::new();
    for _ in 0..CALLS {
        let event = stage.world.request(endpoint).await?;
        waits.push(ms(invoke(&mut process, &event).await?.0.wall));
    }
    let asked = stage.asked(endpoint.function()).since(before).per(CALLS);
    process.end().await?;
    waits.sort_by(f64::total_cmp);
    Ok(Request {
        accounts,
        endpoint: endpoint.name(),
        warm_p50_ms: percentile(&waits, 50),
        warm_p99_ms: percentile(&waits, 99),
        asked,
    })
}

async fn purge(stage: &Stage, places: &Places, items: u32) -> Result<Purge> {
    stage.delay(quick());
    let account = stage.world.account().await?;
    stage.world.give(&account, items)?;
    let mut leaving = start(stage, places, Endpoint::Unregister, quick()).await?;
    invoke(&mut leaving, &stage.world.leave(&account)).await?;
    leaving.end().await?;

    let mut command = Command::new(places.release.join("purge_run"));
    command.env_clear();
    stage.equip(&mut command, PURGE, PURGE, quick(), false);
    command.env("BREAKER_ACCOUNTS", "1000000");
    let mut process = Process::start(command, None).await?;
    let before = stage.asked(PURGE);
    let event = json!({"detail": {"customer_id": account.id}});
    let (mut whole, mut runs) = (Cost::default(), 0);
    loop {
        let (cost, run) = process.invoke(&event, TIMEOUT).await?;
        whole.wall += cost.wall;
        whole.cpu += cost.cpu;
        runs += 1;
        if run["finished"] == 1 {
            break;
        }
        if runs == 100 || run["failed"] != 0 {
            return Err(format!("the purge does not end: {run}").into());
        }
    }
    let asked = stage.asked(PURGE).since(before);
    let rss_mib = float(process.peak_rss_kib()?) / 1024.0;
    process.end().await?;
    let (count, cpu_seconds) = (f64::from(items), whole.cpu.as_secs_f64());
    Ok(Purge {
        items,
        runs,
        seconds: whole.wall.as_secs_f64(),
        cpu_seconds,
        items_per_second_of_cpu: count / cpu_seconds,
        wcu_per_item: asked.wcu / count,
        rcu_per_item: asked.rcu / count,
        calls: asked.calls,
        calls_limit: 6.0 + count / 20.0,
        events: asked.events,
        rss_mib,
        dollars_per_thousand: 1e3 * cost::purge(asked.rcu, asked.wcu, ms(whole.cpu), asked.events),
    })
}

fn markdown(requests: &[Request], purges: &[Purge]) -> String {
    let mut text = format!(
        "{}, {}.\n\n## Requests, 4 ms per call to DynamoDB, TLS\n\n\
         | accounts | endpoint | calls | steps | RCU | WCU | bytes received | p50 ms | p99 |\n\
         |--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
        date(),
        machine()
    );
    for request in requests {
        let Request { accounts, endpoint, warm_p50_ms, warm_p99_ms, asked } = request;
        let Asked { calls, steps, rcu, wcu, bytes_received, .. } = asked;
        let _ = writeln!(
            text,
            "| {accounts} | {endpoint} | {calls:.1} | {steps:.1} | {rcu:.1} | {wcu:.1} | \
             {bytes_received:.0} | {warm_p50_ms:.2} | {warm_p99_ms:.2} |"
        );
    }
    text += "\n## The purge of one account, no delay\n\n\
             | things of 1 KB | runs | seconds | CPU seconds | things per CPU second | \
             WCU per thing | RCU per thing | calls | at most | | events | peak MiB | $ per 1,000 |\n\
             |--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|\n";
    for purge in purges {
        let Purge { items, runs, seconds, cpu_seconds, wcu_per_item, rcu_per_item, .. } = purge;
        let Purge { calls, calls_limit, events, rss_mib, dollars_per_thousand, .. } = purge;
        let speed = purge.items_per_second_of_cpu;
        // With few items, the fixed cost of every purge dominates.
        let is_dear = *items >= 1_000 && *wcu_per_item > WCU_PER_ITEM;
        let dear = if is_dear { " **missed**" } else { "" };
        let mark = if calls <= calls_limit { "kept" } else { "**missed**" };
        let _ = writeln!(
            text,
            "| {items} | {runs} | {seconds:.2} | {cpu_seconds:.3} | {speed:.0} | {wcu_per_item:.3}{dear} | \
             {rcu_per_item:.3} | {calls:.0} | {calls_limit:.1} | {mark} | {events:.0} | {rss_mib:.1} | \
             {dollars_per_thousand:.3} |"
        );
    }
    text
}

//! The whole local stack under load: the gateway, the functions, the tables. `oha` sends the requests, over loopback.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sam_local::{Kept, Options, Stack};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

use crate::client::Api;
use crate::contestants::Places;
use crate::report::{date, machine, save};
use crate::resident::processes;
use crate::{Load, Result, say};

/// Numbers of concurrent connections of the short runs, which show where the stack saturates.
const CONNECTIONS: [u32; 4] = [1, 4, 16, 64];

/// Number of concurrent connections of the long runs: enough to keep every process of a function busy.
const LONG: u32 = 16;

/// Maximum number of log lines that the stack keeps, as with `cargo local`.
const LOG_LINES: usize = 10_000;

/// A request that is sent repeatedly.
struct Target {
    name: &'static str,
    path: String,
    /// Body of a `POST`; `None` for a `GET`.
    body: Option<&'static str>,
    token: String,
}

/// Result of one run of `oha`: one request, sent repeatedly over a number of connections.
#[derive(Serialize)]
struct Run {
    request: &'static str,
    connections: u32,
    seconds: u64,
    answers: u64,
    /// Number of requests that got an error status or no answer.
    errors: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Resident memory of the stack and its functions in MiB: after a quarter of the run, and at its end.
    rss_mib: (f64, f64),
}

/// Runs the load test.
pub(crate) async fn run(arguments: &Load, places: &Places) -> Result<()> {
    let oha = oha(places)?;
    let options = Options {
        // The limit on the requests of an account is not what is measured.
        parameters: [("RequestsPerMinute".to_owned(), "1000000000".to_owned())].into(),
        latency: Duration::ZERO,
        kept: Kept { log_lines: LOG_LINES, ..Kept::ALL },
        ..local::options(places.root.join("template.yaml"), &places.release)
    };
    let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
    let targets = targets(&Api::new(stack.url())).await?;
    let mut runs = Vec::new();
    for target in &targets {
        for connections in CONNECTIONS {
            let seconds = arguments.short;
            runs.push(load(&oha, stack.url(), target, connections, seconds).await?);
        }
        runs.push(load(&oha, stack.url(), target, LONG, arguments.seconds).await?);
    }
    let stats = stack.stats();
    stack.stop().await;
    let text = markdown(&runs);
    save(&arguments.out, "load", json!({"runs": runs, "stats": stats}), &text)
}

/// Returns the path of `oha`, which `prepare` installs. Fails if it is missing.
fn oha(places: &Places) -> Result<PathBuf> {
    let oha = places.prepared.join("oha/bin/oha");
    if oha.is_file() { Ok(oha) } else { Err("there is no oha: run tests/bench/prepare".into()) }
}

/// Creates fifty accounts and returns the requests to send.
async fn targets(api: &Api) -> Result<Vec<Target>> {
    const PASSWORD: &str = "correct horse battery staple";
    let admin = api.log_in_as_operator().await?;
    let mut customer = Value::Null;
    for number in 0..50 {
        let body = json!({"username": format!("load{number}"), "password": PASSWORD});
        customer = api.post("/v1.0/customers", &admin, &body).await?;
    }
    let customer = customer["id"].as_str().ok_or("no id")?;
    let owner = api.log_in("load0", PASSWORD).await?;
    let get = format!("/v1.0/customers/{customer}");
    let list = "/v1.0/customers?page_size=20".to_owned();
    let numbers = "/v1.0/numbers".to_owned();
    Ok(vec![
        Target { name: "get", path: get, body: None, token: admin.clone() },
        Target { name: "list of 20", path: list, body: None, token: admin },
        Target { name: "create a number", path: numbers, body: Some("{}"), token: owner },
    ])
}

async fn load(
    oha: &Path,
    url: &str,
    target: &Target,
    connections: u32,
    seconds: u64,
) -> Result<Run> {
    say(&format!("{}, {connections} connections, {seconds} s", target.name));
    let mut command = Command::new(oha);
    command
        .args(["--no-tui", "--output-format", "json", "--wait-ongoing-requests-after-deadline"])
        .args(["-z", &format!("{seconds}s"), "-c", &connections.to_string()])
        .args(["-H", &format!("authorization: Bearer {}", target.token)]);
    if let Some(body) = target.body {
        command.args(["-m", "POST", "-T", "application/json", "-d", body]);
    }
    command.arg(format!("{url}{}", target.path)).kill_on_drop(true);
    let asked = command.output();
    let warm = async {
        sleep(Duration::from_secs(seconds / 4)).await;
        resident_mib()
    };
    let (asked, warm) = tokio::join!(asked, warm);
    let (asked, end) = (asked?, resident_mib()?);
    if !asked.status.success() {
        return Err(String::from_utf8_lossy(&asked.stderr).into_owned().into());
    }
    let report: Value = serde_json::from_slice(&asked.stdout)?;
    let count = |counts: &Value| -> u64 {
        counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
    };
    let answers = count(&report["statusCodeDistribution"]);
    let good = report["statusCodeDistribution"]["200"].as_u64().unwrap_or_default();
    let ms = |percentile: &str| {
        let seconds = report["latencyPercentiles"][percentile].as_f64();
        seconds.map(|seconds| seconds * 1000.0).ok_or("no percentiles")
    };
    Ok(Run {
        request: target.name,
        connections,
        seconds,
        answers,
        errors: answers - good + count(&report["errorDistribution"]),
        per_second: report["summary"]["requestsPerSec"].as_f64().ok_or("no rate")?,
        p50_ms: ms("p50")?,
        p99_ms: ms("p99")?,
        rss_mib: (warm?, end),
    })
}

/// Returns the resident memory of this process, which is the stack, and of its functions, in MiB.
fn resident_mib() -> Result<f64> {
    let processes = processes()?;
    let kib: u32 =
        processes.values().filter(|process| process.name != "oha").map(|process| process.kib).sum();
    Ok(f64::from(kib) / 1024.0)
}

fn markdown(runs: &[Run]) -> String {
    let mut text = format!("{}, {}.\n\n", date(), machine());
    text += "| request | connections | s | answers | errors | per second | p50 ms | p99 ms | MiB after a quarter | at the end |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for run in runs {
        let Run { request, connections, seconds, answers, errors, per_second, .. } = run;
        let Run { p50_ms, p99_ms, rss_mib: (warm, end), .. } = run;
        let _ = writeln!(
            text,
            "| {request} | {connections} | {seconds} | {answers} | {errors} | {per_second:.0} | \
             {p50_ms:.1} | {p99_ms:.1} | {warm:.0} | {end:.0} |"
        );
    }
    text
}

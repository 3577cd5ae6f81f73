//! Cost of a million calls at public prices.

use std::fmt::Write as _;

use serde::Serialize;

use crate::contestants::Contestant;
use crate::endpoint::Endpoint;
use crate::report::{Row, Rows};

/// Date on which the following prices (US dollars, us-east-1, arm64, on demand, first tier) were looked up, in pages of
/// 2025 and 2026 that quote AWS's price lists. The price lists themselves are at aws.amazon.com.
const PRICES_OF: &str = "2026-11-28";
const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
const GATEWAY_REQUEST: f64 = 1.00 / 1e6;
const READ_UNIT: f64 = 0.125 / 1e6;
const WRITE_UNIT: f64 = 0.625 / 1e6;
const BUS_EVENT: f64 = 1.00 / 1e6;

/// Share of calls that are cold starts. Lambda bills their initialisation, too.
const COLD: f64 = 0.01;

/// Memory in MB with which Lambda gives a function one whole processor.
const WHOLE: f64 = 1769.0;

/// Cost of a million calls of an endpoint, in US dollars.
#[derive(Serialize)]
pub(crate) struct Line {
    endpoint: &'static str,
    contestant: &'static str,
    memory_mb: f64,
    billed_ms: f64,
    lambda: f64,
    gateway: f64,
    dynamodb: f64,
    bus: f64,
    total: f64,
}

/// Returns the cost of each endpoint of each contestant, as measured in the scene `tls-4ms`.
pub(crate) fn sheet(rows: &Rows) -> Vec<Line> {
    let lines = Endpoint::ALL.into_iter().flat_map(|endpoint| {
        Contestant::ALL
            .into_iter()
            .filter_map(move |who| Some(line(endpoint, rows.get("tls-4ms", endpoint, who)?)))
    });
    lines.collect()
}

fn line(endpoint: Endpoint, row: &Row) -> Line {
    let memory_mb = if endpoint.hashes() { WHOLE } else { 256.0 };
    let share = memory_mb / WHOLE;
    // Time off the processor is spent waiting, which a smaller share of a processor does not prolong.
    let stretched = |wall: f64, cpu: f64| (wall - cpu).max(0.0) + cpu / share;
    let warm = stretched(row.warm_p50_ms, row.warm_cpu_ms);
    let cold = row.init_ms + stretched(row.cold_ms, row.cold_cpu_ms);
    let billed_ms = (1.0 - COLD) * warm + COLD * cold;
    let million = 1e6;
    let lambda = lambda(billed_ms, memory_mb);
    let gateway = million * GATEWAY_REQUEST;
    let dynamodb = million * (READ_UNIT * row.asked.rcu + WRITE_UNIT * row.asked.wcu);
    let bus = million * BUS_EVENT * row.asked.events;
    Line {
        endpoint: row.endpoint,
        contestant: row.contestant,
        memory_mb,
        billed_ms,
        lambda,
        gateway,
        dynamodb,
        bus,
        total: lambda + gateway + dynamodb + bus,
    }
}

/// Returns Lambda's price for a million calls of `billed_ms` each with `memory_mb`.
pub(crate) fn lambda(billed_ms: f64, memory_mb: f64) -> f64 {
    1e6 * (LAMBDA_REQUEST + LAMBDA_GB_SECOND * billed_ms / 1e3 * memory_mb / 1024.0)
}

/// Returns the costs as a Markdown table.
pub(crate) fn markdown(rows: &Rows) -> String {
    let mut text = format!(
        "\n## A million calls, in US dollars\n\n\
         Prices of us-east-1, arm64, on demand, {PRICES_OF}: Lambda $0.20 per million requests and \
         $0.0000133334 per GB-second, HTTP API $1.00 per million, DynamoDB $0.125 per million read and \
         $0.625 per million write units, EventBridge $1.00 per million events. Calls take 4 ms at \
         DynamoDB; one in a hundred is a process's first. 256 MB, or 1,769 MB where a password is hashed, as deployed; \
         computing is stretched to that size's share, waiting is not.\n\n\
         | endpoint | who | billed ms | Lambda | HTTP API | DynamoDB | EventBridge | sum |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n"
    );
    for line in sheet(rows) {
        let Line { endpoint, contestant, billed_ms, lambda, gateway, dynamodb, bus, total, .. } =
            line;
        let _ = writeln!(
            text,
            "| {endpoint} | {contestant} | {billed_ms:.1} | {lambda:.2} | {gateway:.2} | \
             {dynamodb:.2} | {bus:.2} | {total:.2} |"
        );
    }
    text
}

/// Returns the price of a purge in US dollars: its read and write units, its events, and Lambda's price for
/// its processor time with 256 MB.
pub(crate) fn purge(rcu: f64, wcu: f64, cpu_ms: f64, events: f64) -> f64 {
    const RESET_AFTER: f64 = 256.0;
    let seconds = cpu_ms / 1e3 * (WHOLE / RESET_AFTER);
    READ_UNIT * rcu
        + WRITE_UNIT * wcu
        + LAMBDA_REQUEST
        + LAMBDA_GB_SECOND * seconds * RESET_AFTER / 1024.0
        + BUS_EVENT * events
}

//! Compares memory sizes for log-in, a function that hashes passwords: with more memory, Lambda gives it more
//! of a processor, and charges more per second.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::compare::{Scene, Stage};
use crate::contestants::{Contestant, Places};
use crate::endpoint::Endpoint;
use crate::report::{date, machine, percentile, save};
use crate::share::Mechanism;
use crate::{Memory, Result, cost, say};

/// Memory sizes in MB. Lambda gives a function with 1769 MB a whole processor.
const SIZES: [u32; 8] = [128, 256, 384, 512, 640, 768, 1024, 1769];

/// Number of calls measured per process, not counting its first call.
const CALLS: usize = 8;

/// Measurements at one memory size.
#[derive(Serialize)]
struct Line {
    megabytes: u32,
    warm_p50_ms: f64,
    first_p50_ms: f64,
    /// Lambda's price for a million warm calls, in US dollars.
    dollars: f64,
    /// Price times duration: lowest for a size that is neither slow nor expensive.
    product: f64,
}

/// Measures log-in at each memory size, and writes `memory.md` and `memory.json`.
pub(crate) async fn run(arguments: &Memory, places: &Places) -> Result<()> {
    let (stage, mechanism) = (Stage::set(places).await?, Mechanism::find());
    let mut waits = vec![(Vec::new(), Vec::new()); SIZES.len()];
    for round in 0..arguments.rounds.max(1) {
        say(&format!("round {} of {}", round + 1, arguments.rounds));
        for turn in 0..SIZES.len() {
            let size = (turn + round) % SIZES.len();
            let cell = (Scene::of_size(SIZES[size]), Endpoint::Login, Contestant::Tenure);
            let (sample, _) = stage.sample(cell, places, mechanism, CALLS).await?;
            let (first, warm) = &mut waits[size];
            first.push(sample.cold_ms);
            warm.extend(sample.warm_ms);
        }
    }
    let lines: Vec<Line> =
        SIZES.iter().zip(waits).map(|(size, waits)| line(*size, waits)).collect();
    let text = markdown(&lines, arguments.rounds, mechanism);
    save(&arguments.out, "memory", json!({"sizes": lines}), &text)
}

fn line(megabytes: u32, (mut first, mut warm): (Vec<f64>, Vec<f64>)) -> Line {
    first.sort_by(f64::total_cmp);
    warm.sort_by(f64::total_cmp);
    let warm_p50_ms = percentile(&warm, 50);
    let dollars = cost::lambda(warm_p50_ms, f64::from(megabytes));
    Line {
        megabytes,
        warm_p50_ms,
        first_p50_ms: percentile(&first, 50),
        dollars,
        product: dollars * warm_p50_ms / 1e3,
    }
}

fn markdown(lines: &[Line], rounds: usize, mechanism: Mechanism) -> String {
    let mut text = format!(
        "{}, {}; {} rounds in rotating order, {} warm calls each; shares by {}.\n\n\
         `POST /auth/login`, TLS, no delay. Dollars are Lambda's for a million warm calls.\n\n\
         | MB | warm p50 ms | first ms | $ | $ × s | |\n|--:|--:|--:|--:|--:|---|\n",
        date(),
        machine(),
        rounds,
        CALLS,
        mechanism.name(),
    );
    let least = lines.iter().map(|line| line.product).fold(f64::INFINITY, f64::min);
    for Line { megabytes, warm_p50_ms, first_p50_ms, dollars, product } in lines {
        let mark = if *product <= least { "least" } else { "" };
        let _ = writeln!(
            text,
            "| {megabytes} | {warm_p50_ms:.1} | {first_p50_ms:.1} | {dollars:.2} | {product:.4} | {mark} |"
        );
    }
    text
}

//! Reports: the measurements as a table, as JSON and as a chart, and whether they are within the limits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::compare::{Asked, Cell, SCENES, Sample, float};
use crate::contestants::{Contestant, Places};
use crate::endpoint::Endpoint;
use crate::share::Mechanism;
use crate::world::now;
use crate::{Result, cost, say, show, svg};

/// Conditions of a measurement.
pub(crate) struct About {
    pub(crate) rounds: usize,
    pub(crate) warm: usize,
    pub(crate) mechanism: Mechanism,
}

/// Results of one [`Cell`] over all rounds: medians of its samples, and percentiles of all its warm calls.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scene: &'static str,
    pub(crate) endpoint: &'static str,
    pub(crate) contestant: &'static str,
    pub(crate) init_ms: f64,
    pub(crate) init_cpu_ms: f64,
    pub(crate) cold_ms: f64,
    pub(crate) cold_cpu_ms: f64,
    pub(crate) init_cold_ms: f64,
    pub(crate) init_cold_cpu_ms: f64,
    pub(crate) warm_p50_ms: f64,
    pub(crate) warm_p95_ms: f64,
    pub(crate) warm_p99_ms: f64,
    pub(crate) warm_cpu_ms: f64,
    pub(crate) rss_mib: f64,
    pub(crate) package_mb: f64,
    #[serde(flatten)]
    pub(crate) asked: Asked,
}

/// A measured value and its limit. The value is a ratio of Tenure's metric to another contestant's, or a
/// metric of Tenure alone.
#[derive(Serialize)]
struct Verdict {
    what: String,
    to: &'static str,
    value: f64,
    limit: f64,
    kept: bool,
}

/// A metric: a function that returns its value in a sample.
type Metric = fn(&Sample) -> f64;

/// Maximum ratios of Tenure's value of a metric to other contestants' values.
struct Limits {
    what: &'static str,
    metric: Metric,
    scene: &'static str,
    endpoints: &'static [Endpoint],
    to: &'static [(Contestant, f64)],
}

const LIMITS: [Limits; 10] = [
    Limits {
        what: "init + first request, CPU, TLS",
        metric: Sample::init_cold_cpu_ms,
        scene: "tls",
        endpoints: &[Endpoint::Get, Endpoint::List],
        to: &[
            (Contestant::Go, 0.55),
            (Contestant::Node, 0.05),
            (Contestant::Python, 0.03),
            (Contestant::Tutorial, 0.17),
            (Contestant::Floor, 2.3),
        ],
    },
    Limits {
        what: "first request, TLS, 128 MB share",
        metric: |process| process.cold_ms,
        scene: "tls-128",
        endpoints: &[Endpoint::Get],
        to: &[(Contestant::Go, 0.25), (Contestant::Tutorial, 0.02), (Contestant::Node, 0.02)],
    },
    Limits {
        what: "warm CPU, TLS",
        metric: Sample::warm_cpu_ms,
        scene: "tls",
        endpoints: &[Endpoint::Get],
        to: &[(Contestant::Go, 0.6), (Contestant::Node, 0.2), (Contestant::Python, 0.25)],
    },
    Limits {
        what: "warm CPU, TLS",
        metric: Sample::warm_cpu_ms,
        scene: "tls",
        endpoints: &[Endpoint::List],
        to: &[(Contestant::Go, 0.75), (Contestant::Node, 0.27), (Contestant::Python, 0.25)],
    },
    Limits {
        what: "warm p50, TLS, 4 ms per call",
        metric: Sample::warm_p50_ms,
        scene: "tls-4ms",
        endpoints: &[Endpoint::Get, Endpoint::List],
        to: &[(Contestant::Go, 0.6), (Contestant::Tutorial, 0.6)],
    },
    Limits {
        what: "warm CPU, TLS",
        metric: Sample::warm_cpu_ms,
        scene: "tls",
        endpoints: &[Endpoint::Create, Endpoint::Login, Endpoint::Unregister],
        to: &[(Contestant::Node, 1.05), (Contestant::Go, 0.65), (Contestant::Python, 0.75)],
    },
    Limits {
        what: "init + first request, TLS, 128 MB share",
        metric: Sample::init_cold_ms,
        scene: "tls-128",
        endpoints: &[Endpoint::Create],
        to: &[(Contestant::Go, 0.6), (Contestant::Tutorial, 0.6)],
    },
    Limits {
        what: "init + first request, TLS, 512 MB share",
        metric: Sample::init_cold_ms,
        scene: "tls-512",
        endpoints: &[Endpoint::Create],
        to: &[(Contestant::Go, 0.6), (Contestant::Tutorial, 0.6)],
    },
    Limits {
        what: "peak memory, TLS",
        metric: |process| process.rss_mib,
        scene: "tls",
        endpoints: &[Endpoint::Get, Endpoint::List],
        to: &[(Contestant::Go, 0.65)],
    },
    Limits {
        what: "peak memory, TLS",
        metric: |process| process.rss_mib,
        scene: "tls",
        endpoints: &[Endpoint::Create],
        to: &[(Contestant::Go, 0.85)],
    },
];

/// Maximum size of a zipped package, in MB.
const PACKAGE: f64 = 3.3;

/// The rows of the comparison.
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    pub(crate) fn get(&self, scene: &str, endpoint: Endpoint, who: Contestant) -> Option<&Row> {
        self.0.iter().find(|row| {
            row.scene == scene && row.endpoint == endpoint.name() && row.contestant == who.name()
        })
    }

    fn verdicts(&self, samples: &BTreeMap<Cell, Vec<Sample>>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut judge = |what: String, to: Contestant, value: Option<f64>, limit: f64| {
            if let Some(value) = value {
                verdicts.push(Verdict { what, to: to.name(), value, limit, kept: value <= limit });
            }
        };
        for Limits { what, metric, scene, endpoints, to } in LIMITS {
            for endpoint in endpoints {
                for (to, limit) in to {
                    let ratio = ratio(samples, metric, (scene, *endpoint), *to);
                    judge(format!("{}: {what}", endpoint.name()), *to, ratio, *limit);
                }
            }
        }
        for endpoint in Endpoint::ALL {
            let ours = self.get("tls-4ms", endpoint, Contestant::Tenure);
            let package = ours.map(|row| row.package_mb);
            let what = format!("{}: package, zipped, MB", endpoint.name());
            judge(what, Contestant::Tenure, package, PACKAGE);
            let most = if matches!(endpoint, Endpoint::Get | Endpoint::List) { 1.0 } else { 2.0 };
            let steps = ours.map(|row| row.asked.steps);
            judge(format!("{}: steps", endpoint.name()), Contestant::Tenure, steps, most);
        }
        verdicts
    }
}

/// Returns the median, over all rounds, of the ratio of our metric to that of another contestant. Each ratio is of one
/// round: a machine is not equally fast all the time, and the processes of one round run right after each other.
fn ratio(
    samples: &BTreeMap<Cell, Vec<Sample>>,
    metric: Metric,
    (scene, endpoint): (&str, Endpoint),
    to: Contestant,
) -> Option<f64> {
    let of = |who| {
        let mut cells = samples.iter();
        cells.find(|(cell, _)| (cell.0.name, cell.1, cell.2) == (scene, endpoint, who))
    };
    let ((_, ours), (_, theirs)) = (of(Contestant::Tenure)?, of(to)?);
    Some(median(
        ours.iter().zip(theirs).map(|(ours, theirs)| metric(ours) / metric(theirs)).collect(),
    ))
}

impl Sample {
    fn init_cold_ms(&self) -> f64 {
        self.init_ms + self.cold_ms
    }

    fn init_cold_cpu_ms(&self) -> f64 {
        self.init_cpu_ms + self.cold_cpu_ms
    }

    fn warm_p50_ms(&self) -> f64 {
        median(self.warm_ms.clone())
    }

    fn warm_cpu_ms(&self) -> f64 {
        mean(&self.warm_cpu_ms)
    }
}

/// Writes `compare.json`, `compare.md` and `compare.svg`, and shows the table.
pub(crate) fn write(
    samples: &BTreeMap<Cell, Vec<Sample>>,
    about: &About,
    places: &Places,
    out: &Path,
) -> Result<()> {
    let rows = samples.iter().map(|(cell, samples)| row(*cell, samples, places));
    let rows = Rows(rows.collect::<Result<_>>()?);
    let verdicts = rows.verdicts(samples);
    let text = markdown(&rows, &verdicts, about);
    let document = json!({
        "rounds": about.rounds,
        "warm_calls": about.warm,
        "share": about.mechanism.name(),
        "rows": rows.0,
        "limits": verdicts,
        "costs": cost::sheet(&rows),
    });
    save(out, "compare", document, &text)?;
    fs::write(out.join("compare.svg"), svg::draw(&rows))?;
    say(&format!("written: {}", out.join("compare.{json,md,svg}").display()));
    Ok(())
}

/// Writes measurements below `out`, as JSON and Markdown, and prints them.
pub(crate) fn save(out: &Path, name: &str, mut document: Value, text: &str) -> Result<()> {
    document["date"] = date().into();
    document["machine"] = machine().into();
    fs::create_dir_all(out)?;
    let data = serde_json::to_string_pretty(&document)? + "\n";
    fs::write(out.join(format!("{name}.json")), data)?;
    fs::write(out.join(format!("{name}.md")), text)?;
    show(text);
    Ok(())
}

fn row((scene, endpoint, contestant): Cell, samples: &[Sample], places: &Places) -> Result<Row> {
    let middle = |of: Metric| median(samples.iter().map(of).collect());
    let mut waits: Vec<f64> = samples.iter().flat_map(|sample| sample.warm_ms.clone()).collect();
    waits.sort_by(f64::total_cmp);
    Ok(Row {
        scene: scene.name,
        endpoint: endpoint.name(),
        contestant: contestant.name(),
        init_ms: middle(|one| one.init_ms),
        init_cpu_ms: middle(|one| one.init_cpu_ms),
        cold_ms: middle(|one| one.cold_ms),
        cold_cpu_ms: middle(|one| one.cold_cpu_ms),
        init_cold_ms: middle(Sample::init_cold_ms),
        init_cold_cpu_ms: middle(Sample::init_cold_cpu_ms),
        warm_p50_ms: percentile(&waits, 50),
        warm_p95_ms: percentile(&waits, 95),
        warm_p99_ms: percentile(&waits, 99),
        warm_cpu_ms: middle(Sample::warm_cpu_ms),
        rss_mib: middle(|one| one.rss_mib),
        package_mb: package(contestant, endpoint, places)?,
        asked: samples.last().map(|sample| sample.asked).unwrap_or_default(),
    })
}

/// Returns the size of a package, compressed like a zip archive.
fn package(contestant: Contestant, endpoint: Endpoint, places: &Places) -> Result<f64> {
    let mut bytes = 0;
    for file in contestant.package(places, endpoint) {
        bytes += miniz_oxide::deflate::compress_to_vec(&fs::read(file)?, 9).len();
    }
    Ok(float(bytes as u64) / 1e6)
}

fn markdown(rows: &Rows, verdicts: &[Verdict], about: &About) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}, {}; {} rounds, each in another order, {} warm calls (half as many where a password is \
         hashed); shares by {}. Ratios: the median of those of each round. Tables: medians; warm percentiles over all \
         rounds.\n",
        date(),
        machine(),
        about.rounds,
        about.warm,
        about.mechanism.name()
    );
    text += "## Limits\n\n| what | to | is | at most | |\n|---|---|--:|--:|---|\n";
    for Verdict { what, to, value, limit, kept } in verdicts {
        let to = if *to == Contestant::Tenure.name() { "" } else { to };
        let mark = if *kept { "kept" } else { "**missed**" };
        let _ = writeln!(text, "| {what} | {to} | {value:.3} | {limit} | {mark} |");
    }
    text += "\n## What a call asks of DynamoDB\n\n\
             | endpoint | who | calls | steps | RCU | WCU | events | bytes sent | received |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for row in rows.0.iter().filter(|row| row.scene == "tls-4ms") {
        let Asked { calls, steps, rcu, wcu, events, bytes_sent, bytes_received } = row.asked;
        let _ = writeln!(
            text,
            "| {} | {} | {calls:.1} | {steps:.1} | {rcu:.1} | {wcu:.1} | {events:.0} | \
             {bytes_sent:.0} | {bytes_received:.0} |",
            row.endpoint, row.contestant
        );
    }
    for scene in SCENES {
        if rows.0.iter().any(|row| row.scene == scene.name) {
            table(&mut text, rows, scene.name, scene.about);
        }
    }
    text += &cost::markdown(rows);
    text
}

fn table(text: &mut String, rows: &Rows, scene: &str, about: &str) {
    let _ = writeln!(
        text,
        "\n## {scene}: {about}\n\n\
         | endpoint | who | init ms | CPU | first ms | CPU | warm p50 ms | p95 | p99 | CPU | \
         peak MiB | zip MB |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for row in rows.0.iter().filter(|row| row.scene == scene) {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.2} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} | {:.1} | \
             {:.2} |",
            row.endpoint,
            row.contestant,
            row.init_ms,
            row.init_cpu_ms,
            row.cold_ms,
            row.cold_cpu_ms,
            row.warm_p50_ms,
            row.warm_p95_ms,
            row.warm_p99_ms,
            row.warm_cpu_ms,
            row.rss_mib,
            row.package_mb
        );
    }
}

/// Returns today's date.
pub(crate) fn date() -> String {
    now().map_or_else(|_| String::new(), |now| now.fixed().chars().take(10).collect())
}

/// Describes the machine.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {}", std::env::consts::ARCH)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len().max(1) as u64)
}

/// Returns the nearest-rank percentile: the smallest of the values such that at least `percent` % of them are not
/// larger.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    #[expect(clippy::float_cmp, reason = "nothing is computed")]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([50, 95, 99].map(|percent| percentile(&values, percent)), [50.0, 95.0, 99.0]);
        assert_eq!([percentile(&[7.0], 99), median(vec![3.0, 1.0, 2.0])], [7.0, 2.0]);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}

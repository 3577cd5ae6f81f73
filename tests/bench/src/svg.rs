//! The comparison as a chart, legible on a light and on a dark background.

use std::fmt::Write as _;

use crate::contestants::Contestant;
use crate::endpoint::Endpoint;
use crate::report::{Row, Rows};

const WIDTH: f64 = 860.0;
const PANEL: f64 = WIDTH / 2.0;
const LABEL: f64 = 96.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const TOP: f64 = 44.0;

type Metric = fn(&Row) -> f64;

/// A panel of the chart: its title and unit, and the endpoint, scene and metric whose value is drawn for each
/// contestant.
type Panel = (&'static str, &'static str, Endpoint, &'static str, Metric);

const PANELS: [Panel; 6] = [
    ("get: start and first request, TLS", "ms of CPU", Endpoint::Get, "tls", |row| {
        row.init_cold_cpu_ms
    }),
    ("get: first request at 128 MB, TLS", "ms", Endpoint::Get, "tls-128", |row| row.cold_ms),
    ("get: warm, TLS, 4 ms per DynamoDB call", "ms, p50", Endpoint::Get, "tls-4ms", |row| {
        row.warm_p50_ms
    }),
    ("get: peak memory", "MiB", Endpoint::Get, "tls", |row| row.rss_mib),
    ("create: start and first request at 512 MB, TLS", "ms", Endpoint::Create, "tls-512", |row| {
        row.init_cold_ms
    }),
    ("create: warm, TLS", "ms of CPU", Endpoint::Create, "tls", |row| row.warm_cpu_ms),
];

/// Draws the panels for which there are values.
pub(crate) fn draw(rows: &Rows) -> String {
    let panels: Vec<_> = PANELS.iter().map(|panel| (panel, bars(rows, panel))).collect();
    let panels: Vec<_> = panels.into_iter().filter(|(_, bars)| !bars.is_empty()).collect();
    let panel_height = TOP + STEP * 6.0 + 14.0;
    let height =
        12.0 + panel_height * f64::from(u8::try_from(panels.len().div_ceil(2)).unwrap_or(1));
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Tenure beside other makes: the shorter the bar, the better">
<style>
.ground {{ fill: #ffffff }} text {{ fill: #1f2328 }} .unit {{ fill: #59636e }} .bar {{ fill: #b6bec8 }} .ours {{ fill: #1a7f64 }}
@media (prefers-color-scheme: dark) {{
.ground {{ fill: #0d1117 }} text {{ fill: #e6edf3 }} .unit {{ fill: #9198a1 }} .bar {{ fill: #4b5563 }} .ours {{ fill: #3fbf9b }}
}}
</style>
<rect class="ground" width="100%" height="100%" rx="6"/>"#
    );
    let (mut left, mut top) = (0.0, 6.0);
    for ((title, unit, ..), bars) in &panels {
        panel(&mut svg, (left, top), (title, unit), bars);
        if left > 0.0 {
            top += panel_height;
        }
        left = PANEL - left;
    }
    svg += "</svg>\n";
    svg
}

fn bars(rows: &Rows, (_, _, endpoint, scene, metric): &Panel) -> Vec<(Contestant, f64)> {
    let bar = |who| Some((who, metric(rows.get(scene, *endpoint, who)?)));
    Contestant::ALL.into_iter().filter_map(bar).collect()
}

fn panel(
    svg: &mut String,
    (left, top): (f64, f64),
    (title, unit): (&str, &str),
    bars: &[(Contestant, f64)],
) {
    let longest = bars.iter().map(|(_, value)| *value).fold(f64::EPSILON, f64::max);
    let room = PANEL - LABEL - 74.0;
    let _ = writeln!(
        svg,
        r#"<text x="{}" y="{}" font-weight="600">{title}</text><text x="{}" y="{}" class="unit" font-size="11">{unit}</text>"#,
        left + 8.0,
        top + 18.0,
        left + 8.0,
        top + 33.0
    );
    let mut y = top + TOP;
    for (who, value) in bars {
        let length = (value / longest * room).max(1.0);
        let class = if *who == Contestant::Tenure { "ours" } else { "bar" };
        let middle = y + BAR - 3.5;
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{middle:.1}" text-anchor="end">{}</text><rect class="{class}" x="{:.1}" y="{y:.1}" width="{length:.1}" height="{BAR}" rx="2"/><text x="{:.1}" y="{middle:.1}">{}</text>"#,
            left + LABEL,
            who.name(),
            left + LABEL + 8.0,
            left + LABEL + 14.0 + length,
            short(*value)
        );
        y += STEP;
    }
}

/// Formats a number with three significant digits.
fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

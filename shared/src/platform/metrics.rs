//! Metrics in CloudWatch's embedded metric format, as lines of the log
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use serde_json::{Map, Value, json};

use super::config;
use crate::domain::Timestamp;

/// CloudWatch namespace.
const NAMESPACE: &str = "Tenure";

/// Emits metrics with the time `now`: name, CloudWatch unit and value of each. The only dimension is the stage. Without
/// the variable `STAGE`, outside Lambda, nothing is written.
#[expect(clippy::print_stdout, reason = "CloudWatch reads metrics from stdout")]
pub fn emit(now: Timestamp, metrics: &[(&str, &str, u64)]) {
    let Some(stage) = config::optional("STAGE") else { return };
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Stage"]],
                "Metrics": definitions,
            }],
        }),
    );
    line.insert("Stage".to_owned(), json!(stage));
    line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
    println!("{}", Value::Object(line));
}

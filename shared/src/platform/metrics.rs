//! Metrics in CloudWatch's embedded metric format, as lines of the log
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use serde_json::{Map, Value, json};

use super::config;
use crate::domain::Timestamp;

/// CloudWatch namespace.
const NAMESPACE: &str = "Tenure";

/// A metric: its name, its CloudWatch unit, and its value.
pub type Metric = (&'static str, &'static str, u64);

/// Emits metrics with the timestamp `now` and the single dimension `Stage`. Writes nothing if the environment
/// variable `STAGE` is not set, as is the case outside Lambda.
#[expect(clippy::print_stdout, reason = "CloudWatch reads metrics from stdout")]
pub fn emit(now: Timestamp, metrics: &[Metric]) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    /// Every metric with its unit and the name of the test that makes its value change.
    const METRICS: &[(&str, &str, &str)] = &[
        ("DeletionsByOperators", "Count", DELETIONS),
        ("DeletionsByOwners", "Count", DELETIONS),
        ("DeletionsRefused", "Count", DELETIONS),
        ("ErasuresIncomplete", "Count", ASKING),
        ("MailBounced", "Count", "each_reason_moves_a_metric_of_its_own"),
        ("MailBreakerOpen", "Count", MAIL),
        ("MailComplained", "Count", "each_reason_moves_a_metric_of_its_own"),
        ("MailFailed", "Count", MAIL),
        ("MailGivenUp", "Count", MAIL),
        ("MailOldest", "Seconds", MAIL),
        ("MailSent", "Count", MAIL),
        ("MailSuppressed", "Count", MAIL),
        ("OutboxOldest", "Seconds", "the_age_of_the_oldest_event_is_a_metric"),
        ("ParticipantsAsked", "Count", ASKING),
        (
            "ProjectAdminsAdded",
            "Count",
            "bootstrap_with_add_adds_a_project_admin_with_an_event_and_a_metric",
        ),
        ("PurgeBreakerOpen", "Count", PURGE),
        ("PurgeClaimed", "Count", PURGE),
        ("PurgeDeletedItems", "Count", PURGE),
        ("PurgeDue", "Count", PURGE),
        ("PurgeFailed", "Count", PURGE),
        ("PurgeFinished", "Count", PURGE),
        ("PurgeOldestOverdue", "Seconds", PURGE),
        ("PurgeQuarantined", "Count", PURGE),
        ("PurgeStopped", "Count", PURGE),
        ("WebhookDead", "Count", DELIVERY),
        ("WebhookDelivered", "Count", DELIVERY),
        ("WebhookFailed", "Count", DELIVERY),
        ("WebhookOldest", "Seconds", DELIVERY),
    ];
    const ASKING: &str = "a_run_emits_what_it_asked_and_what_is_overdue";
    const DELETIONS: &str = "operators_delete_as_many_as_the_limit_and_the_rest_is_untouched";
    const DELIVERY: &str = "each_end_of_an_attempt_moves_its_metrics_and_no_other";
    const MAIL: &str = "each_end_of_a_message_moves_its_metric_and_no_other";
    const PURGE: &str = "each_end_of_a_turn_moves_its_metric_and_no_other";

    fn sources(directory: &Path, read: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, read);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                read.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    fn read(directories: &[&str]) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut text = String::new();
        for directory in directories {
            sources(&root.join(directory), &mut text);
        }
        text
    }

    /// Returns the metrics that the source text emits: their names, each with its unit.
    fn emitted(text: &str) -> BTreeMap<String, &'static str> {
        let mut found = BTreeMap::new();
        for unit in ["Count", "Seconds"] {
            let behind = format!("\", \"{unit}\", ");
            let ends = text.match_indices(&behind).map(|(end, _)| &text[..end]);
            let names = ends.filter_map(|before| before.rsplit_once("(\"")).map(|(_, name)| name);
            found.extend(names.map(|name| (name.to_owned(), unit)));
        }
        found
    }

    #[test]
    fn every_metric_has_a_test_that_makes_it_move() {
        let emitted = emitted(&read(&["shared/src", "functions/src"]));
        let listed = METRICS.iter().map(|(name, unit, _)| ((*name).to_owned(), *unit));
        assert_eq!(emitted, listed.collect());
        let tests = read(&["shared/src", "tests"]);
        for (name, _, test) in METRICS {
            assert!(tests.contains(&format!("fn {test}()")), "{name}: there is no test {test}");
        }
    }
}

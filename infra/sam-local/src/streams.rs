//! Emulates Lambda's event source mappings of table streams: batches, filters, retries, dead letters.
//!
//! Each record is delivered at least once: the position in the stream is saved only after delivery, so a
//! stack that was killed in between delivers the same records again when it is started anew.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    activity::{Activity, Doorbell},
    aws::REGION,
    console::Console,
    dynamodb::DynamoDb,
    error::Error,
    lambda::Functions,
    state,
    template::StreamMapping,
};

/// Pause before a failed batch is retried, doubled each time up to `LONGEST_PAUSE`.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of records that one read of a stream returns.
const MAX_RECORDS: usize = 1_000;

/// A running event source mapping, which delivers a table's stream to a function.
pub(crate) struct Stream {
    pub(crate) mapping: StreamMapping,
    pub(crate) doorbell: Arc<Doorbell>,
    pub(crate) dynamodb: Arc<DynamoDb>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) console: Arc<Console>,
    /// File that keeps the position in the stream; `None` if data is kept in memory.
    pub(crate) file: Option<PathBuf>,
}

/// Records that are delivered together, and the number of failed attempts.
struct Batch {
    records: Vec<Value>,
    failures: u32,
}

/// Result of a delivery.
enum Delivery {
    Done,
    /// Delivery failed from the record at this index on; with the failure.
    FailedFrom(usize, Value),
}

impl Stream {
    /// Returns the path of the file that keeps a mapping's position in its stream.
    pub(crate) fn file(directory: &Path, mapping: &StreamMapping) -> PathBuf {
        directory.join(format!("{}.json", mapping.id))
    }

    /// Delivers records as they come, for as long as the stack runs.
    pub(crate) async fn run(self) {
        // Delivers what an earlier stack left undelivered.
        self.doorbell.ring();
        let saved = self.file.as_deref().map(state::read).transpose();
        let mut position = match saved {
            Ok(saved) => saved.and_then(|saved| Some(saved["position"].as_str()?.to_owned())),
            Err(error) => return self.console.say(&error.to_string()),
        };
        loop {
            let busy = self.doorbell.rung().await;
            if let Err(error) = self.drain(&mut position).await {
                self.console.say(&format!("{}: {error}", self.mapping.id));
            }
            drop(busy);
        }
    }

    async fn drain(&self, position: &mut Option<String>) -> Result<(), Error> {
        loop {
            let records = self.read(position.as_deref()).await?;
            let Some(last) = records.last().map(sequence_number) else {
                return Ok(());
            };
            let last = last.to_owned();
            let batches = batches(self.filter(records), &self.mapping);
            join_all(batches.into_iter().map(|batches| self.deliver(batches))).await;
            if let Some(file) = &self.file {
                state::write(file, &json!({"position": last}))?;
            }
            *position = Some(last);
        }
    }

    async fn read(&self, after: Option<&str>) -> Result<Vec<Value>, Error> {
        let table = &self.mapping.table;
        let mut start = json!({
            "StreamArn": self.mapping.stream_arn,
            "ShardId": dynoxide::streams::shard_id(table),
            "ShardIteratorType": "TRIM_HORIZON",
        });
        if let Some(after) = after {
            start["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
            start["SequenceNumber"] = json!(after);
        }
        let failed = |error: dynoxide::DynoxideError| Error::new(error.to_string());
        let iterator = self.dynamodb.blocking("GetShardIterator", start).await.map_err(failed)?;
        let request = json!({
            "ShardIterator": iterator["ShardIterator"],
            "Limit": (self.mapping.batch_size * self.mapping.parallelization).min(MAX_RECORDS),
        });
        let mut page = self.dynamodb.blocking("GetRecords", request).await.map_err(failed)?;
        let Value::Array(mut records) = page["Records"].take() else {
            return Ok(Vec::new());
        };
        for record in &mut records {
            record["awsRegion"] = json!(REGION);
            record["eventSourceARN"] = json!(self.mapping.stream_arn);
        }
        Ok(records)
    }

    fn filter(&self, mut records: Vec<Value>) -> Vec<Value> {
        let filters = &self.mapping.filters;
        records.retain(|record| {
            filters.is_empty() || filters.iter().any(|filter| filter.matches(record))
        });
        records
    }

    /// Delivers batches one after the other. Each record ends as delivered or as a dead letter.
    async fn deliver(&self, mut batches: VecDeque<Batch>) {
        while let Some(mut batch) = batches.pop_front() {
            let Delivery::FailedFrom(done, reason) = self.call(&batch.records).await else {
                continue;
            };
            batch.records.drain(..done);
            if self.mapping.bisect && batch.records.len() > 1 {
                // As on AWS, halving is not counted as a retry.
                let half = batch.records.split_off(batch.records.len() / 2);
                batches.push_front(Batch { records: half, failures: batch.failures });
                batches.push_front(batch);
            } else if self.mapping.retries.is_some_and(|most| batch.failures >= most) {
                self.give_up(&batch, &reason);
            } else {
                let pause = RETRY_PAUSE * 2u32.saturating_pow(batch.failures.min(16));
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
                batch.failures += 1;
                batches.push_front(batch);
            }
        }
    }

    async fn call(&self, records: &[Value]) -> Delivery {
        if records.is_empty() {
            return Delivery::Done;
        }
        let event = json!({"Records": records}).to_string();
        match self.functions.invoke(&self.mapping.function, event.into()).await {
            Ok(answer) if self.mapping.reports_failures => reported(&answer, records),
            Ok(_) => Delivery::Done,
            Err(failure) => Delivery::FailedFrom(0, failure.payload()),
        }
    }

    fn give_up(&self, batch: &Batch, reason: &Value) {
        let StreamMapping { id, function, dead_letters, .. } = &self.mapping;
        let event = json!({"Records": batch.records, "destination": dead_letters});
        self.activity.give_up(id, function, &event, reason);
    }
}

/// Distributes records to parallel queues, and divides each queue into batches. All records of one item are
/// in the same queue, which keeps them in order.
fn batches(records: Vec<Value>, mapping: &StreamMapping) -> Vec<VecDeque<Batch>> {
    let mut queues = vec![Vec::new(); mapping.parallelization];
    for record in records {
        let mut hasher = DefaultHasher::new();
        record["dynamodb"]["Keys"].hash(&mut hasher);
        let queue = hasher.finish() % mapping.parallelization as u64;
        queues[usize::try_from(queue).unwrap_or_default()].push(record);
    }
    let batches = |records: Vec<Value>| {
        let chunks = records.chunks(mapping.batch_size);
        chunks.map(|records| Batch { records: records.to_vec(), failures: 0 }).collect()
    };
    queues.into_iter().map(batches).collect()
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

/// Reads `batchItemFailures` of a function's answer. The batch is to be retried from the first record named there; if
/// the answer names an unknown record, from the beginning.
fn reported(answer: &[u8], records: &[Value]) -> Delivery {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    let position = |failure: &Value| {
        let failed = failure["itemIdentifier"].as_str();
        records.iter().position(|record| Some(sequence_number(record)) == failed).unwrap_or(0)
    };
    match failures.map(position).min() {
        Some(first) => Delivery::FailedFrom(first, answer),
        None => Delivery::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::{Delivery, batches, reported, sequence_number};
    use crate::template::StreamMapping;
    use serde_json::json;

    #[test]
    fn a_batch_is_retried_from_the_first_reported_failure() {
        let record = |n: &str| json!({"dynamodb": {"SequenceNumber": n}});
        let records = [record("1"), record("2"), record("3")];
        let first = |answer: &str| match reported(answer.as_bytes(), &records) {
            Delivery::Done => None,
            Delivery::FailedFrom(first, _) => Some(first),
        };
        assert_eq!(first("null"), None);
        assert_eq!(first(r#"{"batchItemFailures":[]}"#), None);
        let answer = r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}"#;
        assert_eq!(first(answer), Some(1));
        assert_eq!(first(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#), Some(0));
    }
    #[test]
    fn records_of_one_key_stay_in_order_in_one_queue() {
        let mapping = StreamMapping {
            id: String::new(),
            table: String::new(),
            stream_arn: String::new(),
            function: String::new(),
            batch_size: 4,
            parallelization: 3,
            retries: None,
            bisect: false,
            reports_failures: false,
            filters: Vec::new(),
            dead_letters: None,
        };
        let record = |n: usize| {
            let key = format!("{}", n % 10);
            json!({"dynamodb": {"Keys": {"id": {"S": key}}, "SequenceNumber": format!("{n:03}")}})
        };
        let queues = batches((0..100).map(record).collect(), &mapping);
        assert_eq!(queues.len(), 3);
        let mut queue_of = [None; 10];
        let mut count = 0;
        for (index, queue) in queues.iter().enumerate() {
            assert!(queue.iter().all(|batch| batch.records.len() <= 4));
            let numbers: Vec<usize> = queue
                .iter()
                .flat_map(|batch| &batch.records)
                .map(|record| sequence_number(record).parse().unwrap())
                .collect();
            assert!(numbers.is_sorted());
            count += numbers.len();
            for number in numbers {
                assert_eq!(*queue_of[number % 10].get_or_insert(index), index);
            }
        }
        assert_eq!(count, 100);
        assert!(queues.iter().filter(|queue| !queue.is_empty()).count() > 1);
    }
}

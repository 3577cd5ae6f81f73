//! The audit: checks the stored items against what the soak has done, above all at the end, when nothing
//! changes them any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sam_local::Sinks;
use serde_json::Value;

use super::Scene;
use super::life::{End, Life};
use super::reader::Reader;
use crate::Result;

const ACCOUNTS: &str = "AccountsTable";
const OUTBOX: &str = "OutboxTable";

/// Numbers of accounts, items, events and dead letters that were audited.
#[derive(Default)]
pub(crate) struct Audit {
    pub(crate) accounts: usize,
    pub(crate) deleted: usize,
    pub(crate) items: usize,
    pub(crate) events: usize,
    pub(crate) dead_letters: usize,
}

/// The items of the tables, by account.
#[derive(Default)]
struct Tables {
    /// Sort keys and items of each account's partition.
    partitions: BTreeMap<String, BTreeMap<String, Value>>,
    /// By account, the keys of items outside its partition that name it in `customer_id`.
    elsewhere: BTreeMap<String, Vec<String>>,
    /// Sequence numbers of each account's events in the outbox.
    sequences: BTreeMap<String, Vec<u64>>,
}

impl Audit {
    /// Returns the number of accounts that are due to be deleted, or deleted and not yet purged.
    pub(crate) async fn unpurged(scene: &Scene) -> Result<usize> {
        let items = items(&scene.sinks, ACCOUNTS).await?;
        Ok(items.iter().filter(|item| !item["due_pk"].is_null()).count())
    }

    /// Audits every account of the soak, and counts what was audited.
    pub(crate) async fn of(scene: &Scene) -> Result<Self> {
        let accounts = items(&scene.sinks, ACCOUNTS).await?;
        let outbox = items(&scene.sinks, OUTBOX).await?;
        let lives = scene.lives.all();
        let mut audit = Self {
            accounts: lives.len(),
            items: accounts.len(),
            dead_letters: scene.sinks.dead_letters().len(),
            ..Self::default()
        };
        let tables = Tables::new(&accounts, &outbox);
        let reader = Reader::new(scene);
        for life in &lives {
            audit.events += tables.sequences.get(&life.id).map_or(0, Vec::len);
            audit.deleted += usize::from(life.end != End::None);
            tables.check_sequence(scene, life);
            if life.end == End::None {
                tables.check_live(scene, life);
            } else {
                tables.check_deleted(scene, life);
            }
            reader.check(life).await?;
        }
        Ok(audit)
    }
}

impl Tables {
    fn new(accounts: &[Value], outbox: &[Value]) -> Self {
        let mut tables = Self::default();
        for item in accounts {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            if let Some(id) = pk.strip_prefix("CUSTOMER#") {
                let partition = tables.partitions.entry(id.to_owned()).or_default();
                partition.insert(sk.to_owned(), item.clone());
            } else {
                let about =
                    tables.elsewhere.entry(text(item, "customer_id").to_owned()).or_default();
                about.push(format!("{pk}/{sk}"));
            }
        }
        for event in outbox.iter().filter(|event| !event["type"].is_null()) {
            if let Ok(number) = text(event, "sequence").parse() {
                let id = text(event, "customer_id").to_owned();
                tables.sequences.entry(id).or_default().push(number);
            }
        }
        tables
    }

    fn root(&self, life: &Life) -> &Value {
        self.partitions.get(&life.id).and_then(|items| items.get("A")).unwrap_or(&Value::Null)
    }

    /// Checks that the account's events are numbered without gaps, up to the sequence number in the account's root
    /// item (the item with the account's own data).
    fn check_sequence(&self, scene: &Scene, life: &Life) {
        let found = self.sequences.get(&life.id).cloned().unwrap_or_default();
        let last: u64 = text(self.root(life), "sequence").parse().unwrap_or_default();
        let numbers: BTreeSet<u64> = found.iter().copied().collect();
        let is_whole = found.len() == numbers.len() && numbers == (1..=last).collect();
        scene.tally.check("sequences have no gaps", is_whole, || {
            format!("{}: {numbers:?}, {} events, up to {last}", life.id, found.len())
        });
    }

    /// Checks that the counters in a live account's root item equal the numbers of items that the soak has
    /// created and not deleted.
    fn check_live(&self, scene: &Scene, life: &Life) {
        let root = self.root(life);
        for (kind, owned) in life.owns.iter().filter(|_| life.is_sure) {
            let counted: u64 = text(&root["owned"]["M"], kind).parse().unwrap_or_default();
            scene.tally.check("live accounts count what they own", counted == *owned, || {
                format!("{}: {owned} {kind}, and {counted}", life.id)
            });
        }
    }

    /// Checks that a deleted account is purged, with nothing left but its root item.
    fn check_deleted(&self, scene: &Scene, life: &Life) {
        let partition = self.partitions.get(&life.id).cloned().unwrap_or_default();
        let left: Vec<_> = partition.keys().filter(|sk| *sk != "A").collect();
        scene.tally.check(
            "partitions of deleted accounts are empty",
            left.is_empty() || !life.is_sure,
            || format!("{}: {left:?}", life.id),
        );
        let left = self.elsewhere.get(&life.id).cloned().unwrap_or_default();
        scene.tally.check(
            "deleted accounts have nothing elsewhere",
            left.is_empty() || !life.is_sure,
            || format!("{}: {left:?}", life.id),
        );
        let is_purged = !self.root(life)["tm_purge"].is_null();
        scene
            .tally
            .check("deleted accounts are purged", is_purged || !life.is_sure, || life.id.clone());
    }
}

/// Checks, while accounts change, that each account's events are numbered without gaps. The outbox is read
/// after the accounts, so it may have newer events.
pub(crate) async fn check_sequences(scene: &Scene) -> Result<()> {
    let accounts = items(&scene.sinks, ACCOUNTS).await?;
    let outbox = items(&scene.sinks, OUTBOX).await?;
    let tables = Tables::new(&accounts, &outbox);
    for (id, items) in &tables.partitions {
        let known: u64 =
            items.get("A").and_then(|root| text(root, "sequence").parse().ok()).unwrap_or_default();
        let found = tables.sequences.get(id).cloned().unwrap_or_default();
        let numbers: BTreeSet<u64> = found.iter().copied().collect();
        let last = numbers.last().copied().unwrap_or_default();
        let is_whole =
            last >= known && numbers.len() == found.len() && numbers == (1..=last).collect();
        scene.tally.check("sequences have no gaps, at any time", is_whole, || {
            format!("{id}: {numbers:?}, and at least up to {known}")
        });
    }
    Ok(())
}

/// Returns all items of a table.
async fn items(sinks: &Arc<Sinks>, table: &'static str) -> Result<Vec<Value>> {
    let sinks = Arc::clone(sinks);
    let items = tokio::task::spawn_blocking(move || sinks.items(table)).await?;
    Ok(items.map_err(|error| error.to_string())?)
}

/// Returns a text or number attribute of an item; empty if there is none.
fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().or_else(|| item[name]["N"].as_str()).unwrap_or_default()
}

//! Runs that a schedule, a stream or an operator starts: they stop when their time is up and say so, and what they cannot
//! publish comes again.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sam_local::{Held, Snapshot};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::bus::BusFault;
use crate::operations as o;
use crate::scene::Scene;
use crate::world::{ACCOUNTS, Answer, ENDLESS, ERASURES, OUTBOX, Operation, World};

/// How long each call takes. Concurrent ones take no longer.
const CALL: Duration = Duration::from_millis(100);

/// A run that has something to do.
struct Work {
    world: World,
    scene: Scene,
    run: Operation,
}

/// Returns every kind of run.
async fn all() -> Vec<Work> {
    vec![
        purge().await,
        publish().await,
        deliver().await,
        send_mail().await,
        backfill().await,
        replay().await,
        ask().await,
    ]
}

impl Work {
    /// Runs with `time` left, while each call takes [`CALL`].
    async fn run_within(&self, time: Duration) -> Answer {
        self.world.set(&self.scene);
        let held = self.world.tables.hold_calls();
        self.world.time_left.set(time);
        let run = self.world.start(0, &self.run, &self.scene);
        let answer = tokio::select! {
            answer = run => answer.expect("no crash"),
            () = delay(held) => unreachable!("calls are held as long as the run goes on"),
        };
        self.world.time_left.set(ENDLESS);
        drop(self.world.tables.hold_calls());
        assert_eq!(answer.status, 200, "{}: {}", self.run.name, answer.body);
        answer
    }

    fn has_changed_nothing(&self) -> bool {
        items(&self.world.tables.snapshot().unwrap()) == items(&self.scene.snapshot)
    }
}

/// Whether a run says that it has left something, how much, or where to continue.
fn is_unfinished(answer: &Answer) -> bool {
    let run = &answer.body;
    run["unfinished"] == true
        || run["unfinished"].as_u64() > Some(0)
        || run["unfinished_from"].is_string()
}

/// Lets each call go on when it has waited for [`CALL`].
async fn delay(mut held: UnboundedReceiver<Held>) {
    let mut waiting = VecDeque::new();
    loop {
        let next = waiting.front().map(|(at, _): &(Instant, Held)| *at);
        tokio::select! {
            Some(call) = held.recv() => waiting.push_back((Instant::now() + CALL, call)),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                waiting.pop_front().into_iter().for_each(|(_, call)| call.release());
            }
        }
    }
}

fn items(tables: &Snapshot) -> Vec<Value> {
    [ACCOUNTS, OUTBOX, ERASURES].iter().flat_map(|table| tables.items(table)).cloned().collect()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

async fn purge() -> Work {
    let world = World::new();
    let scene = Scene::deleted(&world).await;
    Work { world, scene, run: o::purge() }
}

async fn publish() -> Work {
    let world = World::new();
    let scene = Scene::active(&world).await.later(2);
    Work { world, scene, run: o::publish() }
}

async fn deliver() -> Work {
    let world = World::new();
    let scene = Scene::published(&world).await;
    Work { world, scene, run: o::deliver() }
}

/// Deletes mailed tokens that have expired.
async fn send_mail() -> Work {
    let world = World::new();
    let scene = Scene::mailed(&world).await.later(25 * 60);
    Work { world, scene, run: o::send_mail() }
}

async fn backfill() -> Work {
    let world = World::new();
    let scene = Scene::outdated(&world).await;
    Work { world, scene, run: o::backfill() }
}

async fn replay() -> Work {
    let world = World::new();
    let scene = Scene::restored(&world).await;
    Work { world, scene, run: o::replay() }
}

async fn ask() -> Work {
    let world = World::new();
    let scene = Scene::awaiting(&world).await;
    Work { world, scene, run: o::ask() }
}

/// Returns the functions that heed a deadline, by the names of their files.
fn functions_with_a_deadline() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let files = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path());
    let heeds = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("deadline: Deadline");
    let name = |file: PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.filter(heeds).map(name).collect()
}

/// The stream brings them again; the schedule would find them a minute later.
#[tokio::test(start_paused = true)]
async fn what_the_bus_does_not_take_goes_back_to_the_stream() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let ids: Vec<_> =
        scene.snapshot.items(OUTBOX).map(|item| text(item, "id").to_owned()).collect();
    let record = |id: &String| json!({"dynamodb": {"Keys": {"id": {"S": id}}, "SequenceNumber": format!("of {id}")}});
    let records: Vec<_> = ids.iter().map(record).collect();
    let stream = o::publish_from_stream(json!({ "Records": records }));
    for (fault, returned) in
        [(Some(BusFault::Refusing), &ids[..]), (Some(BusFault::Failing), &ids), (None, &[])]
    {
        world.set(&scene);
        world.bus.set_fault(fault);
        let answer = world.start(0, &stream, &scene).await.expect("no crash");
        let failures = returned.iter().map(|id| json!({"itemIdentifier": format!("of {id}")}));
        let expected = json!({"batchItemFailures": failures.collect::<Vec<_>>()});
        assert_eq!(answer.body, expected, "{fault:?}");
    }
}

/// Every function that heeds a deadline is among these runs.
#[tokio::test(start_paused = true)]
async fn a_run_whose_time_is_up_begins_nothing_and_says_so() {
    let (mut wrong, mut functions) = (Vec::new(), BTreeSet::new());
    for work in all().await {
        let answer = work.run_within(Duration::ZERO).await;
        if !is_unfinished(&answer) || !work.has_changed_nothing() {
            wrong.push(format!("{}: {}", work.run.name, answer.body));
        }
        functions.insert(work.run.function.to_owned());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(functions, functions_with_a_deadline(), "left: these runs; right: the sources");
}

/// The claim counts the first slice, and a run that is resumed may meet one that is counted.
#[tokio::test(start_paused = true)]
async fn a_purge_whose_time_is_up_after_its_claim_deletes_nothing() {
    // The queue, the account, its first page, the claim. A third of the time is kept for what was begun.
    let answer = purge().await.run_within((3 * CALL + CALL / 2) * 3 / 2).await;
    let run = &answer.body;
    assert_eq!((&run["claimed"], &run["deleted"]), (&json!(1), &json!(0)), "{run}");
    assert!(is_unfinished(&answer), "{run}");
}

//! Runs that a schedule or an operator starts: they stop when their time is up, say so, and say how long what they found has
//! waited.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sam_local::{Held, Snapshot};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::bus::BusFault;
use crate::operations as o;
use crate::scene::Scene;
use crate::world::{ACCOUNTS, Answer, ENDLESS, ERASURES, OUTBOX, Operation, World};

/// How long each call takes. Concurrent ones take no longer.
const CALL: Duration = Duration::from_millis(100);

/// A run with more to do than its time allows.
struct Work {
    world: World,
    scene: Scene,
    run: Operation,
    /// Whether the run says that it has left something.
    is_unfinished: fn(&Value) -> bool,
}

/// Returns every kind of run, each with work for several seconds.
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
    /// A run that says so by `unfinished`.
    fn new(world: World, scene: Scene, run: Operation) -> Self {
        Self { world, scene, run, is_unfinished: |run| run["unfinished"] == true }
    }

    /// A run that says where to continue.
    fn by_hand(world: World, scene: Scene, run: Operation) -> Self {
        let is_unfinished = |run: &Value| run["unfinished_from"].is_string();
        Self { is_unfinished, ..Self::new(world, scene, run) }
    }

    /// Adds `count` copies of each item of `table` that `is_it`, with other ids in place of `id`.
    fn multiply(&mut self, table: &str, is_it: impl Fn(&Value) -> bool, id: &str, count: u128) {
        let Self { world, scene, .. } = self;
        world.set(scene);
        let items: Vec<_> =
            scene.snapshot.items(table).filter(|item| is_it(item)).map(Value::to_string).collect();
        assert!(!items.is_empty(), "nothing to copy for {}", self.run.name);
        let copies = (1..=count).flat_map(|number| {
            let other = Uuid::from_u128(number).to_string();
            items.iter().map(move |item| item.replace(id, &other))
        });
        let copies = copies.map(|item| serde_json::from_str(&item).unwrap()).collect();
        world.tables.load(table, copies).unwrap();
        scene.snapshot = world.tables.snapshot().unwrap();
    }

    /// Runs with as much time, while each call takes some. Returns the answer, and how long it took.
    async fn run_within(&self, time: Duration) -> (Answer, Duration) {
        self.world.set(&self.scene);
        let held = self.world.tables.hold_calls();
        let start = Instant::now();
        self.world.time_left.set(time);
        let run = self.world.start(0, &self.run, &self.scene);
        let answer = tokio::select! {
            answer = run => answer.expect("no crash"),
            () = delay(held) => unreachable!("calls are held as long as the run goes on"),
        };
        self.world.time_left.set(ENDLESS);
        drop(self.world.tables.hold_calls());
        assert_eq!(answer.status, 200, "{}: {}", self.run.name, answer.body);
        (answer, start.elapsed())
    }

    fn tables(&self) -> Vec<Value> {
        items(&self.world.tables.snapshot().unwrap())
    }

    fn before(&self) -> Vec<Value> {
        items(&self.scene.snapshot)
    }

    fn says_that_it_is_unfinished(&self, answer: &Answer) -> bool {
        (self.is_unfinished)(&answer.body)
    }
}

/// Lets each call go on when it has waited for a while.
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

/// Returns the id of an event in these partitions.
fn event_in(scene: &Scene, queue: &str) -> String {
    let mut items = scene.snapshot.items(OUTBOX);
    text(items.find(|item| text(item, "due_pk").starts_with(queue)).unwrap(), "id").to_owned()
}

async fn purge() -> Work {
    let world = World::new();
    let scene = Scene::deleted(&world).await;
    let number = scene.number.clone();
    let mut work = Work::new(world, scene, o::purge());
    work.multiply(ACCOUNTS, |item| item.to_string().contains(&number), &number, 4_000);
    work
}

async fn publish() -> Work {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let scene = Scene { now: scene.now.plus(Duration::from_mins(2)), ..scene };
    let event = event_in(&scene, "PUBLISH#");
    let mut work = Work::new(world, scene, o::publish());
    work.multiply(OUTBOX, |item| text(item, "id") == event, &event, 800);
    work
}

async fn deliver() -> Work {
    let world = World::new();
    let scene = Scene::published(&world).await;
    let event = event_in(&scene, "DELIVER#");
    let is_unfinished = |run: &Value| run["unfinished"].as_u64() > Some(0);
    let mut work = Work { is_unfinished, ..Work::new(world, scene, o::deliver()) };
    work.multiply(OUTBOX, |item| text(item, "id") == event, &event, 120);
    work
}

async fn send_mail() -> Work {
    let world = World::new();
    let scene = Scene::mailed(&world).await;
    let scene = Scene { now: scene.now.plus(Duration::from_hours(25)), ..scene };
    let is_token = |item: &&Value| text(item, "id").starts_with("TOKEN#");
    let token = text(scene.snapshot.items(OUTBOX).find(is_token).unwrap(), "id").to_owned();
    let hash = token.trim_start_matches("TOKEN#").to_owned();
    let mut work = Work::new(world, scene, o::send_mail());
    work.multiply(OUTBOX, |item| text(item, "id") == token, &hash, 300);
    work
}

async fn backfill() -> Work {
    let world = World::new();
    let scene = Scene::outdated(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work::by_hand(world, scene, o::backfill());
    work.multiply(ACCOUNTS, |item| text(item, "id") == customer, &customer, 700);
    work
}

async fn replay() -> Work {
    let world = World::new();
    let scene = Scene::restored(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work::by_hand(world, scene, o::replay());
    work.multiply(ERASURES, |item| text(item, "sk") == "E", &customer, 60);
    work
}

async fn ask() -> Work {
    let world = World::new();
    let scene = Scene::awaiting(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work::new(world, scene, o::ask());
    work.multiply(ERASURES, |item| item.to_string().contains(&customer), &customer, 150);
    work
}

/// Whatever a run does that has a deadline, one of these cases has it.
#[test]
fn every_function_with_a_deadline_is_among_the_runs() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let files = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path());
    let heeds = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("deadline: Deadline");
    let name = |file: PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let with_deadline: BTreeSet<_> = files.filter(heeds).map(name).collect();
    let runs = [
        o::purge(),
        o::publish(),
        o::deliver(),
        o::send_mail(),
        o::backfill(),
        o::replay(),
        o::ask(),
    ];
    let runs: BTreeSet<_> = runs.iter().map(|run| run.function.to_owned()).collect();
    assert_eq!(with_deadline, runs);
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

#[tokio::test(start_paused = true)]
async fn a_run_whose_time_is_up_begins_nothing_and_says_so() {
    let mut wrong = Vec::new();
    for work in all().await {
        let (answer, _) = work.run_within(Duration::ZERO).await;
        if !work.says_that_it_is_unfinished(&answer) || work.tables() != work.before() {
            wrong.push(format!("{}: {}", work.run.name, answer.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The claim counts the first slice, and a run that is resumed may meet one that is counted.
#[tokio::test(start_paused = true)]
async fn a_purge_whose_time_is_up_after_its_claim_deletes_nothing() {
    let work = purge().await;
    // The queue, the account, its first page, the claim.
    let (answer, _) = work.run_within((3 * CALL + CALL / 2) * 3 / 2).await;
    let run = &answer.body;
    assert_eq!((&run["claimed"], &run["deleted"]), (&json!(1), &json!(0)), "{run}");
    assert!(work.says_that_it_is_unfinished(&answer), "{run}");
}

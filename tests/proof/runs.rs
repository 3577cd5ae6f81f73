//! Functions that a schedule, a stream or an operator invokes. A run whose time is up stops, and reports unfinished
//! work. Events from the stream that a run cannot publish go back to the stream.

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

/// Simulated duration of each database call. Concurrent calls overlap.
const CALL: Duration = Duration::from_millis(100);

/// A run of a function, and a scene in which it has more than one step of work.
struct Work {
    world: World,
    scene: Scene,
    run: Operation,
}

/// Returns every kind of run, each with several steps of work.
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
    /// Adds `count` copies of the items of `table` that `is_it` accepts, each with another id in place of `id`.
    fn multiply(&mut self, count: u128, table: &str, id: &str, is_it: impl Fn(&Value) -> bool) {
        let Self { world, scene, .. } = self;
        world.set(scene);
        let items = scene.snapshot.items(table).filter(|item| is_it(item));
        let items: Vec<_> = items.map(Value::to_string).collect();
        assert!(!items.is_empty(), "{} has nothing to do", self.run.name);
        let copies = (1..=count).flat_map(|number| {
            // Small numbers are the project's own.
            let other = Uuid::from_u128(number << 64).to_string();
            items.iter().map(move |item| item.replace(id, &other))
        });
        let copies = copies.map(|item| serde_json::from_str(&item).unwrap()).collect();
        world.tables.load(table, copies).unwrap();
        scene.snapshot = world.tables.snapshot().unwrap();
    }

    /// Runs the function with `time` left until its timeout, while each of its database calls takes [`CALL`].
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

/// Whether a run reports unfinished work: that there is some, how much, or where to continue.
fn is_unfinished(answer: &Answer) -> bool {
    let run = &answer.body;
    run["unfinished"] == true
        || run["unfinished"].as_u64() > Some(0)
        || run["unfinished_from"].is_string()
}

/// Releases each held database call after [`CALL`].
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

/// Returns the id of an event that is due in this queue.
fn event_in(scene: &Scene, queue: &str) -> String {
    let mut items = scene.snapshot.items(OUTBOX);
    text(items.find(|item| text(item, "due_pk").starts_with(queue)).unwrap(), "id").to_owned()
}

/// Returns a purge of an account that owns several pages of phone numbers.
async fn purge() -> Work {
    let world = World::new();
    let scene = Scene::deleted(&world).await;
    let number = scene.number.clone();
    let mut work = Work { world, scene, run: o::purge() };
    work.multiply(2_500, ACCOUNTS, &number, |item| item.to_string().contains(&number));
    work
}

async fn publish() -> Work {
    let world = World::new();
    let scene = Scene::active(&world).await.later(2);
    let event = event_in(&scene, "PUBLISH#");
    let mut work = Work { world, scene, run: o::publish() };
    work.multiply(250, OUTBOX, &event, |item| text(item, "id") == event);
    work
}

async fn deliver() -> Work {
    let world = World::new();
    let scene = Scene::published(&world).await;
    let event = event_in(&scene, "DELIVER#");
    let mut work = Work { world, scene, run: o::deliver() };
    work.multiply(60, OUTBOX, &event, |item| text(item, "id") == event);
    work
}

/// Returns a run of the mail sender that has many expired mailed tokens to delete.
async fn send_mail() -> Work {
    let world = World::new();
    let scene = Scene::mailed(&world).await.later(25 * 60);
    let is_token = |item: &&Value| text(item, "id").starts_with("TOKEN#");
    let token = text(scene.snapshot.items(OUTBOX).find(is_token).unwrap(), "id").to_owned();
    let mut work = Work { world, scene, run: o::send_mail() };
    let hash = token.trim_start_matches("TOKEN#");
    work.multiply(45, OUTBOX, hash, |item| text(item, "id") == token);
    work
}

async fn backfill() -> Work {
    let world = World::new();
    let scene = Scene::outdated(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work { world, scene, run: o::backfill() };
    work.multiply(350, ACCOUNTS, &customer, |item| text(item, "id") == customer);
    work
}

async fn replay() -> Work {
    let world = World::new();
    let scene = Scene::restored(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work { world, scene, run: o::replay() };
    work.multiply(40, ERASURES, &customer, |item| text(item, "sk") == "E");
    work.multiply(40, ACCOUNTS, &customer, |item| text(item, "id") == customer);
    work
}

async fn ask() -> Work {
    let world = World::new();
    let scene = Scene::awaiting(&world).await;
    let customer = scene.customer.clone();
    let mut work = Work { world, scene, run: o::ask() };
    work.multiply(100, ERASURES, &customer, |item| item.to_string().contains(&customer));
    work
}

/// Returns the names of the source files of all functions whose handlers take a deadline.
fn functions_with_a_deadline() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let files = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path());
    let heeds = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("deadline: Deadline");
    let name = |file: PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files.filter(heeds).map(name).collect()
}

/// Events that the bus does not accept are reported as failed, so that the stream delivers them again. Otherwise they
/// would wait for the schedule, which takes up events only after a minute.
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

/// A run with no time left begins no work, and reports that. The list of runs must have every function whose handler
/// takes a deadline.
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

#[tokio::test(start_paused = true)]
async fn a_run_with_half_the_time_it_needs_does_some_of_its_work_and_says_so() {
    let mut wrong = Vec::new();
    for work in all().await {
        let start = Instant::now();
        let whole = work.run_within(ENDLESS).await;
        let needed = start.elapsed();
        assert!(!is_unfinished(&whole), "{}: {}", work.run.name, whole.body);
        // A run keeps a third of its time to finish what it has begun.
        let half = work.run_within(needed / 2 * 3 / 2).await;
        if !is_unfinished(&half) || work.has_changed_nothing() {
            wrong.push(format!("{} within half of {needed:?}: {}", work.run.name, half.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The transaction by which a purge claims an account also counts the account's first slice (up to 500
/// items). If the time is up before that slice is deleted, the next run finds it already counted.
#[tokio::test(start_paused = true)]
async fn a_purge_whose_time_is_up_after_its_claim_deletes_nothing() {
    // The calls read the purge queue, the account and its first page, and claim the account. A run keeps a
    // third of its time to finish what it has begun.
    let answer = purge().await.run_within((3 * CALL + CALL / 2) * 3 / 2).await;
    let run = &answer.body;
    assert_eq!((&run["claimed"], &run["deleted"]), (&json!(1), &json!(0)), "{run}");
    assert!(is_unfinished(&answer), "{run}");
}

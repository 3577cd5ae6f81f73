//! Every order in which operations that run at the same time can call the tables.
//!
//! A step is one call; calls that an operation makes side by side are steps of their own, in any order.
//! After each step an operation goes on until it waits for its next calls, so the calls alone make the
//! order. Orders that differ only in calls that have nothing in common lead to the same tables, and one
//! of them stands for all (sleep sets: Godefroid, 1996). Depth first, always in the same order.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use local::{Call, Held};
use serde_json::Value;
use shared::domain::Timestamp;
use shared::domain::lifecycle::GRACE;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::operations as o;
use crate::scene::Scene;
use crate::state::State;
use crate::world::{Answer, Operation, World};

/// Something that can happen next: the call of an operation that it made as its n-th, or time passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Call(usize, usize),
    Time,
}

/// Operations at the same time.
struct Race<'a> {
    world: &'a World,
    scene: &'a Scene,
    operations: Vec<&'a Operation>,
    /// By how much time moves forward, once, at any moment.
    time: Option<Duration>,
    start: State,
}

/// A moment at which more than one thing could happen.
struct Choice {
    taken: Step,
    /// What was taken here before, in earlier runs.
    done: Vec<Step>,
    /// What is still to be taken here.
    open: Vec<Step>,
}

/// What has happened in one run.
struct Run {
    answers: Vec<Option<Answer>>,
    /// The tables after each step that may have changed them.
    states: Vec<State>,
    path: Vec<Step>,
}

impl<'a> Race<'a> {
    fn new(world: &'a World, scene: &'a Scene, operations: Vec<&'a Operation>) -> Self {
        world.set(scene);
        Self { world, scene, operations, time: None, start: world.state(scene) }
    }

    /// Runs every order; gives their number.
    async fn explore(&self) -> usize {
        let (mut path, mut runs) = (Vec::new(), 0);
        loop {
            if let Some(run) = self.run(&mut path).await {
                runs += 1;
                self.check(run).await;
            }
            loop {
                let Some(last) = path.last_mut() else { return runs };
                last.done.push(last.taken);
                if last.open.is_empty() {
                    path.pop();
                } else {
                    last.taken = last.open.remove(0);
                    break;
                }
            }
        }
    }

    /// Runs along `path`, and from its end takes the first step each time. `None` if every order from
    /// some moment on stands for one that has been run.
    async fn run(&self, path: &mut Vec<Choice>) -> Option<Run> {
        let Self { world, scene, operations, .. } = self;
        world.set(scene);
        let held = world.tables.hold_calls();
        let mut work: FuturesUnordered<_> = (0..operations.len())
            .map(|slot| {
                let work = world.start(slot, operations[slot], scene);
                async move { (slot, work.await.expect("no faults")) }
            })
            .collect();
        let mut waiting = Waiting::new(operations.len(), held);
        let mut time_passes = self.time;
        let mut decided = vec![world.now(); operations.len()];
        let mut run = Run {
            answers: vec![None; operations.len()],
            states: vec![world.state(scene)],
            path: Vec::new(),
        };
        let mut asleep: Vec<Step> = Vec::new();
        for depth in 0.. {
            while !work.is_empty() {
                tokio::select! {
                    biased;
                    Some((slot, answer)) = work.next() => run.answers[slot] = Some(answer),
                    // Time stands still while anything moves: nothing does any more.
                    () = sleep(Duration::from_millis(1)) => {
                        waiting.arrive();
                        if !waiting.calls.is_empty() { break; }
                    }
                }
            }
            let mut steps = waiting.steps();
            // Time that passes when all is done changes nothing.
            steps.extend(time_passes.filter(|_| !work.is_empty()).map(|_| Step::Time));
            if steps.is_empty() {
                return Some(run);
            }
            if depth == path.len() {
                let mut open: Vec<Step> =
                    steps.into_iter().filter(|step| !asleep.contains(step)).collect();
                if open.is_empty() {
                    return None;
                }
                path.push(Choice { taken: open.remove(0), done: Vec::new(), open });
            }
            let Choice { taken, done, .. } = &path[depth];
            asleep.extend(done);
            asleep.retain(|other| !waiting.meet(*taken, *other));
            run.path.push(*taken);
            match (*taken, time_passes.take_if(|_| *taken == Step::Time)) {
                (Step::Time, by) => world.set_time(world.now().plus(by.unwrap_or_default())),
                (Step::Call(slot, _), _) => {
                    let (writes, before) = (waiting.release(*taken), decided[slot]);
                    decided[slot] = world.now();
                    // The call is carried out when its operation is polled next.
                    while world.tables.take_calls().is_empty() {
                        tokio::select! {
                            biased;
                            Some((slot, answer)) = work.next() => run.answers[slot] = Some(answer),
                            () = sleep(Duration::from_millis(1)) => {}
                        }
                    }
                    if writes {
                        self.step(&mut run, slot, before);
                    }
                }
            }
        }
        None
    }

    fn step(&self, run: &mut Run, slot: usize, decided: Timestamp) {
        let next = self.world.state(self.scene);
        next.check(&self.start);
        if let Some(before) = run.states.last() {
            before.check_step(&next, self.operations[slot].function, decided);
        }
        run.states.push(next);
    }

    async fn check(&self, run: Run) {
        let Self { world, scene, operations, start, .. } = self;
        drop(world.tables.hold_calls());
        for (operation, answer) in operations.iter().zip(&run.answers) {
            let answer = answer.as_ref().expect("an answer");
            let context = || {
                let names: Vec<_> = operations.iter().map(|operation| operation.name).collect();
                format!(
                    "{} of {names:?} from {}: {answer:?}\n{:?}",
                    operation.name, scene.name, run.path
                )
            };
            assert!([200, 401, 403, 404, 409].contains(&answer.status), "{}", context());
            assert!(matches!(answer.body["failed"], Value::Null) || answer.body["failed"] == 0);
            let is_true = |state: &State| operation.is_true(answer, scene, state);
            assert!(run.states.iter().any(is_true), "a lie: {}", context());
        }
        world.purge(scene, start).await;
    }
}

/// Calls that wait to be let through.
struct Waiting {
    held: UnboundedReceiver<Held>,
    /// How many calls each operation has made.
    made: Vec<usize>,
    calls: Vec<(Step, Held)>,
}

impl Waiting {
    fn new(operations: usize, held: UnboundedReceiver<Held>) -> Self {
        Self { held, made: vec![0; operations], calls: Vec::new() }
    }

    fn arrive(&mut self) {
        while let Ok(held) = self.held.try_recv() {
            let slot: usize = held.call.process.parse().expect("a number");
            self.calls.push((Step::Call(slot, self.made[slot]), held));
            self.made[slot] += 1;
        }
        self.calls.sort_by_key(|(step, _)| *step);
    }

    fn steps(&self) -> Vec<Step> {
        self.calls.iter().map(|(step, _)| *step).collect()
    }

    fn call(&self, step: Step) -> Option<&Call> {
        self.calls.iter().find(|(one, _)| *one == step).map(|(_, held)| &held.call)
    }

    /// Whether the order of two steps can matter. That of time and anything else can.
    fn meet(&self, one: Step, other: Step) -> bool {
        match (self.call(one), self.call(other)) {
            (Some(one), Some(other)) => one.meets(other),
            _ => true,
        }
    }

    /// Lets a call through; whether it may change anything.
    fn release(&mut self, step: Step) -> bool {
        let position = self.calls.iter().position(|(one, _)| *one == step).expect("a waiting call");
        let (_, held) = self.calls.remove(position);
        let writes = held.call.writes();
        held.release();
        writes
    }
}

fn all() -> Vec<Operation> {
    vec![
        o::unregister(),
        o::recover(),
        o::immediate(),
        o::admin_delete(),
        o::purge(),
        o::create_key(),
        o::login(),
        o::metadata(),
    ]
}

/// Every pair, also of an operation with itself, from one scene.
async fn every_pair(world: World, scene: Scene) {
    let operations = all();
    let mut sum = 0;
    for (index, one) in operations.iter().enumerate() {
        for other in &operations[index..] {
            let runs = Race::new(&world, &scene, vec![one, other]).explore().await;
            println!("{} | {} from {}: {runs} orders", one.name, other.name, scene.name);
            sum += runs;
        }
    }
    println!("every pair from {}: {sum} orders", scene.name);
}

#[tokio::test(start_paused = true)]
async fn every_pair_from_active() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    every_pair(world, scene).await;
}

#[tokio::test(start_paused = true)]
async fn every_pair_from_due() {
    let world = World::new();
    let scene = Scene::due(&world).await;
    every_pair(world, scene).await;
}

#[tokio::test(start_paused = true)]
async fn every_pair_from_deleted() {
    let world = World::new();
    let scene = Scene::deleted(&world).await;
    every_pair(world, scene).await;
}

/// The date comes while both are at it: one of them wins, and the loser does nothing.
#[tokio::test(start_paused = true)]
async fn recover_and_purge_while_the_date_comes() {
    let world = World::new();
    let scene = Scene::nearly_due(&world).await;
    let (recover, purge) = (o::recover(), o::purge());
    let mut race = Race::new(&world, &scene, vec![&recover, &purge]);
    race.time = Some(Duration::from_micros(1));
    println!("recover | purge | time from {}: {} orders", scene.name, race.explore().await);
}

#[tokio::test(start_paused = true)]
async fn unregister_recover_and_purge_while_the_date_comes() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let (unregister, recover, purge) = (o::unregister(), o::recover(), o::purge());
    let mut race = Race::new(&world, &scene, vec![&unregister, &recover, &purge]);
    race.time = Some(GRACE);
    println!("unregister | recover | purge | time from active: {} orders", race.explore().await);
}

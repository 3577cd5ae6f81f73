//! Every interleaving of the database calls of concurrent operations.
//!
//! A step is one call; calls that an operation makes concurrently are steps of their own, in any order.
//! After each step the operation runs until it waits for its next calls, so the calls alone determine the
//! interleaving. Interleavings that differ only in the order of independent calls lead to the same tables, and
//! one of them is run: dynamic partial order reduction with source sets and sleep sets (Abdulla et al.,
//! "Optimal dynamic partial order reduction", 2014). The search is depth first and deterministic.
//!
//! Where transactions are in flight for a while, as on AWS, each is two steps: it locks its items, and it writes
//! and unlocks them. In between, other writers of these items are refused.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sam_local::{Footprint, Held, Tables};
use serde_json::Value;
use shared::domain::Timestamp;
use shared::domain::idempotency::LIFETIME;
use shared::domain::lifecycle::GRACE;
use shared::domain::owned::Kind;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::operations as o;
use crate::scene::{Scene, TIMEOUT};
use crate::state::State;
use crate::world::{Answer, Operation, World};

/// Step limit of one interleaving. One that reaches it is taken to be endless.
const MOST_STEPS: usize = 2_000;

/// Maximum wait, in milliseconds, for the operations' next calls: longer than any pause of an operation.
const MOST_IDLE: usize = 60_000;

/// Number of steps that the failure message of an endless interleaving shows: its last ones.
const SHOWN: usize = 12;

/// A step of an interleaving: one database call of one of the concurrent operations, named by the operation's index and
/// the call's number within the operation; or the passing of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Call(usize, usize),
    Time,
}

/// Operations that run concurrently from one scene, and what must hold in every interleaving.
pub(crate) struct Race<'a> {
    world: &'a World,
    scene: &'a Scene,
    operations: Vec<&'a Operation>,
    /// Amount by which the clock moves forward, once per interleaving and at any point of it; `None` if it stands
    /// still.
    time: Option<Duration>,
    /// How often each operation may be refused because another one has locked an item; `None` if each transaction is a
    /// single step, so that no item stays locked.
    refusals: Option<usize>,
    /// Type that the account's last event must have if the first operation has succeeded; `None` if any type may be
    /// last.
    last_event: Option<&'static str>,
    /// Whether one of two operations must succeed, and the other be refused with 412.
    pub(crate) has_one_winner: bool,
    /// Whether no operation may undo the effect of another.
    pub(crate) effects_last: bool,
    start: State,
}

/// A point of the search at which a step was chosen.
struct Choice {
    taken: Step,
    /// Steps that were possible at this point.
    enabled: Vec<Step>,
    /// The sleep set: steps whose interleavings have been run elsewhere.
    asleep: Vec<Step>,
    /// Steps taken here in earlier runs.
    done: Vec<Step>,
    /// The backtrack set: steps still to be taken here.
    open: Vec<Step>,
}

/// A step that was taken.
struct Taken {
    step: Step,
    /// The DynamoDB operation that is called; empty if time passed.
    call: String,
    /// The items that the call read and wrote. `None` if time passed: this step counts as dependent on every other.
    footprint: Option<Footprint>,
    /// Index of the step after which the operation made the call.
    cause: Option<usize>,
}

/// The record of one run.
struct Run {
    answers: Vec<Option<Answer>>,
    /// The state after each step that may have written.
    states: Vec<State>,
    steps: Vec<Taken>,
    /// Whether all operations have ended; `false` if the sleep set has cut the run short.
    is_whole: bool,
}

impl<'a> Race<'a> {
    pub(crate) fn new(world: &'a World, scene: &'a Scene, operations: Vec<&'a Operation>) -> Self {
        world.set(scene);
        let (time, refusals, last_event) = (None, None, None);
        let start = world.state(scene);
        Self {
            world,
            scene,
            operations,
            time,
            refusals,
            last_event,
            has_one_winner: false,
            effects_last: false,
            start,
        }
    }

    /// Runs each transaction as two steps. Each operation is refused at most once for a locked item: without this
    /// limit, it could retry for ever before the other operation goes on.
    fn contended(self) -> Self {
        Self { refusals: Some(1), ..self }
    }

    /// Runs every interleaving; returns their number.
    pub(crate) async fn explore(&self) -> usize {
        let (mut path, mut runs) = (Vec::new(), 0);
        loop {
            let run = self.run(&mut path).await;
            reverse_races(&mut path, &run.steps);
            if run.is_whole {
                runs += 1;
                self.check(run).await;
            }
            loop {
                let Some(last) = path.last_mut() else { return runs };
                last.done.push(last.taken);
                match last.open.pop() {
                    Some(next) => break last.taken = next,
                    None => path.truncate(path.len() - 1),
                }
            }
        }
    }

    /// Runs the interleaving that begins with `path`; from the end of `path`, takes the first possible step each time.
    /// Stops early if every interleaving with this beginning has been run.
    async fn run(&self, path: &mut Vec<Choice>) -> Run {
        let Self { world, scene, operations, .. } = self;
        world.set(scene);
        let held = match self.refusals {
            Some(_) => world.tables.hold_calls_by_phase(),
            None => world.tables.hold_calls(),
        };
        let mut work: FuturesUnordered<_> = (0..operations.len())
            .map(|slot| {
                let work = world.start(slot, operations[slot], scene);
                async move { (slot, work.await.expect("no faults")) }
            })
            .collect();
        let mut waiting = Waiting::new(&world.tables, operations.len(), held);
        let mut refusals = vec![self.refusals.unwrap_or_default(); operations.len()];
        let mut time_passes = self.time;
        let mut decided = vec![world.now(); operations.len()];
        let mut run = Run {
            answers: vec![None; operations.len()],
            states: vec![world.state(scene)],
            steps: Vec::new(),
            is_whole: false,
        };
        let mut asleep: Vec<Step> = Vec::new();
        for depth in 0.. {
            assert!(depth < MOST_STEPS, "{}", self.endless(&run.steps));
            let mut idle = 0;
            while !work.is_empty() {
                tokio::select! {
                    biased;
                    Some((slot, answer)) = work.next() => run.answers[slot] = Some(answer),
                    // Tokio's paused clock moves only when every task waits.
                    () = sleep(Duration::from_millis(1)) => {
                        idle += 1;
                        assert!(idle < MOST_IDLE, "{}", self.endless(&run.steps));
                        waiting.arrive(&run.steps);
                        if waiting.is_complete(&run.answers) { break; }
                    }
                }
            }
            let mut enabled = waiting.steps(&refusals);
            enabled.extend(time_passes.map(|_| Step::Time));
            if enabled.is_empty() {
                run.is_whole = true;
                break;
            }
            if depth == path.len() {
                let Some(taken) = enabled.iter().copied().find(|step| !asleep.contains(step))
                else {
                    break;
                };
                let asleep = asleep.clone();
                path.push(Choice { taken, enabled, asleep, done: Vec::new(), open: Vec::new() });
            }
            let Choice { taken, done, .. } = &path[depth];
            asleep.extend(done);
            let step = waiting.taken(*taken);
            asleep.retain(|other| !are_dependent(&step, &waiting.taken(*other)));
            run.steps.push(step);
            match (*taken, time_passes.take_if(|_| *taken == Step::Time)) {
                (Step::Time, by) => world.set_time(world.now().plus(by.unwrap_or_default())),
                (Step::Call(slot, _), _) => {
                    let before = std::mem::replace(&mut decided[slot], world.now());
                    refusals[slot] = refusals[slot].saturating_sub(waiting.release(*taken).into());
                    // The call is executed when its operation is polled next.
                    while world.tables.take_calls().is_empty() {
                        tokio::select! {
                            biased;
                            Some((slot, answer)) = work.next() => run.answers[slot] = Some(answer),
                            () = sleep(Duration::from_millis(1)) => {}
                        }
                    }
                    let footprint = run.steps.last().and_then(|taken| taken.footprint.as_ref());
                    if footprint.is_some_and(Footprint::writes) {
                        self.step(&mut run, slot, before);
                    }
                }
            }
        }
        // Ends background work of the operations, which would otherwise go on in a later run.
        drop(work);
        drop(world.tables.hold_calls());
        waiting.release_all().await;
        run
    }

    /// Returns the failure message for an endless interleaving, with its last steps.
    fn endless(&self, steps: &[Taken]) -> String {
        let last = steps.len().saturating_sub(SHOWN);
        let last = steps[last..].iter().map(|Taken { step, call, .. }| match step {
            Step::Call(slot, number) => {
                format!("{}: call {number}, {call}", self.operations[*slot].name)
            }
            Step::Time => "time passes".to_owned(),
        });
        let last: Vec<_> = last.collect();
        format!(
            "no end from {} after {} steps, the last:\n{}",
            self.scene.name,
            steps.len(),
            last.join("\n")
        )
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
                let steps: Vec<_> = run.steps.iter().map(|taken| taken.step).collect();
                let name = operation.name;
                format!("{name} of {names:?} from {}: {answer:?}\n{steps:?}", scene.name)
            };
            let is_used_up = answer.body["error"]["reason"] == "TOKEN_INVALID";
            let is_possible = [200, 401, 403, 404, 409, 412].contains(&answer.status) || is_used_up;
            assert!(is_possible, "{}", context());
            assert!(matches!(answer.body["failed"], Value::Null) || answer.body["failed"] == 0);
            let is_true = |state: &State| operation.is_true(answer, scene, state);
            assert!(run.states.iter().any(is_true), "a false success: {}", context());
            let last = run.states.last().unwrap_or(start);
            let is_lasting = !self.effects_last || is_true(last);
            assert!(is_lasting, "a lost change: {}", context());
            assert!(last.knows_ticket_of(answer), "a ticket of nothing: {}", context());
        }
        if self.has_one_winner {
            let statuses = run.answers.iter().flatten().map(|answer| answer.status);
            let statuses: BTreeSet<_> = statuses.collect();
            assert_eq!(statuses, [200, 412].into(), "{:?}", run.answers);
        }
        if let (Some(event), [Some(first), ..]) = (self.last_event, run.answers.as_slice())
            && first.status == 200
        {
            let last = run.states.last().expect("a state");
            assert_eq!(last.last_event, event, "{} was overtaken", operations[0].name);
        }
        let deleted = run.states.iter().find(|state| state.status() == "deleted");
        let mut owned = deleted.map(State::inventory).unwrap_or_default();
        // A session may be counted, and expire before it is deleted.
        let sessions = run.states.iter().map(|state| state.count(Kind::Session.prefix())).max();
        owned.insert(Kind::Session.plural(), sessions.unwrap_or_default());
        world.purge(scene, start, &owned).await;
    }
}

/// Schedules, for every two dependent steps without a causal order, a run in which the later comes first.
fn reverse_races(path: &mut [Choice], steps: &[Taken]) {
    // For each step, the steps that must happen before it.
    let mut before: Vec<Vec<usize>> = Vec::new();
    for (late, step) in steps.iter().enumerate() {
        let causes =
            |early: &usize| step.cause == Some(*early) || are_dependent(&steps[*early], step);
        let causes: Vec<usize> = (0..late).filter(causes).collect();
        let is_between = |early: usize| causes.iter().any(|one| before[*one].contains(&early));
        for &early in causes.iter().filter(|early| step.cause != Some(**early)) {
            if !is_between(early) {
                reverse_race(&mut path[early], early, late, steps, &before, &causes);
            }
        }
        let mut all: Vec<usize> = causes.iter().flat_map(|one| before[*one].clone()).collect();
        all.extend(causes);
        all.sort_unstable();
        all.dedup();
        before.push(all);
    }
}

/// Adds a step to the backtrack set of `choice`, the point before the step `early`. The added step leads to a run in
/// which `late` comes before `early`.
fn reverse_race(
    choice: &mut Choice,
    early: usize,
    late: usize,
    steps: &[Taken],
    before: &[Vec<usize>],
    causes: &[usize],
) {
    // The steps in between that do not depend on `early`, and then `late`.
    let mut way: Vec<usize> =
        (early + 1..late).filter(|step| !before[*step].contains(&early)).collect();
    way.push(late);
    let is_first = |step: &&usize| {
        let needs = |other: &usize| {
            if **step == late {
                causes.iter().any(|one| one == other || before[*one].contains(other))
            } else {
                before[**step].contains(other)
            }
        };
        !way.iter().any(|other| other < *step && needs(other))
    };
    let firsts: Vec<Step> = way.iter().filter(is_first).map(|step| steps[*step].step).collect();
    let is_seen = |step: &Step| {
        *step == choice.taken || choice.done.contains(step) || choice.open.contains(step)
    };
    if firsts.iter().any(|step| is_seen(step) || choice.asleep.contains(step)) {
        return;
    }
    if let Some(first) = firsts.iter().find(|step| choice.enabled.contains(step)) {
        choice.open.push(*first);
    } else {
        let is_new = |step: &&Step| !is_seen(step) && !choice.asleep.contains(step);
        let rest: Vec<Step> = choice.enabled.iter().filter(is_new).copied().collect();
        choice.open.extend(rest);
    }
}

/// Whether two steps are dependent: whether their order can matter. Time depends on every step.
fn are_dependent(one: &Taken, other: &Taken) -> bool {
    match (&one.footprint, &other.footprint) {
        (Some(one), Some(other)) => one.meets(other),
        _ => true,
    }
}

/// Database calls that operations have made, held until they are released.
struct Waiting<'a> {
    tables: &'a Tables,
    held: UnboundedReceiver<Held>,
    /// Number of calls that each operation has made.
    made: Vec<usize>,
    calls: Vec<(Step, Held, Option<usize>)>,
    /// Whether each operation pauses: it was refused for a locked item, and has made no call since.
    is_pausing: Vec<bool>,
}

impl<'a> Waiting<'a> {
    fn new(tables: &'a Tables, operations: usize, held: UnboundedReceiver<Held>) -> Self {
        let (made, is_pausing) = (vec![0; operations], vec![false; operations]);
        Self { tables, held, made, calls: Vec::new(), is_pausing }
    }

    /// Receives the calls that operations have made after these steps.
    fn arrive(&mut self, steps: &[Taken]) {
        while let Ok(held) = self.held.try_recv() {
            let slot: usize = held.call.process.parse().expect("a number");
            let is_own = |taken: &Taken| matches!(taken.step, Step::Call(own, _) if own == slot);
            let cause = steps.iter().rposition(is_own);
            self.calls.push((Step::Call(slot, self.made[slot]), held, cause));
            self.made[slot] += 1;
            self.is_pausing[slot] = false;
        }
        self.calls.sort_by_key(|(step, ..)| *step);
    }

    /// Whether all calls that can be chosen from are known: at least one call waits to be released, and every operation
    /// has answered or waits with a call.
    fn is_complete(&self, answers: &[Option<Answer>]) -> bool {
        let pauses =
            |(slot, answer): (usize, &Option<Answer>)| answer.is_none() && self.is_pausing[slot];
        !self.calls.is_empty() && !answers.iter().enumerate().any(pauses)
    }

    /// Returns the steps that are possible, given how often each operation may yet be refused for a locked item.
    fn steps(&self, refusals: &[usize]) -> Vec<Step> {
        let is_possible = |(step, held, _): &&(Step, Held, Option<usize>)| match step {
            Step::Call(slot, _) => refusals[*slot] > 0 || !self.tables.is_locked(held),
            Step::Time => true,
        };
        self.calls.iter().filter(is_possible).map(|(step, ..)| *step).collect()
    }

    /// Returns the step with its call, and with the items that the call would read and write now.
    fn taken(&self, step: Step) -> Taken {
        let waiting = self.calls.iter().find(|(one, ..)| *one == step);
        let footprint = waiting.map(|(_, held, _)| self.tables.footprint(held));
        let call = waiting.map(|(_, held, _)| held.call.operation.clone()).unwrap_or_default();
        Taken { step, call, footprint, cause: waiting.and_then(|(.., cause)| *cause) }
    }

    /// Releases all held calls, and gives the operations time to make the calls that follow.
    async fn release_all(&mut self) {
        self.arrive(&[]);
        self.calls.drain(..).for_each(|(_, held, _)| held.release());
        // Operations may pause before they retry.
        sleep(Duration::from_secs(1)).await;
    }

    /// Lets a call go on, and returns whether it will be refused for a locked item.
    fn release(&mut self, step: Step) -> bool {
        let Some(position) = self.calls.iter().position(|(one, ..)| *one == step) else {
            let waiting: Vec<_> = self
                .calls
                .iter()
                .map(|(step, held, _)| (step, held.call.operation.as_str()))
                .collect();
            panic!("{step:?} has not come in this run, which waits with {waiting:?}");
        };
        let (_, held, _) = self.calls.remove(position);
        let is_refused = self.tables.is_locked(&held);
        if let Step::Call(slot, _) = step {
            self.is_pausing[slot] |= is_refused;
        }
        held.release();
        is_refused
    }
}

/// Explores every pair of operations from one scene, each operation also with itself. The pair of two log-ins
/// is left out: each log-in makes three concurrent updates to count its attempt, which gives tens of
/// thousands of interleavings. `tests/api/known_networks.rs` tests sixteen concurrent log-ins.
pub(crate) async fn every_pair(world: &World, scene: &Scene, operations: &[Operation]) {
    let mut sum = 0;
    for (index, one) in operations.iter().enumerate() {
        let is_left_out = |other: &&Operation| [one.name, other.name] == ["login", "login"];
        for other in operations[index..].iter().filter(|other| !is_left_out(other)) {
            let orders = Race::new(world, scene, vec![one, other]).explore().await;
            println!("{} | {} from {}: {orders} interleavings", one.name, other.name, scene.name);
            sum += orders;
        }
    }
    println!("every pair from {}: {sum} interleavings", scene.name);
}

fn all() -> Vec<Operation> {
    vec![
        o::unregister(),
        o::recover(),
        o::immediate(),
        o::admin_delete(),
        o::hold(),
        o::lift_hold(),
        o::create_key(),
        o::create_number(),
        o::promote_agent(),
        o::delete_agent(),
        o::login(),
        o::logout(),
        o::metadata(),
        o::purge(),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_pair_from_active() {
    let world = World::new();
    every_pair(&world, &Scene::active(&world).await, &all()).await;
}

#[tokio::test(start_paused = true)]
async fn every_pair_from_due() {
    let world = World::new();
    every_pair(&world, &Scene::due(&world).await, &all()).await;
}

/// Runs every pair of operations on a deleted account, except two purges, which `every_pair_from_due` covers.
#[tokio::test(start_paused = true)]
async fn every_pair_from_deleted() {
    let world = World::new();
    let scene = Scene::deleted(&world).await;
    let mut operations = all();
    let purge = operations.pop().expect("the purge");
    every_pair(&world, &scene, &operations).await;
    for operation in &operations {
        let orders = Race::new(&world, &scene, vec![operation, &purge]).explore().await;
        println!("{} | purge from deleted: {orders} interleavings", operation.name);
    }
}

/// Explores each change of an account's state (suspend, hold, freeze, …) with every other, and with operations that
/// these states allow or refuse.
async fn every_change_of_state(world: &World, scene: &Scene) {
    let changes = [
        o::suspend(),
        o::resume(),
        o::hold(),
        o::second_hold(),
        o::lift_second_hold(),
        o::freeze(),
    ];
    let others = [
        o::create_number(),
        o::delete_number(),
        o::update_number(),
        o::update_agent(),
        o::delete_agent(),
        o::delete_key(),
        o::metadata(),
        o::unregister(),
        o::recover(),
        o::immediate(),
        o::login(),
        o::purge(),
    ];
    let mut sum = 0;
    for (index, change) in changes.iter().enumerate() {
        for other in changes[index..].iter().chain(&others) {
            sum += Race::new(world, scene, vec![change, other]).explore().await;
        }
    }
    println!("changes of state from {}: {sum} interleavings", scene.name);
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_from_active() {
    let world = World::new();
    every_change_of_state(&world, &Scene::active(&world).await).await;
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_from_frozen() {
    let world = World::new();
    every_change_of_state(&world, &Scene::frozen(&world).await).await;
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_from_seized() {
    let world = World::new();
    every_change_of_state(&world, &Scene::seized(&world).await).await;
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_from_suspended() {
    let world = World::new();
    every_change_of_state(&world, &Scene::suspended(&world).await).await;
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_from_preserved() {
    let world = World::new();
    every_change_of_state(&world, &Scene::preserved(&world).await).await;
}

/// Explores pairs of operations while transactions in flight lock their items. A refused operation reads again and goes
/// on: it does not fail. The events' sequence numbers, the recorded counts of erased items and the receipts are exact.
async fn every_contended_pair(world: &World, scene: &Scene) {
    let operations = [
        o::unregister(),
        o::recover(),
        o::admin_delete(),
        o::hold(),
        o::create_number(),
        o::purge_one(),
    ];
    let mut sum = 0;
    for (index, one) in operations.iter().enumerate() {
        for other in &operations[index..] {
            let orders = Race::new(world, scene, vec![one, other]).contended().explore().await;
            let (one, other) = (one.name, other.name);
            println!("{one} | {other} contended from {}: {orders} interleavings", scene.name);
            sum += orders;
        }
    }
    println!("every contended pair from {}: {sum} interleavings", scene.name);
}

#[tokio::test(start_paused = true)]
async fn every_contended_pair_from_active() {
    let world = World::new();
    every_contended_pair(&world, &Scene::active(&world).await).await;
}

#[tokio::test(start_paused = true)]
async fn every_contended_pair_from_due() {
    let world = World::new();
    every_contended_pair(&world, &Scene::due(&world).await).await;
}

/// In every order, the request of an admin who is evicted (deleted or demoted) takes effect before the eviction or not
/// at all.
#[tokio::test(start_paused = true)]
async fn every_eviction_beside_a_request_of_the_evicted() {
    let world = World::new();
    let scene = Scene::two_admins(&world).await;
    let evictions = [(o::delete_agent(), "agent_deleted"), (o::demote_agent(), "agent_updated")];
    let acts = [o::agents_key(), o::agents_agent(), o::agents_key_deletion()];
    for (eviction, event) in &evictions {
        for act in &acts {
            let mut race = Race::new(&world, &scene, vec![eviction, act]);
            race.last_event = Some(event);
            let orders = race.explore().await;
            println!("{} | {}: {orders} interleavings", eviction.name, act.name);
        }
    }
}

/// In every order of the calls, a password change that ends the agent's access keys deletes every key that exists at
/// that time.
#[tokio::test(start_paused = true)]
async fn every_key_beside_a_password_change_that_ends_keys() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let change = o::change_password();
    for other in [o::create_key(), o::rotate_key(), o::delete_key()] {
        let orders = Race::new(&world, &scene, vec![&change, &other]).explore().await;
        println!("{} | {}: {orders} interleavings", change.name, other.name);
    }
}

/// In every order of the calls, an account never has a billing account in use that does not exist.
#[tokio::test(start_paused = true)]
async fn every_pair_on_the_billing_account() {
    let world = World::new();
    let operations = [o::set_billing(), o::delete_billing_account(), o::metadata()];
    every_pair(&world, &Scene::billable(&world).await, &operations).await;
}

/// In every order, an account is active once its address was verified, and the fields of a deleted account stay blank.
#[tokio::test(start_paused = true)]
async fn every_pair_with_a_verification() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let operations =
        [o::verify(), o::update_customer(), o::unregister(), o::admin_delete(), o::create_number()];
    every_pair(&world, &scene, &operations).await;
}

/// In every order of the calls, only one of two reset links sets the password, earlier sessions end, and no link adds
/// anything to a deleted account.
#[tokio::test(start_paused = true)]
async fn every_pair_with_a_password_reset() {
    let resets = [o::reset_password(), o::reset_by_another()];
    let others = [
        o::login(),
        o::change_password(),
        o::unregister(),
        o::immediate(),
        o::admin_delete(),
        o::freeze(),
        o::suspend(),
        o::demote_agent(),
        o::create_key(),
        o::purge(),
    ];
    for is_frozen in [false, true] {
        let world = World::new();
        let scene = if is_frozen {
            Scene::forgotten_and_frozen(&world).await
        } else {
            Scene::forgotten(&world).await
        };
        every_pair(&world, &scene, &resets).await;
        for other in &others {
            let orders = Race::new(&world, &scene, vec![&resets[0], other]).explore().await;
            println!("reset | {} from {}: {orders} interleavings", other.name, scene.name);
        }
        let race = Race::new(&world, &scene, resets.iter().collect()).contended();
        println!("two resets contended from {}: {}", scene.name, race.explore().await);
    }
}

/// In every order, a mailed token works once, the fields of a deleted account stay blank, and a sign-up becomes one
/// account.
#[tokio::test(start_paused = true)]
async fn every_pair_with_a_mailed_token() {
    let world = World::new();
    let scene = Scene::mailed(&world).await;
    let operations = [
        o::prove(),
        o::complete_sign_up(),
        o::update_customer(),
        o::unregister(),
        o::immediate(),
        o::verify(),
    ];
    every_pair(&world, &scene, &operations).await;
}

/// In every order with another operation, a mailed link that unregisters an account works once, and nothing that was
/// deleted comes back.
#[tokio::test(start_paused = true)]
async fn every_pair_with_a_link_that_unregisters() {
    let world = World::new();
    let scene = Scene::linked(&world).await;
    let operations = [
        o::unregister_by_link(),
        o::unregister(),
        o::immediate(),
        o::freeze(),
        o::hold(),
        o::update_customer(),
        o::create_number(),
    ];
    every_pair(&world, &scene, &operations).await;
}

/// Two accounts have the same unverified address. In every order of the calls, it is reserved for at most one of them,
/// the item that reserves it is never lost, and a deleted account reserves no address.
#[tokio::test(start_paused = true)]
async fn every_pair_on_an_address_of_two_accounts() {
    let world = World::new();
    let scene = Scene::contested(&world).await;
    let operations =
        [o::prove(), o::verify_address(), o::verify_rival(), o::immediate(), o::update_customer()];
    every_pair(&world, &scene, &operations).await;
    let [one, rival] = [o::prove(), o::verify_rival()];
    let race = Race::new(&world, &scene, vec![&one, &rival]).contended();
    println!("{} | {} contended: {} interleavings", one.name, rival.name, race.explore().await);
}

/// Returns the operations that change what is recorded of an erasure's participants: their answers, and an operator's
/// waiver of an answer.
fn on_parts() -> Vec<Operation> {
    vec![o::acknowledge(), o::acknowledge_pending(), o::acknowledge_other(), o::waive()]
}

/// Explores every pair of `one` with `others`.
async fn every_pair_with(world: &World, scene: &Scene, one: &Operation, others: &[Operation]) {
    for other in others {
        let orders = Race::new(world, scene, vec![one, other]).explore().await;
        println!("{} | {} from {}: {orders} interleavings", one.name, other.name, scene.name);
    }
}

/// In every order of the calls, participants' answers are kept, and one final receipt is made once no required answer
/// is missing, even if the last two answers arrive at the same time or while a scheduled run asks participants. Two
/// concurrent scheduled runs are left out, because each reads many items in any order.
#[tokio::test(start_paused = true)]
async fn every_pair_on_an_erasure_that_awaits_participants() {
    let world = World::new();
    let scene = Scene::awaiting(&world).await;
    every_pair(&world, &scene, &on_parts()).await;
    every_pair_with(&world, &scene, &o::ask(), &[o::acknowledge()]).await;
}

/// In every order, a participant's answer counts even after the deadline, and of two different answers of one
/// participant only one counts.
#[tokio::test(start_paused = true)]
async fn every_pair_on_an_erasure_that_is_overdue() {
    let world = World::new();
    let scene = Scene::overdue(&world).await;
    every_pair(&world, &scene, &on_parts()).await;
    every_pair_with(&world, &scene, &o::ask(), &on_parts()).await;
    every_pair_with(&world, &scene, &o::acknowledge(), &[o::acknowledge_otherwise()]).await;
}

/// Lets the participants' deadline pass at each point of the scheduled run that asks them.
#[tokio::test(start_paused = true)]
async fn the_schedule_around_a_deadline() {
    let world = World::new();
    let scene = Scene::last(&world).await;
    let ask = o::ask();
    let mut race = Race::new(&world, &scene, vec![&ask]);
    race.time = Some(TIMEOUT);
    println!("{} | time: {} interleavings", ask.name, race.explore().await);
}

/// In every order, the purge's receipt includes the participant's answer, or another receipt is made that includes it.
#[tokio::test(start_paused = true)]
async fn every_pair_with_the_purge_of_an_account_whose_participants_are_asked() {
    let world = World::new();
    let scene = Scene::participating(&world).await;
    every_pair_with(&world, &scene, &o::purge(), &[o::acknowledge()]).await;
    let world = World::new();
    let others = [o::acknowledge(), o::waive()];
    every_pair_with(&world, &Scene::asked(&world).await, &o::purge(), &others).await;
}

/// In every order, a participant's answer counts only for its own round of the erasure. In the next round, in
/// which an account is erased again after a restore from a backup, participants are asked again.
#[tokio::test(start_paused = true)]
async fn every_pair_on_an_account_that_a_restore_has_brought_back() {
    let world = World::new();
    let scene = Scene::restored(&world).await;
    let others = [
        o::replay(),
        o::acknowledge(),
        o::acknowledge_first_round(),
        o::waive(),
        o::ask(),
        o::purge_one(),
    ];
    every_pair_with(&world, &scene, &o::replay(), &others).await;
    let world = World::new();
    let answers = [o::acknowledge(), o::acknowledge_first_round()];
    every_pair_with(&world, &Scene::erased_again(&world).await, &o::purge(), &answers).await;
}

/// Two concurrent operations record the last two answers that an erasure waits for. One of them may find the erasure's
/// item locked by the other's transaction.
#[tokio::test(start_paused = true)]
async fn the_last_two_answers_contended() {
    let world = World::new();
    let scene = Scene::awaiting(&world).await;
    let one = o::acknowledge_other();
    for other in [o::acknowledge(), o::waive()] {
        let race = Race::new(&world, &scene, vec![&one, &other]).contended();
        println!("{} | {} contended: {}", one.name, other.name, race.explore().await);
    }
}

/// In every order, a backfill (which completes index keys of stored accounts) writes the index key of the
/// name that the account has at that time, and no key of a deleted account.
#[tokio::test(start_paused = true)]
async fn every_change_beside_a_backfill() {
    let world = World::new();
    let scene = Scene::outdated(&world).await;
    let backfill = o::backfill();
    let others = [
        o::update_customer(),
        o::metadata(),
        o::unregister(),
        o::immediate(),
        o::freeze(),
        o::create_number(),
        o::backfill(),
    ];
    for other in &others {
        let race = Race::new(&world, &scene, vec![&backfill, other]).contended();
        let orders = race.explore().await;
        println!("{} | {}: {orders} interleavings", backfill.name, other.name);
    }
}

/// Two requests with the same idempotency key run at the same time. One such request also runs beside a deletion and a
/// purge.
#[tokio::test(start_paused = true)]
async fn every_pair_with_an_idempotency_key() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let operations =
        [o::create_number_once(), o::create_key_once(), o::immediate_once(), o::create_number()];
    every_pair(&world, &scene, &operations).await;
    let (once, purge) = (o::create_number_once(), o::purge());
    let deleting = o::admin_delete();
    let orders = Race::new(&world, &scene, vec![&once, &deleting, &purge]).explore().await;
    println!("create number once | admin delete | purge: {orders} interleavings");
}

/// An idempotency record is ignored from its expiry on, since DynamoDB deletes expired items only later.
#[tokio::test(start_paused = true)]
async fn idempotency_key_expires_after_a_day_before_ttl_deletes_it() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    world.set(&scene);
    let once = o::create_number_once();
    let create = async || world.start(0, &once, &scene).await.expect("no crash").text("id");
    let first = create().await;
    let end = world.now().plus(LIFETIME);
    world.set_time(Timestamp::from_micros(end.millis() * 1000 - 1).unwrap());
    assert_eq!(create().await, first);
    world.set_time(end);
    let second = create().await;
    assert!(second != first && !second.is_empty(), "{second}");
    assert_eq!(create().await, second);
}

/// The due date of an account's deletion passes at any point: either the recovery or the purge takes effect,
/// never both.
#[tokio::test(start_paused = true)]
async fn recover_and_purge_around_the_due_date() {
    let world = World::new();
    let scene = Scene::nearly_due(&world).await;
    let (recover, purge) = (o::recover(), o::purge_one());
    let mut race = Race::new(&world, &scene, vec![&recover, &purge]);
    race.time = Some(Duration::from_micros(1));
    println!("recover | purge one | time: {} interleavings", race.explore().await);
}

#[tokio::test(start_paused = true)]
async fn unregister_recover_and_purge_around_the_due_date() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let (unregister, recover, purge) = (o::unregister(), o::recover(), o::purge_one());
    let mut race = Race::new(&world, &scene, vec![&unregister, &recover, &purge]);
    race.time = Some(GRACE);
    println!("unregister | recover | purge one | time: {} interleavings", race.explore().await);
}

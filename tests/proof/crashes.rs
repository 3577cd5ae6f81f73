//! Crash tests: a process crashes before or after each database call of an operation, and again at each call
//! of the rerun. The operation must complete in the end, and no state in between may break an invariant.

use serde_json::json;

use crate::operations as o;
use crate::scene::Scene;
use crate::state::State;
use crate::world::{Answer, Operation, World};

/// Numbers of runs and crashes.
#[derive(Default)]
struct Count {
    runs: usize,
    crashes: usize,
}

struct Crashing<'a> {
    world: &'a World,
    scene: &'a Scene,
    operation: &'a Operation,
    /// The operation that is run after a crash.
    rerun: &'a Operation,
    start: State,
    count: Count,
}

/// Crashes `operation` at every call, and `rerun` at every call after each of these crashes.
async fn crash_everywhere(
    world: &World,
    scene: &Scene,
    operation: &Operation,
    rerun: &Operation,
) -> Count {
    world.set(scene);
    let start = world.state(scene);
    let mut crashing = Crashing { world, scene, operation, rerun, start, count: Count::default() };
    for first in 0.. {
        world.set(scene);
        if let Some(answer) = crashing.run_until(operation, first).await {
            crashing.finish(&answer, &format!("not crashed at call {first}")).await;
            break;
        }
        let broken = world.tables.snapshot().unwrap();
        for second in 0.. {
            world.tables.restore(&broken).unwrap();
            world.set_time(scene.now);
            let context = format!("crashed after {first} calls, then after {second}");
            if let Some(answer) = crashing.run_until(rerun, second).await {
                crashing.finish(&answer, &context).await;
                break;
            }
            world.tables.set_faults(&json!([])).unwrap();
            let answer = world.start(0, rerun, scene).await.expect("no crash");
            crashing.finish(&answer, &context).await;
        }
    }
    crashing.count
}

impl Crashing<'_> {
    /// Runs the operation and crashes it after `calls` calls. Returns `None` if it crashed, or its answer if it ended
    /// before.
    ///
    /// Only writes survive a process, so a crash before a call has the same effect as one after the previous call.
    /// Only the first call has no previous one: with zero `calls`, the fault is `crash_before`.
    async fn run_until(&mut self, operation: &Operation, calls: u64) -> Option<Answer> {
        let fault = match calls {
            0 => json!({"fault": "crash_before", "nth": 1}),
            _ => json!({"fault": "crash_after", "nth": calls}),
        };
        self.world.tables.set_faults(&json!([fault])).unwrap();
        let answer = self.world.start(0, operation, self.scene).await;
        self.count.crashes += usize::from(answer.is_none());
        self.world.state(self.scene).check(&self.start);
        answer
    }

    /// Checks the state after a run that has answered. If the account is deleted by then, purges it and checks the
    /// state again.
    async fn finish(&mut self, answer: &Answer, context: &str) {
        self.count.runs += 1;
        let Self { world, scene, operation, rerun, start, .. } = self;
        world.tables.set_faults(&json!([])).unwrap();
        let state = world.state(scene);
        state.check(start);
        assert!(state.knows_ticket_of(answer), "{}, {context}: a ticket of nothing", scene.name);
        assert!(
            rerun.has_converged(answer, scene, &state),
            "{}, {}, {context}: {answer:?}",
            operation.name,
            scene.name
        );
        world.purge(scene, start, &start.inventory()).await;
    }
}

/// Defines a test per operation, which crashes it in each of the scenes listed. After a crash, the operation that
/// `then` names is run or, without `then`, the same operation again.
macro_rules! crashes {
    ($($operation:ident $(then $rerun:ident)?: from $($scene:ident),+;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $operation() {
            let (operation, rerun) = (o::$operation(), crashes!(@rerun $operation $($rerun)?));
            $(
                let world = World::new();
                let scene = Scene::$scene(&world).await;
                let Count { runs, crashes } =
                    crash_everywhere(&world, &scene, &operation, &rerun).await;
                println!("{} from {}: {runs} runs, {crashes} crashes", operation.name, scene.name);
                assert!(crashes > 0);
            )+
        }
    )+};
    (@rerun $operation:ident) => { o::$operation() };
    (@rerun $operation:ident $rerun:ident) => { o::$rerun() };
}

crashes! {
    login: from active, frozen;
    reset_password: from forgotten, forgotten_and_frozen;
    prove: from mailed;
    complete_sign_up: from mailed;
    unregister: from active, frozen;
    unregister_by_link: from linked;
    unregister_once: from active;
    recover: from nearly_due;
    immediate: from active, frozen, restored_midway;
    admin_delete: from active, suspended;
    create_customer: from active;
    update_customer: from active;
    create_key: from active;
    delete_key: from active;
    revoke_key: from active, frozen, suspended;
    rotate_key: from active;
    create_number: from active;
    create_number_once: from active;
    create_key_once: from active;
    immediate_once: from active;
    delete_number: from active;
    create_agent: from active;
    delete_agent: from active;
    remove_agent: from active, suspended;
    promote_agent: from active;
    change_password: from active;
    logout: from active;
    metadata: from active;
    set_billing: from billable;
    freeze: from active, frozen;
    hold: from active, frozen;
    second_hold: from held;
    lift_hold: from held, preserved;
    suspend: from active, frozen;
    resume: from suspended;
    backfill: from outdated;
    purge: from due, participating, erased_again;
    purge_one then purge: from due, deleted;
    acknowledge: from awaiting, last, restored;
    waive: from last;
    ask: from awaiting, overdue, settled;
    replay: from restored;
}

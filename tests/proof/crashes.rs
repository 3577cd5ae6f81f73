//! A crash before and after every call to the tables, and again at every call of the rerun: what was
//! begun is done in the end, and at no time is anything half true.

use serde_json::json;

use crate::operations as o;
use crate::scene::Scene;
use crate::state::State;
use crate::world::{Answer, Operation, World};

/// Counts what was run.
#[derive(Default)]
struct Count {
    runs: usize,
    crashes: usize,
}

struct Crashing<'a> {
    world: &'a World,
    scene: &'a Scene,
    operation: &'a Operation,
    /// What is done when the operation has died.
    rerun: &'a Operation,
    start: State,
    count: Count,
}

/// Crashes `operation` everywhere, and each `rerun` after that.
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
    /// Runs the operation until it has made `calls` calls; its answer if it makes no more than that.
    ///
    /// A crash before a call is a crash after the one before, since nothing of a process is left but
    /// what it wrote. What is left is the crash before the first.
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

    /// Looks at the end of a run, and at the purge that may follow from it.
    async fn finish(&mut self, answer: &Answer, context: &str) {
        self.count.runs += 1;
        let Self { world, scene, operation, rerun, start, .. } = self;
        world.tables.set_faults(&json!([])).unwrap();
        let state = world.state(scene);
        state.check(start);
        assert!(
            rerun.has_converged(answer, scene, &state),
            "{}, {}, {context}: {answer:?}",
            operation.name,
            scene.name
        );
        world.purge(scene, start, &start.inventory()).await;
    }
}

macro_rules! crashes {
    ($($test:ident: $operation:expr, then $rerun:expr, from $($scene:ident),+;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            $(
                let world = World::new();
                let scene = Scene::$scene(&world).await;
                let (operation, rerun) = ($operation, $rerun);
                let Count { runs, crashes } =
                    crash_everywhere(&world, &scene, &operation, &rerun).await;
                println!("{} from {}: {runs} runs, {crashes} crashes", operation.name, scene.name);
                assert!(crashes > 0);
            )+
        }
    )+};
}

crashes! {
    login: o::login(), then o::login(), from active, frozen;
    unregister: o::unregister(), then o::unregister(), from active;
    recover: o::recover(), then o::recover(), from nearly_due;
    immediate: o::immediate(), then o::immediate(), from active, frozen;
    admin_delete: o::admin_delete(), then o::admin_delete(), from active;
    create_customer: o::create_customer(), then o::create_customer(), from active;
    update_customer: o::update_customer(), then o::update_customer(), from active;
    create_key: o::create_key(), then o::create_key(), from active;
    delete_key: o::delete_key(), then o::delete_key(), from active;
    rotate_key: o::rotate_key(), then o::rotate_key(), from active;
    create_number: o::create_number(), then o::create_number(), from active;
    create_number_once: o::create_number_once(), then o::create_number_once(), from active;
    create_key_once: o::create_key_once(), then o::create_key_once(), from active;
    immediate_once: o::immediate_once(), then o::immediate_once(), from active;
    delete_number: o::delete_number(), then o::delete_number(), from active;
    create_agent: o::create_agent("agent2"), then o::create_agent("agent2"), from active;
    delete_agent: o::delete_agent(), then o::delete_agent(), from active;
    promote_agent: o::promote_agent(), then o::promote_agent(), from active;
    logout: o::logout(), then o::logout(), from active;
    metadata: o::metadata(), then o::metadata(), from active;
    set_billing: o::set_billing(), then o::set_billing(), from billable;
    freeze: o::freeze(), then o::freeze(), from active;
    hold: o::hold(), then o::hold(), from active, frozen;
    lift_hold: o::lift_hold(), then o::lift_hold(), from held;
    purge: o::purge(), then o::purge(), from due;
    purge_one: o::purge_one(), then o::purge(), from due, deleted;
}

//! Injects every fault into every database call of every operation: in one run, the fault strikes that call only; in
//! another, that call and all later ones. The answer must be a success that has taken effect, a 409 or a 503, and a
//! repetition without faults must complete the operation.

use serde_json::json;

use crate::bus::BusFault;
use crate::operations as o;
use crate::scene::Scene;
use crate::world::{Answer, Operation, World};

/// The kinds of faults that a process survives, each with the number of calls that a lasting fault strikes. At most
/// five pages in a row are empty, because no table returns empty pages for ever.
const FAULTS: [(&str, u64); 8] = [
    ("timeout_after_apply", u64::MAX),
    ("throttle", u64::MAX),
    ("internal_error", u64::MAX),
    ("conflict", u64::MAX),
    ("unprocessed", u64::MAX),
    ("short_pages", u64::MAX),
    ("empty_pages", 5),
    ("stale_index", u64::MAX),
];

/// Runs `operation` with every fault at every call. Returns the number of faults that struck.
async fn every_fault(world: &World, scene: &Scene, operation: &Operation) -> u64 {
    world.set(scene);
    let start = world.state(scene);
    let mut struck = 0;
    for (fault, at_most) in FAULTS {
        for times in [1, at_most] {
            for nth in 1.. {
                world.set(scene);
                let rule = json!({"fault": fault, "nth": nth, "times": times});
                world.tables.set_faults(&json!([rule])).unwrap();
                let answer = world.start(0, operation, scene).await.expect("no crash");
                let hits = world.tables.hits()[0];
                struck += hits;
                world.tables.set_faults(&json!([])).unwrap();

                let state = world.state(scene);
                let context = format!("{} from {}, {rule}: {answer:?}", operation.name, scene.name);
                state.check(&start);
                assert!(is_allowed(&answer), "{context}");
                assert!(state.knows_ticket_of(&answer), "a ticket of nothing: {context}");
                assert!(operation.is_true(&answer, scene, &state), "a false success: {context}");
                let again = world.start(0, operation, scene).await.expect("no crash");
                let state = world.state(scene);
                state.check(&start);
                assert!(
                    operation.has_converged(&again, scene, &state),
                    "{context}, then {again:?}"
                );
                world.conclude(scene, &start).await;
                if hits == 0 {
                    break;
                }
            }
        }
    }
    struck
}

fn is_allowed(answer: &Answer) -> bool {
    match answer.status {
        200 | 409 => true,
        503 => answer.retry_after,
        _ => false,
    }
}

macro_rules! faults {
    ($($test:ident: $operations:expr, from $($scene:ident),+;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            $(
                let world = World::new();
                let scene = Scene::$scene(&world).await;
                for operation in $operations {
                    let struck = every_fault(&world, &scene, &operation).await;
                    println!("{} from {}: {struck} faults", operation.name, scene.name);
                    assert!(struck > 0);
                }
            )+
        }
    )+};
}

faults! {
    auth: [o::login(), o::unregister(), o::immediate()], from active;
    unregistered: [o::unregister(), o::get_status()], from frozen;
    reset: [o::reset_password()], from forgotten;
    linked: [o::unregister_by_link()], from linked;
    mailed: [o::prove(), o::complete_sign_up()], from mailed;
    recover: [o::recover()], from nearly_due;
    customers: [o::create_customer(), o::get_customer(), o::list_customers(), o::update_customer()],
        from active;
    find: [o::find_by_status(), o::find_by_name(), o::find_by_email()], from active;
    operator: [o::admin_delete(), o::hold(), o::suspend(), o::overview()], from active;
    resume: [o::resume()], from suspended;
    lift: [o::lift_hold(), o::lift_second_hold()], from preserved;
    plan: [o::plan()], from active;
    held: [o::lift_hold(), o::admin_recover(), o::get_erasure()], from held;
    freeze: [o::freeze()], from active;
    keys: [o::create_key(), o::get_key(), o::list_keys(), o::update_key(), o::delete_key()],
        from active;
    rotation: [o::rotate_key()], from active;
    resources: [
        o::create_number(), o::get_number(), o::list_numbers(), o::update_number(), o::delete_number(),
    ],
        from active;
    once: [
        o::create_number_once(), o::create_key_once(), o::unregister_once(), o::immediate_once(),
    ],
        from active;
    agents: [o::create_agent(), o::update_agent(), o::promote_agent(), o::delete_agent()], from active;
    password: [o::change_password()], from active;
    logout: [o::logout()], from active;
    metadata: [o::metadata()], from active;
    billing: [o::set_billing(), o::delete_billing_account()], from billable;
    backfill: [o::backfill()], from outdated;
    purge: [o::purge(), o::purge_one()], from due;
    participating: [o::purge()], from participating;
    awaiting: [o::ask(), o::acknowledge()], from awaiting;
    last: [o::acknowledge(), o::waive()], from overdue;
    settled: [o::ask()], from settled;
    replay: [o::replay()], from restored;
}

/// While an operation asks participants to erase what they keep, the bus fails in every way: the operation
/// succeeds all the same, and the participants are asked later.
#[tokio::test(start_paused = true)]
async fn a_question_that_the_bus_does_not_take_is_asked_later() {
    let worlds = [World::new(), World::new(), World::new()];
    let cases = [
        (Scene::participating(&worlds[0]).await, o::purge()),
        (Scene::awaiting(&worlds[1]).await, o::ask()),
        (Scene::overdue(&worlds[2]).await, o::ask()),
    ];
    for (world, (scene, operation)) in worlds.iter().zip(&cases) {
        for fault in [BusFault::Failing, BusFault::Refusing, BusFault::Lossy] {
            world.set(scene);
            let start = world.state(scene);
            world.bus.set_fault(Some(fault));
            let answer = world.start(0, operation, scene).await.expect("no crash");
            assert_eq!(answer.status, 200, "{fault:?}: {answer:?}");
            assert!(answer.body["asked"].as_u64().is_none_or(|asked| asked == 0), "{answer:?}");
            let state = world.state(scene);
            state.check(&start);
            world.bus.set_fault(None);
            if operation.name == "ask" {
                let _ = world.bus.take_questions();
                let again = world.start(0, operation, scene).await.expect("no crash");
                assert_eq!(again.body["refused"], 0, "{again:?}");
                let asked = world.bus.take_questions().len();
                assert_eq!(asked, state.rounds.open(world.now()).len(), "{fault:?}: {again:?}");
            }
            world.purge(scene, &start, &start.inventory()).await;
        }
    }
}

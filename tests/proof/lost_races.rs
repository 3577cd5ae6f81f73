//! Concurrent changes of the same item. The operation that loses the race reads the item again, and decides anew
//! or is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::endpoints;
use crate::interleavings::{Race, every_pair};
use crate::operations as o;
use crate::scene::Scene;
use crate::world::{Operation, Sent, World, endpoint, sent};

const SAME_ITEM: &str = "every_pair_of_changes_of_one_item";
const REGISTRY: &str = "every_pair_of_changes_of_the_registry";
const PARTS: &str = "every_pair_on_an_erasure_that_awaits_participants";
const PASSWORD: &str = "every_key_beside_a_password_change_that_ends_keys";

/// All retry loops, whether they retry after a conflict with another writer or after a failed call. One entry per
/// file and test: the file, the number of loops in it, and the test in which they retry.
const LOOPS: &[(&str, usize, &str)] = &[
    ("functions/src/bin/accesskey_delete.rs", 1, SAME_ITEM),
    ("functions/src/bin/accesskey_rotate.rs", 1, SAME_ITEM),
    ("functions/src/bin/accesskey_update.rs", 1, SAME_ITEM),
    ("functions/src/bin/agent_delete.rs", 1, SAME_ITEM),
    ("functions/src/bin/agent_password_update.rs", 1, SAME_ITEM),
    ("functions/src/bin/agent_permission_update.rs", 1, SAME_ITEM),
    ("functions/src/bin/agent_update.rs", 1, SAME_ITEM),
    ("functions/src/bin/participant_delete.rs", 1, REGISTRY),
    ("functions/src/bin/participant_set.rs", 1, REGISTRY),
    ("functions/src/bin/resource_delete.rs", 1, SAME_ITEM),
    ("functions/src/bin/resource_update.rs", 1, SAME_ITEM),
    ("shared/src/completion.rs", 2, PARTS),
    ("shared/src/lifecycle.rs", 1, "every_change_of_state_from_active"),
    ("shared/src/purge/claim.rs", 1, "every_pair_from_due"),
    ("shared/src/store/agent.rs", 1, PASSWORD),
    ("shared/src/store/backfill.rs", 1, "every_change_beside_a_backfill"),
    ("shared/src/store/customer.rs", 1, "every_contended_pair_from_active"),
    ("shared/src/store/dynamodb/read.rs", 1, "every_fault"),
    ("shared/src/store/dynamodb/transaction.rs", 1, "every_contended_pair_from_active"),
    ("shared/src/store/dynamodb/write.rs", 2, "every_fault"),
    ("shared/src/store/find.rs", 1, "stale_index_rows_are_not_listed"),
    ("shared/src/store/owned.rs", 1, "every_pair_from_active"),
    ("shared/src/store/revise.rs", 1, "decides_again_after_a_conflict"),
    ("shared/src/store/throttle.rs", 1, "sixteen_log_ins_at_once_from_a_known_network_all_succeed"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn read(directories: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for directory in directories {
        sources(&root().join(directory), &mut found);
    }
    found
}

#[test]
fn every_loop_that_tries_again_is_listed_with_its_test() {
    let mut loops = BTreeSet::new();
    for (file, text) in read(&["shared/src", "functions/src"]) {
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let calls = [" revise(", "(revise(", "Tries::new()", "Tries::eager()"];
        let count: usize = calls.iter().map(|call| program.matches(call).count()).sum();
        // `patience.rs` defines `Tries`.
        if count > 0 && file != "shared/src/patience.rs" {
            loops.insert((file, count));
        }
    }
    let listed = LOOPS.iter().map(|(file, count, _)| ((*file).to_owned(), *count));
    assert_eq!(loops, listed.collect());
    let tests = read(&["shared/src", "tests"]);
    for (file, _, test) in LOOPS {
        let named = format!("fn {test}(");
        assert!(tests.iter().any(|(_, text)| text.contains(&named)), "{file}: no test {test}");
    }
}

/// Explores every interleaving of two changes of one item, and checks that neither undoes the effect of the other.
async fn no_lost_change(world: &World, scene: &Scene, [one, other]: &[Operation; 2]) {
    let mut race = Race::new(world, scene, vec![one, other]);
    race.effects_last = true;
    let orders = race.explore().await;
    println!("{} | {} from {}: {orders} interleavings", one.name, other.name, scene.name);
}

/// Returns a change by which the first agent renames itself.
fn rename_oneself() -> Operation {
    endpoint("rename oneself", "agent_update", endpoints::agent_update::endpoint, |scene| {
        sent(&scene.session).id(&scene.first_agent).body(json!({"name": "changed"}))
    })
    .effect(|state, scene, _| state.child("AGENT#", &scene.first_agent, "name") == "changed")
}

/// In every order, both changes of an item are made, or the later one is refused.
#[tokio::test(start_paused = true)]
async fn every_pair_of_changes_of_one_item() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    every_pair(&world, &scene, &[o::update_key(), o::rotate_key(), o::delete_key()]).await;
    every_pair(&world, &scene, &[o::update_number(), o::delete_number()]).await;
    every_pair(&world, &scene, &[o::update_agent(), o::delete_agent()]).await;
    no_lost_change(&world, &scene, &[o::update_agent(), o::promote_agent()]).await;
    no_lost_change(&world, &scene, &[o::change_password(), rename_oneself()]).await;
}

fn set_participant(name: &'static str) -> Operation {
    let set = endpoints::participant_set::endpoint;
    endpoint("set participant", "participant_set", set, move |scene| {
        sent(&scene.admin).name(name).body(json!({"required": true}))
    })
    .effect(move |state, _, _| state.rounds.registered.contains(name))
}

fn delete_participant(name: &'static str) -> Operation {
    let delete = endpoints::participant_delete::endpoint;
    endpoint("delete participant", "participant_delete", delete, move |scene| {
        sent(&scene.admin).name(name)
    })
    .effect(move |state, _, _| !state.rounds.registered.contains(name))
}

/// In every order, a change of one participant in the registry does not undo a concurrent change of another.
#[tokio::test(start_paused = true)]
async fn every_pair_of_changes_of_the_registry() {
    let world = World::new();
    let scene = Scene::registered(&world).await;
    for pair in [
        [set_participant("one"), set_participant("two")],
        [set_participant("one"), delete_participant("tags")],
        [delete_participant("files"), delete_participant("tags")],
    ] {
        no_lost_change(&world, &scene, &pair).await;
    }
}

/// A search runs beside a change. In every order, each account that the search shows meets its filter.
#[tokio::test(start_paused = true)]
async fn every_search_beside_a_change() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    let list = endpoints::customer_list::endpoint;
    let search = |query: &'static str, field: &'static str, value: &'static str| {
        endpoint(query, "customer_list", list, move |scene| sent(&scene.admin).query(query)).effect(
            move |_, _, answer| {
                let rows = answer.body["result"].as_array().unwrap();
                rows.iter().all(|row| row[field].as_str().unwrap().starts_with(value))
            },
        )
    };
    let searches = [
        search("name=name%20of", "name", "Name of"),
        search("email=test1@example.com", "email", "test1@example.com"),
        search("status=initial", "status", "initial"),
    ];
    for search in &searches {
        for change in [o::update_customer(), o::verify(), o::unregister(), o::admin_delete()] {
            let orders = Race::new(&world, &scene, vec![search, &change]).explore().await;
            println!("{} | {}: {orders} interleavings", search.name, change.name);
        }
    }
}

/// In every order, exactly one of two changes with the same `If-Match` is made.
#[tokio::test(start_paused = true)]
async fn every_change_on_a_condition_beside_itself() {
    let world = World::new();
    let scene = Scene::registered(&world).await;
    let body = || json!({"detail": "changed"});
    let key = |scene: &Scene| sent(&scene.session).id(&scene.key);
    let agent = |scene: &Scene| sent(&scene.session).id(&scene.agent);
    let number = |scene: &Scene| sent(&scene.session).kind("numbers").id(&scene.number);
    let customer = |scene: &Scene| sent(&scene.admin).id(&scene.customer);
    let participant = |scene: &Scene| sent(&scene.admin).name("files");
    macro_rules! changes {
        ($($get:ident, $change:ident: $on:ident;)+) => {$(
            let read = endpoint("read", stringify!($get), endpoints::$get::endpoint, $on);
            world.set(&scene);
            let tag = world.start(0, &read, &scene).await.expect("no crash").etag;
            let change = endpoint(
                stringify!($change),
                stringify!($change),
                endpoints::$change::endpoint,
                move |scene| -> Sent { $on(scene).body(body()).if_match(&tag) },
            );
            let mut race = Race::new(&world, &scene, vec![&change, &change]);
            race.has_one_winner = true;
            println!("{} twice: {} interleavings", change.name, race.explore().await);
        )+};
    }
    changes! {
        customer_get, customer_update: customer;
        accesskey_get, accesskey_update: key;
        agent_get, agent_update: agent;
        resource_get, resource_update: number;
        participant_get, participant_set: participant;
    }
}

//! The isolation matrix: every route × caller × credential × account status × target, each with the one
//! answer it must get, against the real binaries. A refused request writes nothing.
//!
//! - `rows.rs` is the data: who may do what. **A new route is one row there**: the route as template.yaml has
//!   it, the permission it needs (`who`), the account statuses it accepts (`lets_in`), what the path's `{id}`
//!   names (`target`, with the answer to each wrong one), a valid body, and what a success uses up
//!   (`uses_up`). Fields that a row omits are those of the row it ends with (`..OWN`). Items that an account
//!   owns (`Thing`) are created through their API before the matrix starts: a new collection needs its path
//!   and the body that creates one. A route without a row fails, and so does a row without a route.
//! - `cell.rs` expands rows into cells with their expected answers, without using the code under test.
//! - `world.rs` creates the accounts, and sends the requests.
//!
//! Run it alone: `cargo test -p functions --test api isolation`.

mod cell;
mod rows;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use futures_util::StreamExt as _;
use futures_util::stream;
use sam_local::{Data, Options};
use serde_json::{Value, json};

use crate::harness::{Answer, Tenure, quick, uncounted};
use cell::{Cell, Level, Target, cells};
use rows::{OK, ROWS};
use world::World;

/// Maximum number of concurrent requests.
const AT_ONCE: usize = 8;

/// Number of requests with a password after which the counts of log-in attempts are deleted: too few for any
/// account to reach the limit.
const PASSWORDS_IN_A_ROW: usize = 10;

/// Number of requests with a password but no valid session, after which the network's count of log-in
/// attempts is deleted: too few for the network to reach its limit.
const ATTEMPTS_OF_A_NETWORK: usize = 500;

/// Maximum number of failures to print.
const SHOWN: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_rows_and_every_row_a_route() {
    let tenure = Tenure::start().await;
    let routes: BTreeSet<&str> = tenure.stack.routes().iter().map(String::as_str).collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.route).collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    assert!(missing.is_empty(), "add rows to tests/api/isolation/rows.rs for {missing:?}");
    let extra: Vec<_> = rows.difference(&routes).collect();
    assert!(extra.is_empty(), "template.yaml has no {extra:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_gets_its_answer_and_refusals_write_nothing() {
    let tenure = Tenure::start_with(quick(uncounted())).await;
    let mut matrix = Matrix::new(World::create(tenure, Level::ALL).await);
    let (allowed, refused): (Vec<_>, Vec<_>) =
        ROWS.iter().flat_map(cells).partition(|cell| cell.expected() == OK);
    matrix.refuse(&refused).await;

    // Requests on the caller's own account must not change any other; requests of project admins may.
    let (project, own): (Vec<_>, Vec<_>) = allowed.into_iter().partition(Cell::gets_across);
    let before = matrix.world.foreign_partition().await;
    matrix.ask(&own).await;
    if matrix.world.foreign_partition().await != before {
        matrix.failures.push("a foreign account was changed".to_owned());
    }
    matrix.ask(&project).await;
    matrix.report("isolation matrix");
}

/// Ended sessions and keys are refused after a restart, too: that they have ended is stored.
#[tokio::test(flavor = "multi_thread")]
async fn ended_credentials_stay_ended_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = || Data::Directory(directory.path().to_owned());
    let kept = || quick(Options { data: data(), ..uncounted() });
    let level = Level::Admin;
    let world = World::create(Tenure::start_with(kept()).await, &[level]).await;
    let is_over = |cell: &Cell| cell.level == level && cell.target == Target::Own && cell.is_over();
    let over: Vec<_> = ROWS.iter().flat_map(cells).filter(is_over).collect();
    let mut matrix = Matrix::new(world);
    matrix.refuse(&over).await;
    matrix.world = matrix.world.restarted(async || Tenure::start_with(kept()).await).await;
    matrix.refuse(&over).await;
    matrix.report("isolation matrix, before and after a restart");
}

/// One run of the matrix: its accounts, the number of requests sent so far, and the failures.
struct Matrix {
    world: World,
    count: usize,
    failures: Vec<String>,
}

impl Matrix {
    const fn new(world: World) -> Self {
        Self { world, count: 0, failures: Vec::new() }
    }

    /// Sends cells that must be refused, and checks that they write nothing but counts of log-in attempts.
    async fn refuse(&mut self, cells: &[Cell]) {
        let (guessing, others): (Vec<Cell>, Vec<Cell>) =
            cells.iter().partition(|cell| cell.tries_a_password());
        let (dead, plain): (Vec<Cell>, Vec<Cell>) =
            others.iter().partition(|cell| cell.counts_for_its_network());

        self.world.take_writes().await;
        let known = self.failures.len();
        self.ask(&plain).await;
        let writes = self.world.take_writes().await;
        // If a response was wrong, that already explains the write.
        if self.failures.len() == known && !writes.is_empty() {
            self.find_writers(&plain, &writes).await;
        }

        // These are counted as log-in attempts, and may write nothing else.
        let before = self.world.tables_without_attempts().await;
        let batches = dead.chunks(ATTEMPTS_OF_A_NETWORK).chain(guessing.chunks(PASSWORDS_IN_A_ROW));
        for cells in batches {
            self.ask(cells).await;
            self.world.forget_attempts().await;
        }
        let after = self.world.tables_without_attempts().await;
        let now = self.world.tenure.now().await.as_second();
        if self.failures.len() == known && !same(&before, &after, now) {
            let written = after
                .iter()
                .flatten()
                .filter(|item| !before.iter().flatten().any(|old| old == *item));
            let written: Vec<_> = written.map(ToString::to_string).collect();
            let more = "a refused login attempt wrote more than its count";
            self.failures.push(format!("{more}: {}", written.join("\n")));
        }
    }

    /// Finds by bisection which of these cells write although they are refused, and adds them to the
    /// failures.
    async fn find_writers(&mut self, cells: &[Cell], writes: &BTreeMap<String, f64>) {
        let mut suspects = vec![cells];
        while let Some(part) = suspects.pop() {
            self.answers(part).await;
            if self.world.take_writes().await.is_empty() {
                continue;
            }
            if let [cell] = part {
                self.failures.push(format!("{cell}: refused, but writes"));
            } else {
                let (one, other) = part.split_at(part.len() / 2);
                suspects.extend([other, one]);
            }
        }
        if self.failures.is_empty() {
            self.failures.push(format!("a refused cell wrote, once: {writes:?} write units"));
        }
    }

    /// Sends cells, and adds each wrong response to the failures.
    async fn ask(&mut self, cells: &[Cell]) {
        let answers = self.answers(cells).await;
        let judged =
            cells.iter().zip(&answers).filter_map(|(cell, answer)| self.world.judge(cell, answer));
        self.failures.extend(judged);
        self.count += cells.len();
    }

    async fn answers(&self, cells: &[Cell]) -> Vec<Answer> {
        let requests = stream::iter(cells).map(|cell| self.world.send(cell));
        requests.buffered(AT_ONCE).collect().await
    }

    #[track_caller]
    fn report(self, name: &str) {
        let Self { count, failures, .. } = self;
        // Straight to stderr: the test runner captures `println!`.
        let _ = writeln!(std::io::stderr(), "{name}: {count} cells, {} failures", failures.len());
        let shown: Vec<_> = failures.iter().take(SHOWN).map(String::as_str).collect();
        assert!(
            failures.is_empty(),
            "{} of {}:\n{}",
            shown.len(),
            failures.len(),
            shown.join("\n")
        );
    }
}

/// Whether two snapshots of the tables are the same apart from items that have expired at `now` (Unix time in
/// seconds): DynamoDB may delete those at any time.
fn same(before: &[Vec<Value>], after: &[Vec<Value>], now: i64) -> bool {
    let lasting = |items: &Vec<Value>| -> Vec<Value> {
        let expiry = |item: &Value| item["expires_at"]["N"].as_str()?.parse::<i64>().ok();
        let lasts = |item: &&Value| expiry(item).is_none_or(|expiry| expiry > now);
        items.iter().filter(lasts).cloned().collect()
    };
    before.iter().map(lasting).eq(after.iter().map(lasting))
}

#[test]
fn expiry_is_no_write_and_any_other_change_is() {
    let item = |name: &str, expiry: &str| json!({"pk": {"S": name}, "expires_at": {"N": expiry}});
    let (past, live) = (item("past", "1"), item("live", "99999999999"));
    let lasting = json!({"pk": {"S": "lasting"}});
    let before = vec![vec![past.clone(), live.clone()], vec![lasting.clone()]];
    assert!(same(&before, &[vec![live.clone()], vec![lasting.clone()]], 2));
    assert!(!same(&before, &[vec![past.clone()], vec![lasting.clone()]], 2));
    assert!(!same(&before, &[vec![past.clone(), live.clone()], vec![]], 2));
    let renewed = item("past", "99999999999");
    assert!(!same(&before, &[vec![renewed, live.clone()], vec![lasting.clone()]], 2));
    assert!(!same(&before, &[vec![live], vec![lasting.clone(), lasting]], 2));
}

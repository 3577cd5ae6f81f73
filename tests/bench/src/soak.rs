//! A soak test of the whole local stack. Accounts are created, used, deleted and purged, while transactions hold their
//! items for some time and calls fail at random; meanwhile a reader checks what must hold at any time.

mod audit;
mod caller;
mod life;
mod reader;
mod receipts;
mod resident;
mod table;
mod tally;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use sam_local::{Data, Kept, Options, Sinks, Stack};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::audit::Audit;
use self::life::Lives;
use self::reader::Reader;
use self::receipts::Keys;
use self::resident::Samples;
use self::tally::Tally;
use crate::client::Api;
use crate::contestants::Places;
use crate::report::save;
use crate::{Result, Soak, say};

/// Scheduled functions, which the soak runs every [`EVERY`] instead of at their schedules' intervals: with a
/// purge every quarter of an hour, there would be little to see.
const SCHEDULED: [&str; 4] =
    ["PurgeRunFunction", "OutboxPublishFunction", "WebhookDeliverFunction", "MailSendFunction"];
const EVERY: Duration = Duration::from_secs(5);

/// Time between two samples of memory.
const SAMPLE: Duration = Duration::from_secs(5);

/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_mins(1);

/// Maximum number of times that each scheduled function is run after the soak. By then, all accounts that are
/// due must be purged.
const LAST_RUNS: u32 = 200;

/// Faults that are injected into DynamoDB calls of every function. [`CRASHES`] are injected into calls of scheduled
/// functions only, because a client whose function is killed gets a 500 from the gateway, as on AWS.
const FAULTS: [&str; 4] = ["throttle", "internal_error", "conflict", "timeout_after_apply"];
const CRASHES: [&str; 2] = ["crash_before", "crash_after"];

/// State that all tasks of a soak share.
pub(crate) struct Scene {
    api: Api,
    operator: String,
    keys: Keys,
    /// Access to the items of the tables, and to dead letters.
    sinks: Arc<Sinks>,
    tally: Tally,
    lives: Lives,
    ends: Instant,
    over: AtomicBool,
}

impl Scene {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Runs the soak, and writes `soak.md` and `soak.json`. Fails if the soak found a problem.
pub(crate) async fn run(arguments: &Soak, places: &Places) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let stack = start(arguments, places, directory.path()).await?;
    let api = Api::new(stack.url());
    let operator = api.log_in_as_operator().await?;
    let scene = Arc::new(Scene {
        keys: Keys::fetch(&api).await?,
        sinks: Arc::new(stack.sinks()),
        api,
        operator,
        tally: Tally::default(),
        lives: Lives::default(),
        ends: Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0),
        over: AtomicBool::new(false),
    });
    set_faults(&scene.api, arguments.faults).await?;
    let samples = live(&scene, arguments.accounts, &stack).await?;
    scene.api.call(Method::DELETE, "/_local/faults", "", None).await?;
    stack.set_contention(Duration::ZERO);
    let purged = purge_all(&scene, &stack).await?;
    let audit = Audit::of(&scene).await?;
    let verdict = table::Verdict::new(arguments, &scene, &samples, &audit, purged);
    stack.stop().await;
    save(&arguments.out, "soak", verdict.document(), &verdict.text())?;
    verdict.result()
}

async fn start(arguments: &Soak, places: &Places, data: &Path) -> Result<Stack> {
    let parameters = [
        // The soak does not test the limits on requests and deletions.
        ("RequestsPerMinute", "0"),
        ("DeletionsPerHour", "0"),
        ("BreakerAccounts", "1000000"),
        // Accounts are due as soon as they are unregistered.
        ("GraceDays", "0"),
    ];
    let binaries = arguments.binaries.clone().unwrap_or_else(|| places.release.clone());
    let mut options = Options {
        contention: Duration::from_millis(arguments.hold),
        // On disk, so that what is stored is not mistaken for a leak.
        data: Data::Directory(data.to_owned()),
        kept: Kept { log_lines: 2_000, events: 2_000, mail: 1_000, dead_letters: 1_000 },
        ..local::options(places.root.join("template.yaml"), binaries)
    };
    options.parameters.extend(parameters.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(Stack::start(options).await.map_err(|error| error.to_string())?)
}

/// Makes about `percent` % of all calls to the tables fail. In addition, kills scheduled functions at about half that
/// percentage of their calls.
async fn set_faults(api: &Api, percent: f64) -> Result<()> {
    let probability = percent / 100.0 / 4.0;
    let mut rules = Vec::new();
    for (fault, function) in CRASHES.iter().flat_map(|fault| SCHEDULED.map(|one| (fault, one))) {
        let seed = rules.len();
        rules.push(
            json!({"fault": fault, "function": function, "probability": probability, "seed": seed}),
        );
    }
    for fault in FAULTS {
        rules.push(json!({"fault": fault, "probability": probability, "seed": rules.len()}));
    }
    api.post("/_local/faults", "", &rules.into()).await?;
    Ok(())
}

/// Creates, uses and deletes accounts until the time is over, while scheduled functions run and [`Reader`] checks the
/// invariants. Returns samples of the resident memory.
async fn live(scene: &Arc<Scene>, accounts: usize, stack: &Stack) -> Result<Samples> {
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..accounts {
        let scene = Arc::clone(scene);
        tasks.spawn(async move { life::live(&scene).await });
    }
    let reading = Arc::clone(scene);
    tasks.spawn(async move { Reader::new(&reading).read().await });
    let running = Arc::clone(scene);
    tasks.spawn(async move { run_schedules(&running).await });
    let mut samples = Samples::default();
    let mut shown = Instant::now();
    while Instant::now() < scene.ends {
        samples.take(stack)?;
        if shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            say(&format!("{}; {}", scene.lives.progress(), scene.tally.progress()));
        }
        sleep(SAMPLE).await;
    }
    scene.over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    samples.take(stack)?;
    Ok(samples)
}

/// Returns a random number.
fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(u64::from_le_bytes(bytes))
}

/// Runs the scheduled functions every [`EVERY`] until the soak is over.
async fn run_schedules(scene: &Scene) -> Result<()> {
    while !scene.is_over() {
        for function in SCHEDULED {
            run_schedule(scene, function).await?;
        }
        sleep(EVERY).await;
    }
    Ok(())
}

/// Runs a scheduled function once, as its schedule would. An injected crash may kill it.
async fn run_schedule(scene: &Scene, function: &str) -> Result<()> {
    let path = format!("/_local/schedules/{function}Schedule/run");
    let started = Instant::now();
    let (status, _) = scene.api.call(Method::POST, &path, "", None).await?;
    scene.tally.ran(function, status, started.elapsed());
    if status != 200 {
        scene.tally.complain(format!("{path}: {status}"));
    }
    Ok(())
}

/// Runs the scheduled functions until no account is left to purge. Returns false if some are left after [`LAST_RUNS`].
async fn purge_all(scene: &Scene, stack: &Stack) -> Result<bool> {
    for _ in 0..LAST_RUNS {
        for function in SCHEDULED {
            run_schedule(scene, function).await?;
        }
        if stack.settle().await && Audit::unpurged(scene).await? == 0 {
            return Ok(true);
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(false)
}

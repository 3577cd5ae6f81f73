//! Compares contestants (implementations of the same endpoints). In each round, each contestant's process is
//! started, called once (cold), and then called repeatedly (warm).

use std::collections::BTreeMap;
use std::time::Duration;

use sam_local::Tables;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::contestants::{Contestant, Places};
use crate::endpoint::Endpoint;
use crate::front::Front;
use crate::measure::{Cost, Process};
use crate::report;
use crate::share::Mechanism;
use crate::world::{TIMEOUT, World};
use crate::{Compare, Result, say};

/// Simulated latency of each call to the tables.
const DELAY: Duration = Duration::from_millis(4);

/// A scene: the conditions under which functions are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) tls: bool,
    delay: Duration,
    /// Memory of the function in MB, which determines its share of a processor; `None` for a whole processor.
    memory: Option<u32>,
}

/// Every scene.
pub(crate) const SCENES: [Scene; 5] = [
    Scene {
        name: "http",
        about: "plain HTTP, no delay, a whole processor",
        tls: false,
        delay: Duration::ZERO,
        memory: None,
    },
    Scene {
        name: "tls",
        about: "TLS, no delay, a whole processor",
        tls: true,
        delay: Duration::ZERO,
        memory: None,
    },
    Scene {
        name: "tls-4ms",
        about: "TLS, 4 ms for each call to DynamoDB, a whole processor",
        tls: true,
        delay: DELAY,
        memory: None,
    },
    Scene {
        name: "tls-128",
        about: "TLS, no delay, the share of a processor that 128 MB give",
        tls: true,
        delay: Duration::ZERO,
        memory: Some(128),
    },
    Scene {
        name: "tls-512",
        about: "TLS, no delay, the share of a processor that 512 MB give",
        tls: true,
        delay: Duration::ZERO,
        memory: Some(512),
    },
];

impl Scene {
    /// Returns a scene for a function with `memory` MB: over TLS, without simulated latency.
    pub(crate) const fn of_size(memory: u32) -> Self {
        Self { name: "size", memory: Some(memory), ..SCENES[1] }
    }

    /// Whether the scene includes this endpoint. Scenes with a small share of a processor are slow, so they leave out
    /// endpoints that would show nothing new.
    fn has(self, endpoint: Endpoint) -> bool {
        match self.memory {
            Some(128) => matches!(endpoint, Endpoint::Get | Endpoint::Create),
            Some(_) => endpoint == Endpoint::Create,
            None => true,
        }
    }

    fn calls(self, endpoint: Endpoint, warm: usize) -> usize {
        let some = if endpoint.hashes() { warm.div_ceil(2) } else { warm };
        if self.memory.is_some() { some.div_ceil(5) } else { some }
    }
}

/// Measurements of one process, in milliseconds and MiB.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) init_ms: f64,
    pub(crate) init_cpu_ms: f64,
    pub(crate) cold_ms: f64,
    pub(crate) cold_cpu_ms: f64,
    /// Duration of each measured call after the warm-up.
    pub(crate) warm_ms: Vec<f64>,
    pub(crate) warm_cpu_ms: Vec<f64>,
    pub(crate) rss_mib: f64,
    /// DynamoDB usage of a warm call, on average.
    pub(crate) asked: Asked,
}

/// DynamoDB usage: of one call on average, or a running total.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) calls: f64,
    /// Number of sequential round trips to DynamoDB; calls in parallel count as one.
    pub(crate) steps: f64,
    pub(crate) rcu: f64,
    pub(crate) wcu: f64,
    pub(crate) bytes_sent: f64,
    pub(crate) bytes_received: f64,
    pub(crate) events: f64,
}

/// A cell of the comparison: one endpoint of one contestant in one scene.
pub(crate) type Cell = (Scene, Endpoint, Contestant);

/// The local environment that functions are measured in: the tables, the servers that expose them, and the
/// tables' contents.
pub(crate) struct Stage {
    pub(crate) tables: Tables,
    pub(crate) front: Front,
    pub(crate) world: World,
    _directory: TempDir,
}

impl Stage {
    pub(crate) async fn set(places: &Places) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let tables = Tables::from_template(&places.root.join("template.yaml"))?;
        let front = Front::open(&tables, directory.path()).await?;
        let world = World::new(&tables).await?;
        Ok(Self { tables, front, world, _directory: directory })
    }

    /// Sets the environment variables of a function's process: those that Lambda and template.yaml set, and
    /// the memory size and table URL of the scene.
    pub(crate) fn equip(
        &self,
        command: &mut Command,
        function: &str,
        caller: &str,
        scene: Scene,
        trusts_system: bool,
    ) {
        let Front { root, few, roots, .. } = &self.front;
        let trusted = if trusts_system { roots } else { few };
        let memory = scene.memory.unwrap_or(1769).to_string();
        // Steps are counted for each process.
        let process = uuid::Uuid::from_bytes(random()).to_string();
        let url = self.front.url(scene.tls);
        command
            .envs(self.tables.environment(function))
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", function),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", &process),
                ("AWS_REGION", "us-east-1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", caller),
                ("AWS_SECRET_ACCESS_KEY", "bench"),
                ("AWS_SESSION_TOKEN", &process),
                ("AWS_ENDPOINT_URL_DYNAMODB", &url),
                ("AWS_ENDPOINT_URL_KMS", &url),
                ("LANG", "en_US.UTF-8"),
                ("TZ", ":UTC"),
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ])
            .env("SSL_CERT_FILE", trusted)
            .env("AWS_CA_BUNDLE", trusted)
            .env("NODE_EXTRA_CA_CERTS", root)
            // Node 20 is compared on purpose, so the SDK need not warn at every start that it is old.
            .env("AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED", "true");
    }

    pub(crate) fn delay(&self, scene: Scene) {
        self.tables.set_latency(scene.delay);
    }

    /// Returns the DynamoDB usage so far: calls, sequential round trips and capacity units of `caller` (see
    /// [`Contestant::caller`]); bytes and events of all callers, which are not counted separately.
    pub(crate) fn asked(&self, caller: &str) -> Asked {
        let stats = self.tables.stats();
        let counters = &stats["functions"][caller]["dynamodb"];
        let number = |name: &str| counters[name].as_f64().unwrap_or_default();
        let calls = counters["calls"].as_object().into_iter().flatten();
        let meter = self.front.read_meter();
        Asked {
            calls: calls.filter_map(|(_, count)| count.as_f64()).sum(),
            steps: number("steps"),
            rcu: number("rcu"),
            wcu: number("wcu"),
            bytes_sent: float(meter.sent),
            bytes_received: float(meter.received),
            events: float(meter.events),
        }
    }

    pub(crate) async fn sample(
        &self,
        (scene, endpoint, contestant): Cell,
        places: &Places,
        mechanism: Mechanism,
        calls: usize,
    ) -> Result<(Sample, Value)> {
        let caller = contestant.caller(endpoint);
        let mut command = contestant.command(places, endpoint)?;
        let trusts_system = contestant.trusts_system();
        self.equip(&mut command, endpoint.function(), caller, scene, trusts_system);
        if contestant != Contestant::Counting {
            command.env("REQUESTS_PER_MINUTE", "0");
        }
        self.delay(scene);
        let held = scene.memory.map(|memory| (mechanism, memory));
        let mut process = Process::start(command, held).await?;
        let init = process.init;
        let (cold, answer) = self.call(&mut process, endpoint).await?;
        // Unmeasured calls, in which just-in-time compilers, caches and allocators warm up.
        let warming = calls.div_ceil(5);
        for _ in 0..warming {
            self.call(&mut process, endpoint).await?;
        }
        let mut warm = Vec::new();
        let mut asked = Asked::default();
        for _ in 0..calls {
            let request = self.world.request(endpoint).await?;
            // Making the request may itself have called DynamoDB.
            let before = self.asked(caller);
            warm.push(invoke(&mut process, &request).await?.0);
            asked = asked.and(self.asked(caller).since(before));
        }
        let rss_mib = float(process.peak_rss_kib()?) / 1024.0;
        process.end().await?;
        let sample = Sample {
            init_ms: ms(init.wall),
            init_cpu_ms: ms(init.cpu),
            cold_ms: ms(cold.wall),
            cold_cpu_ms: ms(cold.cpu),
            warm_ms: warm.iter().map(|cost| ms(cost.wall)).collect(),
            warm_cpu_ms: warm.iter().map(|cost| ms(cost.cpu)).collect(),
            rss_mib,
            asked: asked.per(calls),
        };
        Ok((sample, answer))
    }

    async fn call(&self, process: &mut Process, endpoint: Endpoint) -> Result<(Cost, Value)> {
        invoke(process, &self.world.request(endpoint).await?).await
    }
}

/// Invokes the function once and returns the cost and the answer's body. Fails unless the status is 200.
pub(crate) async fn invoke(process: &mut Process, event: &Value) -> Result<(Cost, Value)> {
    let (cost, answer) = process.invoke(event, TIMEOUT).await?;
    match answer["body"].as_str() {
        Some(body) if answer["statusCode"] == 200 => Ok((cost, serde_json::from_str(body)?)),
        _ => Err(format!("it answered {answer}").into()),
    }
}

impl Asked {
    pub(crate) fn since(self, before: Self) -> Self {
        self.with(before, |now, before| now - before)
    }

    fn and(self, more: Self) -> Self {
        self.with(more, |sum, one| sum + one)
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub(crate) fn per(self, calls: usize) -> Self {
        self.with(self, |sum, _| sum / calls as f64)
    }

    fn with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            calls: f(self.calls, other.calls),
            steps: f(self.steps, other.steps),
            rcu: f(self.rcu, other.rcu),
            wcu: f(self.wcu, other.wcu),
            bytes_sent: f(self.bytes_sent, other.bytes_sent),
            bytes_received: f(self.bytes_received, other.bytes_received),
            events: f(self.events, other.events),
        }
    }
}

/// Runs the comparison.
pub(crate) async fn run(arguments: &Compare, places: &Places) -> Result<()> {
    let (rounds, warm) =
        if arguments.quick { (3, 10) } else { (arguments.rounds.max(1), arguments.warm.max(5)) };
    let mechanism = Mechanism::find();
    let contestants = ready(arguments.contestants()?, places);
    let endpoints = arguments.endpoints();
    let stage = Stage::set(places).await?;
    let wanted = |scene: &Scene| {
        arguments.scenes.is_empty() || arguments.scenes.iter().any(|name| name == scene.name)
    };
    let mut samples: BTreeMap<Cell, Vec<Sample>> = BTreeMap::new();
    for round in 0..rounds {
        say(&format!("round {} of {rounds}", round + 1));
        for scene in SCENES.into_iter().filter(wanted) {
            for endpoint in endpoints.iter().copied().filter(|endpoint| scene.has(*endpoint)) {
                let players: Vec<_> =
                    contestants.iter().copied().filter(|one| one.implements(endpoint)).collect();
                if endpoint == Endpoint::List {
                    // The page must have only rows that this bench has written: contestants write fractions
                    // of seconds in different ways, and the answers are compared.
                    stage.world.fill(20).await?;
                }
                let mut expected = None;
                for contestant in order(&players, round) {
                    let cell = (scene, endpoint, contestant);
                    let calls = scene.calls(endpoint, warm);
                    let taken = stage.sample(cell, places, mechanism, calls).await;
                    let (sample, answer) = taken.map_err(|error| {
                        format!("{} {}: {error}", contestant.name(), endpoint.name())
                    })?;
                    // All contestants read the same items, so their answers must be equal.
                    if !endpoint.writes() && *expected.get_or_insert(answer.clone()) != answer {
                        let (who, what) = (contestant.name(), endpoint.name());
                        return Err(format!("{who} {what}: another answer: {answer}").into());
                    }
                    samples.entry(cell).or_default().push(sample);
                }
            }
        }
    }
    report::write(&samples, &report::About { rounds, warm, mechanism }, places, &arguments.out)
}

/// Returns the order in which contestants run in a round. The order varies, since a program that fills the
/// processor's caches slows the start of the next one. Over twice as many rounds as there are contestants,
/// each contestant comes right after every other equally often (a Williams design).
fn order(players: &[Contestant], round: usize) -> Vec<Contestant> {
    let count = players.len();
    let place =
        |turn: usize| if turn.is_multiple_of(2) { turn / 2 } else { count - turn.div_ceil(2) };
    let mut order: Vec<_> = (0..count).map(|turn| players[(place(turn) + round) % count]).collect();
    // With an odd number of contestants, only the reversed orders as well make neighbours balanced.
    if !count.is_multiple_of(2) && !round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// Returns the contestants whose files are all present. For each of the others, prints which file is missing.
fn ready(contestants: Vec<Contestant>, places: &Places) -> Vec<Contestant> {
    let is_ready = |one: &Contestant| match one.command(places, Endpoint::Get) {
        Ok(_) => true,
        Err(why) => {
            say(&format!("without {}: {why}; see tests/bench/README.md", one.name()));
            false
        }
    };
    contestants.into_iter().filter(is_ready).collect()
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::expect_used, reason = "there is no bench without it")]
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

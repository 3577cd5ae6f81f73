//! The bench: runs this repository's functions locally, as Lambda would, and measures their speed, memory and
//! cost; compares them with other implementations that do the same work on the same tables.

mod client;
mod compare;
mod contend;
mod contestants;
mod cost;
mod endpoint;
mod front;
mod load;
mod measure;
mod memory;
mod outbox;
mod recorder;
mod report;
mod resident;
mod runtime_api;
mod scale;
mod share;
mod soak;
mod svg;
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use contestants::{Contestant, Places};
use endpoint::Endpoint;

/// A fast global allocator, since the embedded store allocates memory for every attribute of every item.
#[global_allocator]
static ALLOCATOR: shared::runtime::MiMalloc = shared::runtime::MiMalloc;

/// Result whose error is a message for the person who runs the bench.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures the functions, and compares them with others that do the same work, over the embedded `DynamoDB`.
#[derive(Parser)]
#[command(name = "cargo tenure-bench", bin_name = "cargo tenure-bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// All contestants, in rounds, each round in another order
    Compare(Compare),
    /// The functions alone, on tables that grow
    Scale(Scale),
    /// A function that hashes passwords, at each memory size
    Memory(Memory),
    /// The whole local stack under load by `oha`
    Load(Load),
    /// Contention: concurrent writers of one account
    Contend(Contend),
    /// Publisher and deliverer at a steady rate of events
    Outbox(Outbox),
    /// Runs the whole stack for a long time, under faults, while accounts are created, used, deleted and
    /// purged
    Soak(Soak),
}

/// Options of `compare`.
#[derive(clap::Args)]
struct Compare {
    /// How often each contestant is started in each scene
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Number of calls measured per process, not counting its first call
    #[arg(long, default_value_t = 30)]
    warm: usize,
    /// Three rounds of ten calls only, to check that the bench works
    #[arg(long)]
    quick: bool,
    /// Only these contestants, such as tenure,node
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<String>,
    /// Only these endpoints, such as get,create
    #[arg(long, value_delimiter = ',')]
    endpoints: Vec<String>,
    /// Only these scenes, such as tls,tls-128
    #[arg(long, value_delimiter = ',')]
    scenes: Vec<String>,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `scale`.
#[derive(clap::Args)]
struct Scale {
    /// Numbers of accounts at which the endpoints are measured
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    accounts: Vec<u32>,
    /// Numbers of items that a purged account owns
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000, 100_000, 1_000_000])]
    items: Vec<u32>,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `memory`.
#[derive(clap::Args)]
struct Memory {
    /// How often a process of each memory size is started
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `load`.
#[derive(clap::Args)]
struct Load {
    /// Seconds for which each request is measured with as many connections as keep every process busy
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds of each short run, one for each number of connections, before the long run
    #[arg(long, default_value_t = 10)]
    short: u64,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `contend`.
#[derive(clap::Args)]
struct Contend {
    /// For how many milliseconds a transaction holds its items
    #[arg(long, default_value_t = 10)]
    hold: u64,
    /// Seconds of measurement at each number of writers
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Numbers of concurrent writers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16, 32, 64])]
    writers: Vec<usize>,
    /// How often each of the requests to log in, unregister and delete is measured
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `outbox`.
#[derive(clap::Args)]
struct Outbox {
    /// Events per second
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// How many of the events per second are of accounts with a webhook
    #[arg(long, default_value_t = 10)]
    delivered: u64,
    /// Duration in seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

/// Options of `soak`.
#[derive(clap::Args)]
struct Soak {
    /// Duration in minutes, without the purges and checks at the end
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// How many accounts live at the same time
    #[arg(long, default_value_t = 8)]
    accounts: usize,
    /// For how many milliseconds a transaction holds its items
    #[arg(long, default_value_t = 10)]
    hold: u64,
    /// Percentage of the calls to the tables that fail
    #[arg(long, default_value_t = 1.0)]
    faults: f64,
    /// Directory of the functions' executables; target/release if absent
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Folder for the results
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
}

impl Compare {
    fn endpoints(&self) -> Vec<Endpoint> {
        let wanted = |one: &Endpoint| self.endpoints.iter().any(|name| name == one.name());
        Endpoint::ALL.into_iter().filter(|one| self.endpoints.is_empty() || wanted(one)).collect()
    }

    fn contestants(&self) -> Result<Vec<Contestant>> {
        if self.contestants.is_empty() {
            return Ok(Contestant::ALL.to_vec());
        }
        let by_name = |name: &String| {
            Contestant::by_name(name).ok_or_else(|| format!("who is {name}?").into())
        };
        self.contestants.iter().map(by_name).collect()
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command-line program talks to people on stderr")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let places = Places::find();
    let done = match &arguments.what {
        What::Compare(arguments) => compare::run(arguments, &places).await,
        What::Scale(arguments) => scale::run(arguments, &places).await,
        What::Memory(arguments) => memory::run(arguments, &places).await,
        What::Load(arguments) => load::run(arguments, &places).await,
        What::Contend(arguments) => contend::run(arguments, &places).await,
        What::Outbox(arguments) => outbox::run(arguments, &places).await,
        What::Soak(arguments) => soak::run(arguments, &places).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints progress.
#[expect(clippy::print_stderr, reason = "a command-line program talks to people on stderr")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Prints results.
#[expect(clippy::print_stdout, reason = "results are what it is for")]
fn show(text: &str) {
    print!("{text}");
}

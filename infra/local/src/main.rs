//! `cargo local`: builds the functions and runs `template.yaml` on this machine.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::Parser;
use local::{PASSWORD, USERNAME, demo};
use sam_local::{Data, Kept, Options, Stack};
use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};

/// Makes mimalloc the global allocator, because the embedded store allocates for every attribute of every item.
#[global_allocator]
static ALLOCATOR: shared::runtime::MiMalloc = shared::runtime::MiMalloc;

/// Runs template.yaml on this machine: real function binaries, an embedded database, no AWS.
#[derive(Parser)]
#[command(name = "cargo local", bin_name = "cargo local")]
struct Arguments {
    /// Port to listen on, on loopback only; 0: any
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Keep data in memory only; it is lost when the stack ends
    #[arg(long)]
    in_memory: bool,
    /// Fill the stack, which must be empty, with 40 invented accounts in every state, and print the URLs to open
    #[arg(long)]
    demo: bool,
    /// Value for a parameter of the template; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Delete what earlier runs kept in .local/
    #[arg(long)]
    reset: bool,
    /// Another SAM template
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Directory of the functions' executables; nothing is built
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Keep every transaction in flight for MS milliseconds: concurrent writers of an item conflict, as on AWS
    #[arg(long, value_name = "MS", default_value_t = 0, hide_default_value = true)]
    contention: u64,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The signals that stop the stack: `SIGINT` (Ctrl-C), and `SIGTERM` from a supervisor.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Maximum numbers of log lines, events, mails and dead letters that the stack keeps to show, as it may run for weeks.
/// `infra/LOCAL.md` names these numbers.
const KEPT: Kept = Kept { log_lines: 10_000, events: 10_000, mail: 1_000, dead_letters: 1_000 };

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::listen()?;
    let options = options(arguments)?;
    let start = async {
        if arguments.binaries.is_none() {
            build().await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(Stack::start(options).await?)
    };
    let stack = tokio::select! {
        stack = start => stack?,
        () = signals.received() => return Ok(()),
    };
    if arguments.demo {
        tokio::select! {
            made = make_demo(&stack) => made?,
            () = signals.received() => return Ok(()),
        }
    }
    announce(&stack)?;
    signals.received().await;
    stack.stop().await;
    Ok(())
}

fn options(arguments: &Arguments) -> Result<Options, Box<dyn std::error::Error>> {
    let root = workspace();
    let data =
        if arguments.in_memory { Data::InMemory } else { Data::Directory(root.join(".local")) };
    // Cargo puts the functions next to this program.
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let binaries = arguments.binaries.clone().unwrap_or_else(|| beside.to_owned());
    let template = arguments.template.clone().unwrap_or_else(|| root.join("template.yaml"));
    let mut options = local::options(template, binaries);
    if arguments.port != 0 {
        // For links in mail. With port 0, the port is not known yet, and links have the default one.
        let url = format!("http://127.0.0.1:{}", arguments.port);
        options.parameters.insert("PublicUrl".to_owned(), url);
    }
    if arguments.demo {
        options = demo::options(options);
    }
    options.parameters.extend(arguments.parameters.iter().cloned());
    Ok(Options {
        data,
        reset: arguments.reset,
        port: arguments.port,
        contention: Duration::from_millis(arguments.contention),
        echo: true,
        kept: KEPT,
        ..options
    })
}

fn workspace() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Builds the functions with Cargo, and shows Cargo's own progress.
#[expect(clippy::disallowed_methods, reason = "Cargo names itself in the environment")]
async fn build() -> Result<(), Box<dyn std::error::Error>> {
    say("building the functions; the first time this takes about a minute");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        // This program, too, so that Cargo resolves one set of features for all packages: see its Cargo.toml.
        .args(["build", "--package", "functions", "--package", "local", "--bins"])
        .current_dir(workspace())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // `cargo run` sets variables that describe this program, because of which a dependency would be rebuilt.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    if command.status().await?.success() {
        Ok(())
    } else {
        Err("the functions do not build".into())
    }
}

/// Makes the demonstration, without showing the functions' log lines, and then prints the addresses and
/// logins for looking at it.
async fn make_demo(stack: &Stack) -> Result<(), sam_local::Error> {
    say("making 75 days in the life of 40 accounts; this takes about half a minute");
    stack.set_echo(false);
    demo::make(stack, &say).await?;
    stack.set_echo(true);
    let url = stack.url();
    let has = |route: &str| stack.routes().iter().any(|one| one == route);
    if has("GET /console") {
        say(&format!("operator: {url}/console as {USERNAME}, password {PASSWORD}"));
    }
    if has("GET /account") {
        say(&format!("customer: {url}/account as {}, who has left", demo::LEAVING));
        say(&format!("          or as {}; password {}", demo::ACTIVE, demo::PASSWORD));
    }
    say(&format!("mail: {url}/_local/mail"));
    say(&format!("clock: {url}/_local/clock moves all of it by a day or by 30"));
    Ok(())
}

/// Prints, on stderr, a command that logs in and, on stdout, the line that tells programs that the stack is ready.
fn announce(stack: &Stack) -> std::io::Result<()> {
    let url = stack.url();
    if stack.routes().iter().any(|route| route == "POST /auth/login") {
        say(&format!(
            "log in: curl {url}/auth/login -H 'content-type: application/json' \
             -d '{{\"username\": \"{USERNAME}\", \"password\": \"{PASSWORD}\"}}'"
        ));
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {url}")?;
    stdout.flush()
}

#[expect(clippy::print_stderr, reason = "messages of a command-line program")]
fn say(message: &str) {
    eprintln!("[local] {message}");
}

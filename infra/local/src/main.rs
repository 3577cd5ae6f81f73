//! `cargo local`: builds the functions and runs `template.yaml` on this machine.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use clap::Parser;
use local::{Data, Options, Stack};
use tokio::{
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};

/// Runs template.yaml on this machine: real function binaries, an embedded database, no AWS.
#[derive(Parser)]
#[command(name = "cargo local", bin_name = "cargo local")]
struct Arguments {
    /// Port to listen on, on this machine only; 0 takes any
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Keep nothing: data ends with the stack
    #[arg(long)]
    in_memory: bool,
    /// A parameter of the template, other than by default; may be given more than once
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Remove what earlier runs kept in .local/
    #[arg(long)]
    reset: bool,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Ctrl-C and what a supervisor sends.
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

/// What `/_local/logs` shows: all is on stderr anyway, and a stack may run for weeks.
const LOG_LINES: usize = 10_000;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command-line program talks to people on stderr")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::listen()?;
    let options = options(arguments)?;
    let start = async {
        build().await?;
        Ok::<_, Box<dyn std::error::Error>>(Stack::start(options).await?)
    };
    let stack = tokio::select! {
        stack = start => stack?,
        () = signals.received() => return Ok(()),
    };
    announce(&stack)?;
    signals.received().await;
    stack.stop().await;
    Ok(())
}

fn options(arguments: &Arguments) -> std::io::Result<Options> {
    let root = workspace();
    let data =
        if arguments.in_memory { Data::InMemory } else { Data::Directory(root.join(".local")) };
    // Cargo puts the functions next to this program.
    let program = std::env::current_exe()?;
    let binaries = program.parent().unwrap_or(Path::new(".")).to_owned();
    let template = root.join("template.yaml");
    let Arguments { port, reset, .. } = *arguments;
    let parameters = arguments.parameters.iter().cloned().collect();
    Ok(Options {
        data,
        reset,
        port,
        parameters,
        echo: true,
        log_lines: LOG_LINES,
        ..Options::in_memory(template, binaries)
    })
}

fn workspace() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Builds the functions, with Cargo's own progress.
#[expect(clippy::disallowed_methods, reason = "Cargo names itself in the environment")]
async fn build() -> Result<(), Box<dyn std::error::Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        // This program too, for one set of features over all: see its Cargo.toml.
        .args(["build", "--package", "functions", "--package", "local", "--bins"])
        .current_dir(workspace())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // `cargo run` describes this program to it; a dependency would be built anew for that.
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

/// The one line on stdout, for programs that wait for the stack.
fn announce(stack: &Stack) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {}", stack.url())?;
    stdout.flush()
}

//! `tenure`: accounts, erasures and receipts from a terminal, through the public API with the caller's own rights.
//!
//! Results go to stdout, messages go to stderr. Text from the API is made harmless for a terminal before it is printed
//! ([`show`]).

mod arguments;
mod client;
mod commands;
mod context;
mod error;
mod profile;
mod prompt;
mod receipt;
mod show;
mod wire;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::Arguments;
use crate::error::Error;

fn main() -> ExitCode {
    match commands::run(Arguments::parse()) {
        // The reader, such as `head`, has closed the pipe.
        Err(Error::Output(problem)) if problem.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            show::complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

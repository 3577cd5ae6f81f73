//! The commands, one module per subject.

mod customers;
mod erasures;
mod events;
mod holds;
mod receipts;
mod session;
mod watch;
mod webhooks;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::context::Context;
use crate::error::{EXIT_CODES, Error};
use crate::profile::Name;
use crate::show;

/// Accounts, erasures and receipts of a Tenure installation, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "tenure", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Use this profile: the address of an installation, and a token for it
    #[arg(long, global = true, default_value = "default", value_name = "NAME")]
    profile: Name,
    /// Print JSON on stdout: one document or, for a list, one per row
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign in, and keep the token in the profile
    Login(session::Login),
    /// End the session, and forget its token
    Logout,
    /// List, show and create accounts
    #[command(subcommand)]
    Customers(customers::Customers),
    /// List frozen accounts, in the order in which their deletion is due
    Due(customers::Due),
    /// Show what deleting an account would do; changes nothing
    Plan(erasures::Plan),
    /// Delete an account at once, irreversibly, if its plan is still accurate
    Delete(erasures::Delete),
    /// Set, lift and list holds, which keep an account from being deleted
    #[command(subcommand)]
    Hold(holds::Holds),
    /// Follow an erasure until it is complete, and verify its receipt
    Watch(watch::Watch),
    /// Verify a receipt; offline with --keys
    Verify(receipts::Verify),
    /// Print the keys that verify receipts
    Keys(receipts::FetchKeys),
    /// List what happened to an account, newest first
    Events(events::Events),
    /// Show failing webhooks, and resend deliveries
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Carries out a command.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let context = Context { profile: arguments.profile, json: arguments.json };
    match arguments.command {
        Command::Login(command) => command.run(&context),
        Command::Logout => session::log_out(&context),
        Command::Customers(command) => command.run(&context),
        Command::Due(command) => command.run(&context),
        Command::Plan(command) => command.run(&context),
        Command::Delete(command) => command.run(&context),
        Command::Hold(command) => command.run(&context),
        Command::Watch(command) => command.run(&context),
        Command::Verify(command) => command.run(&context),
        Command::Keys(command) => command.run(&context),
        Command::Events(command) => command.run(&context),
        Command::Webhooks(command) => command.run(&context),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tenure", &mut script);
    show::script(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_receipt_is_verified_with_keys_of_one_source() {
        let parses = |more: &[&str]| {
            let arguments = [&["tenure", "verify", "receipt.jws"][..], more].concat();
            Arguments::try_parse_from(arguments).is_ok()
        };
        assert!(parses(&["--keys", "k"]) && parses(&["--url", "https://example.com"]));
        assert!(!parses(&[]) && !parses(&["--keys", "k", "--url", "https://example.com"]));
    }

    #[test]
    fn no_argument_takes_a_secret_or_personal_data() {
        fn arguments(command: &clap::Command) -> Vec<String> {
            let own = command.get_arguments().map(|argument| argument.get_id().to_string());
            own.chain(command.get_subcommands().flat_map(arguments)).collect()
        }
        let all = arguments(&Arguments::command());
        assert!(all.iter().any(|name| name == "plan"), "{all:?}");
        for name in all {
            assert!(
                !["password", "token", "username", "email", "name_filter"].contains(&name.as_str()),
                "{name}"
            );
        }
    }
}

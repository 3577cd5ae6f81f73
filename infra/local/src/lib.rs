//! Runs Tenure's template on this machine. [`sam_local`] runs any template; this crate adds the parts specific to
//! Tenure.
//!
//! [`options`] adds the first project admin, the description of the API at `/docs`, and the environment variables that
//! functions have only on this machine. [`demo`] fills a stack with an invented world. With the feature `check`,
//! `Description` checks answers against the description.

mod bootstrap;
pub mod demo;
#[cfg(feature = "check")]
mod description;
mod docs;

use std::path::PathBuf;

use sam_local::Options;

pub use bootstrap::{PASSWORD, USERNAME};
#[cfg(feature = "check")]
pub use description::Description;

/// Environment variable that tells a function how many seconds virtual time is ahead. A test proves that the template
/// never sets it.
const CLOCK_VARIABLE: &str = "TENURE_CLOCK_OFFSET_SECONDS";

/// Name and value of the environment variable that replaces DNS for functions: a JSON object that maps host names to
/// lists of addresses. It is empty, so no host name resolves. If the variable is set, functions send webhooks
/// to loopback addresses only.
const HOSTS: (&str, &str) = ("LOCAL_HOSTS", "{}");

/// Values of the template's parameters that switch on the console and mail. The stack keeps mail instead of sending
/// it. Links in mail lead to the default port.
const PARAMETERS: [(&str, &str); 4] = [
    ("ConsoleEnabled", "true"),
    ("MailFrom", "no-reply@tenure.example"),
    ("MailIdentity", "tenure.example"),
    ("PublicUrl", "http://127.0.0.1:3000"),
];

/// Field of the functions' log lines: the number of password hashes that a request computed.
const HASHES: &str = "hashes";

/// Returns the options of a stack that runs Tenure's template, shows no log lines, and keeps its data in memory.
pub fn options(template: impl Into<PathBuf>, binaries: impl Into<PathBuf>) -> Options {
    let (name, hosts) = HOSTS;
    Options {
        parameters: PARAMETERS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        environment: [(name.to_owned(), hosts.to_owned())].into(),
        clock_variable: Some(CLOCK_VARIABLE.to_owned()),
        setup: vec![bootstrap::invocation()],
        routes: docs::router(),
        log_fields: vec![HASHES.to_owned()],
        ..Options::in_memory(template, binaries)
    }
}

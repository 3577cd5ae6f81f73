//! Runs `template.yaml` on this machine: the real function binaries, an embedded `DynamoDB`, no AWS.
//!
//! [`Stack::start`] reads the template and plays what surrounds the functions on AWS. Requests take
//! this way through the modules:
//!
//! ```text
//! client ─► gateway ─► lambda (processes, Runtime API) ─► binary
//!                        ▲   ▲                              │ AWS SDK
//!             schedules ─┘   ├── events (rules) ◄───────── endpoint ─► dynamodb, kms
//!                            └── streams ◄──────── writes ────────────────┘
//! ```
//!
//! `control` looks at all of them, moves the `clock` and waits for `activity` to end. What is in the
//! template is in the stack; what is missing there is missing here.
//!
//! [`Tables`] is the template's tables alone, for an SDK in the process that asks: no socket, no
//! processes, every call held and every fault struck as a test wants it.

mod activity;
mod bootstrap;
mod clock;
mod console;
mod control;
mod data;
mod description;
mod docs;
mod dynamodb;
mod endpoint;
mod error;
mod events;
mod gateway;
mod kms;
mod lambda;
mod permissions;
mod schedules;
mod stack;
mod state;
mod stats;
mod streams;
mod tables;
mod template;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use data::Data;
pub use description::Description;
pub use dynamodb::Footprint;
pub use error::Error;
pub use permissions::OWNER;
pub use stack::{Options, Sinks, Stack};
pub use tables::{Call, Held, Process, Snapshot, Tables};

/// The region and the account the stack pretends to be in.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// Takes a lock. What is behind the stack's locks stays usable if a holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

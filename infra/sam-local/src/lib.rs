//! Runs an AWS SAM template on one machine: starts the real function binaries, and emulates the AWS services
//! that the template names, with an embedded `DynamoDB`.
//!
//! [`Stack::start`] reads a template and emulates the services around its functions. A request passes through
//! the modules as follows:
//!
//! ```text
//! client ─► gateway ─► lambda (processes, Runtime API) ─► binary
//!                        ▲   ▲                              │ AWS SDK
//!             schedules ─┘   ├── events (rules) ◄───────── endpoint ─► dynamodb, kms, ses
//!                            └── streams ◄──────── writes ────────────────┘
//! ```
//!
//! The module `control` inspects all these services, moves the virtual `clock`, and waits until background
//! `activity` ends. Routes, variables, permissions, tables and rules come only from the template, so anything
//! missing from the template is missing in the stack, too. At its start, the stack lists the parts of the
//! template that it does not emulate.
//!
//! | Service | What is emulated |
//! |---|---|
//! | API Gateway | HTTP API with payload format 2.0, route precedence, CORS |
//! | Lambda | Processes that speak the Runtime API, concurrency, timeouts, retries, the Invoke API |
//! | `DynamoDB` | Tables, secondary indexes, transactions and their conflicts, TTL, streams with event source mappings |
//! | `EventBridge` | Buses, rules with event patterns, schedules (`rate`, `cron`) |
//! | KMS | `Sign` and `GetPublicKey` of keys on P-256 |
//! | SES | `SendEmail`: messages are kept and shown, and go nowhere |
//! | IAM | Inline policies without wildcards: a call that is not granted is refused |
//! | `CloudFormation` | Parameters, rules, conditions, mappings, intrinsic functions, `Globals` |
//!
//! [`Tables`] emulates only the template's `DynamoDB` tables, for an SDK in the same process: without sockets
//! or function processes. A test can hold each call until it releases it, and inject faults.

mod activity;
mod aws;
mod clock;
mod console;
mod control;
mod data;
mod dynamodb;
mod endpoint;
mod error;
mod events;
mod gateway;
mod history;
mod host;
mod iam;
mod kms;
mod lambda;
mod options;
mod schedules;
mod ses;
mod stack;
mod state;
mod stats;
mod streams;
mod sync;
mod tables;
mod template;

pub use data::Data;
pub use dynamodb::Footprint;
pub use error::Error;
pub use iam::OWNER;
pub use options::{Invocation, Kept, Options};
pub use stack::{Sinks, Stack};
pub use tables::{Call, Held, Process, Snapshot, Tables};
pub use template::yaml;

//! The library that Tenure's Lambda functions share.
//!
//! | module | holds |
//! |---|---|
//! | [`domain`] | the rules: values, permissions, lifecycle. No AWS, HTTP, environment, clock or randomness |
//! | [`store`] | the three DynamoDB tables: keys, items, one transaction per change |
//! | [`password`] | argon2id hashes |
//! | [`auth`] | who calls, with which permission, within which rate limits |
//! | [`http`] | requests, replies, errors |
//! | [`sign_up`] | makes the account of a sign-up whose address is proven |
//! | [`invitation`] | what a new agent logs in with: a password, or an invitation by mail |
//! | [`lifecycle`] | lifecycle changes: decided, written, decided again if another writer came first |
//! | [`replay`] | answers to repeated idempotent requests |
//! | [`erasure`] | deletions bound to a plan; the restore replay |
//! | [`backfill`] | index keys for accounts that an earlier version wrote last |
//! | [`completion`] | participants' answers, and the final receipt of an erasure that waits for none of them any more |
//! | [`purge`] | deletes what a due account owns, until a tombstone and a signed receipt are left |
//! | [`asking`] | asks participants to erase what they keep |
//! | [`bus`] | the event bus; publishes the outbox to it |
//! | [`mail`] | notifies account owners by mail, and carries out mail intents |
//! | [`webhook`] | signs events and delivers them to webhooks |
//! | [`signature`] | signed erasure receipts and the public keys that verify them |
//! | [`patience`] | how long conflicting calls are retried |
//! | [`pages`] | what the account pages say of the installation, and of the erase rules |
//! | [`platform`] | environment, clock, log, metrics, TLS, AWS SDK |
//! | [`app`] | handler context: store, clock, randomness |
//! | [`runtime`] | runs a handler as a Lambda function |
//!
//! The table `MAY_USE` in `tests/module_edges.rs` lists which module uses which; there are no cycles. `store` and
//! `http` do not know each other.

// The log's test logs an event as a library would. Attributes on it have no effect on this lint.
#![cfg_attr(test, allow(clippy::disallowed_macros))]

pub mod app;
pub mod asking;
pub mod auth;
pub mod backfill;
pub mod bus;
pub mod completion;
pub mod domain;
pub mod erasure;
pub mod http;
pub mod invitation;
pub mod lifecycle;
pub mod mail;
pub mod pages;
pub mod password;
pub mod patience;
pub mod platform;
pub mod purge;
pub mod replay;
pub mod runtime;
pub mod sign_up;
pub mod signature;
pub mod store;
pub mod webhook;

//! The library that Tenure's Lambda functions share.
//!
//! | module | holds |
//! |---|---|
//! | [`domain`] | the rules: values, permissions, lifecycle. No AWS, HTTP, environment, clock or randomness |
//! | [`store`] | the three DynamoDB tables: keys, items, one transaction per change |
//! | [`password`] | argon2id hashes |
//! | [`auth`] | who calls, with which permission, within which rate limits |
//! | [`http`] | requests, replies, errors |
//! | [`sign_up`] | creates the account of a sign-up once its e-mail address is proven |
//! | [`invitation`] | what a new agent logs in with: a password, or an invitation by mail |
//! | [`lifecycle`] | carries out lifecycle changes, and decides again if another writer came first |
//! | [`replay`] | answers to repeated idempotent requests |
//! | [`erasure`] | deletions as planned; repeats erasures that a restored table has undone |
//! | [`backfill`] | adds index keys to accounts that an earlier version of the program wrote |
//! | [`completion`] | records participants' answers, and signs the final receipt after the last one |
//! | [`purge`] | deletes the data of accounts whose deletion is due, and signs a receipt |
//! | [`asking`] | asks participants, systems that keep data of accounts, to erase it |
//! | [`bus`] | publishes events from the outbox table to the event bus |
//! | [`mail`] | notifies account owners by mail, and mails the links that they request |
//! | [`webhook`] | signs events and delivers them to webhooks |
//! | [`signature`] | signed erasure receipts and the public keys that verify them |
//! | [`patience`] | how long conflicting calls are retried |
//! | [`pages`] | fills the installation's settings and the erase rules into the account pages |
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

//! What Tenure's functions have in common.
//!
//! | module | holds |
//! |---|---|
//! | [`domain`] | the rules: values, permissions, lifecycle. No AWS, HTTP, environment, clock or randomness |
//! | [`store`] | the three DynamoDB tables: keys, items, one transaction per change |
//! | [`password`] | argon2id hashes |
//! | [`auth`] | who calls, with which permission, within which rate limits |
//! | [`http`] | requests in, replies and errors out |
//! | [`lifecycle`] | lifecycle changes: decided, written, decided again if another writer came first |
//! | [`replay`] | answers to repeated idempotent requests |
//! | [`erasure`] | deletions that are planned |
//! | [`purge`] | deletes what a due account owns, until a tombstone and a signed receipt are left |
//! | [`bus`] | publishes the outbox to the event bus |
//! | [`webhook`] | signs events and delivers them to webhooks |
//! | [`signature`] | signed erasure receipts and the public keys that verify them |
//! | [`patience`] | how long a request goes on trying |
//! | [`platform`] | environment, clock, log, metrics, TLS, AWS SDK |
//! | [`app`] | handler context: store, clock, randomness |
//! | [`runtime`] | runs a handler as a Lambda function |
//!
//! Functions use `http`, `auth` and `runtime`; those use `store`; all use `domain`, which uses none
//! of them. `store` and `http` do not know each other.

pub mod app;
pub mod auth;
pub mod bus;
pub mod domain;
pub mod erasure;
pub mod http;
pub mod lifecycle;
pub mod password;
pub mod patience;
pub mod platform;
pub mod purge;
pub mod replay;
pub mod runtime;
pub mod signature;
pub mod store;
pub mod webhook;

//! What Tenure's functions have in common.
//!
//! | module | holds |
//! |---|---|
//! | [`domain`] | the rules: values, permissions, lifecycle. No AWS, HTTP, environment, clock or randomness |
//! | [`store`] | the three DynamoDB tables: keys, items, one transaction per change |
//! | [`password`] | argon2id hashes |
//! | [`auth`] | who calls, with which permission, within which rate limits |
//! | [`http`] | requests in, replies and errors out |
//! | [`lifecycle`] | decide and persist, again if another writer came first |
//! | [`repeat`] | answers to requests that were fulfilled before |
//! | [`erasure`] | deletions that are planned |
//! | [`purge`] | the cascade that leaves a tombstone, a receipt, and nothing else |
//! | [`bus`] | events on their way out |
//! | [`webhook`] | webhooks on their way to where they may go |
//! | [`signature`] | erasure receipts, signed, and the keys that check them |
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
pub mod platform;
pub mod purge;
pub mod repeat;
pub mod runtime;
pub mod signature;
pub mod store;
pub mod webhook;

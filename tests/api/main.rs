//! Black-box tests of the API: they send HTTP requests to the real binaries, run as the real template says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why"
)]

mod accepts;
mod accesskeys;
mod addresses;
mod agents;
mod authority;
mod brake;
mod budgets;
mod canaries;
mod caps;
mod contention;
#[path = "../customer.rs"]
mod customer;
mod customers;
mod erasure;
mod events;
mod faults;
mod find;
mod front;
mod harness;
mod idempotency;
mod input;
mod invitations;
mod isolation;
mod known_networks;
mod lifecycle;
mod logout;
mod logs;
mod mail;
mod messages;
mod openapi;
mod pages;
mod panics;
mod participants;
mod participants_answers;
mod participants_asking;
mod participants_faults;
mod password_reset;
mod passwords;
mod permissions;
mod preconditions;
mod purge;
mod quotas;
mod races;
mod receipt;
mod receiver;
mod resilience;
mod resources;
mod runbook;
mod scale;
mod seed;
mod sessions;
mod signup;
mod states;
mod store;
mod support;
mod template;
mod tickets;
mod unregister_by_link;
mod updates;
mod upgrade;
mod usernames;
mod verification;
mod webhook_targets;
mod webhooks;

/// A fast allocator: the embedded database allocates memory for every attribute of every item.
#[global_allocator]
static ALLOCATOR: shared::runtime::MiMalloc = shared::runtime::MiMalloc;

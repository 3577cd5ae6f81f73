//! The API as its clients see it: HTTP to the real binaries, through the real template.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why"
)]

mod accesskeys;
mod agents;
mod canaries;
mod erasure;
mod faults;
mod harness;
mod input;
mod isolation;
mod lifecycle;
mod logout;
mod logs;
mod passwords;
mod purge;
mod races;
mod receipt;
mod resilience;
mod resources;
mod scale;
mod seed;
mod sessions;
mod store;
mod template;
mod usernames;

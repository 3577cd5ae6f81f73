//! Proofs against hostile tables: endpoints and store in this process, every call to the tables held,
//! reordered, refused, lost or cut off.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why"
)]

mod crashes;
mod delivery;
mod endpoints;
mod faults;
mod interleavings;
mod operations;
mod scene;
mod state;
mod world;

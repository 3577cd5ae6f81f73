//! Proofs against hostile tables: endpoints and store run in this process, and every database call can be held,
//! reordered, refused, lost or cut off.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and says why"
)]

mod bus;
mod crashes;
#[path = "../customer.rs"]
mod customer;
mod delivery;
mod endpoints;
mod faults;
mod interleavings;
mod lost_races;
mod mailed;
mod operations;
mod own_host;
mod rounds;
mod runs;
mod scene;
mod state;
mod world;

/// A fast global allocator, since the embedded store allocates memory for every attribute of every item.
#[global_allocator]
static ALLOCATOR: shared::runtime::MiMalloc = shared::runtime::MiMalloc;

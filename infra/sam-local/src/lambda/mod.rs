//! Lambda: the template's functions, each a pool of processes that run its binary.

mod failure;
mod functions;
mod output;
mod process;
pub(crate) mod runtime_api;

pub(crate) use functions::{Functions, Surroundings};

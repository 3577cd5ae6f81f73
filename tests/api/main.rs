//! The API as its clients see it: HTTP to the real binaries, through the real template.

mod harness;
mod input;
mod lifecycle;
mod purge;
mod races;
mod resilience;
mod seed;
mod sessions;
mod template;

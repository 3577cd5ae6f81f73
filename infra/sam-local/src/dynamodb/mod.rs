//! `DynamoDB`: a layer in front of an embedded emulator. It checks permissions, index projections and key
//! conditions, counts calls and capacity, locks the items of transactions in flight, and injects faults.
//!
//! Every call, over HTTP or in process, goes through `DynamoDb::admit` and `DynamoDb::carry_out`.

mod batch;
mod capacity;
mod execute;
mod faults;
mod footprint;
mod holds;
mod inject;
mod key_condition;
mod projection;
mod replica;
mod reply;
mod request;
mod service;
mod storage;

pub use footprint::Footprint;
pub(crate) use reply::{Answer, Reply};
pub(crate) use service::{DynamoDb, Phase};
pub(crate) use storage::Copy;

#[cfg(test)]
mod tests;

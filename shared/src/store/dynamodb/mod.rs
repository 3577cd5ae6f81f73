//! DynamoDB: expressions, reads, writes and transactions, with retries until the deadline of the request.
//!
//! The only type of the domain that this module uses is the error.

mod expression;
#[cfg(test)]
pub(crate) mod fake;
mod read;
mod tables;
mod transaction;
mod value;
mod write;

pub use tables::Store;

pub(crate) use expression::{Condition, UpdateExpression, element, names};
pub(crate) use read::{Probe, all, count, first, page, raw_page};
pub(crate) use tables::{Address, Table};
pub(crate) use transaction::{
    Attempt, CommitResult, Conflict, Guard, Leg, Requirement, Transaction, Witness,
};
pub(crate) use value::{Item, internal, number, read, string, to_item, unavailable};
pub(crate) use write::Write;

#[cfg(test)]
pub(crate) use value::tests::any_values;

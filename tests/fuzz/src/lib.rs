//! Properties that the parsers of untrusted input have for any bytes. `infra/check_fuzz.py` runs them.
//!
//! An accepted value is within its documented limits and, written out and parsed again, is the same. A refusal is a
//! client error, and the answer names the field.

#![allow(clippy::missing_panics_doc, reason = "a property that does not hold panics")]
#![allow(clippy::unwrap_used, reason = "a property that does not hold panics")]

mod address;
mod authorization;
mod idempotency_key;
mod if_match;
mod json_body;
mod page_token;
mod query;
mod refusal;
mod request;
mod webhook_answer;
mod webhook_uri;

pub use address::address;
pub use authorization::authorization;
pub use idempotency_key::idempotency_key;
pub use if_match::if_match;
pub use json_body::json_body;
pub use page_token::page_token;
pub use query::query;
pub use webhook_answer::webhook_answer;
pub use webhook_uri::webhook_uri;

//! HTTP requests, replies and errors. Independent of the database.

mod accepts;
mod conditional;
mod customer_query;
mod error;
mod idempotency_key;
mod json;
mod page_file;
mod reply;
mod request;
pub mod view;

pub use accepts::{ACCOUNT, AGENT, Accepts, PAGE, PAGE_OF_ACCOUNT, PAGE_OF_EVENTS};
pub use conditional::Preconditions;
pub use customer_query::CUSTOMER_QUERY;
pub use error::{message, reason};
pub use json::event;
pub use page_file::PageFile;
pub use reply::Reply;
pub use request::{PageQuery, QuotaStatuses, Request};

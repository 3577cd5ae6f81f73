//! Runs a handler as a Lambda function: builds its context once, and answers every request of the API, even after an
//! error or a panic.

mod crash;
mod endpoint;
mod serve;
mod stream;

pub use endpoint::Endpoint;
#[doc(hidden)]
pub use mimalloc::MiMalloc;
pub use serve::{serve, serve_event};
pub use stream::{BatchFailures, StreamRecord};

/// Result of a function's `main`.
pub type Result = std::result::Result<(), lambda_runtime::Error>;

//! The process's surroundings: environment, clock, log, metrics, TLS and the AWS SDK. These modules use only the
//! [`domain`](crate::domain) and each other.

pub(crate) mod aws;
pub mod clock;
pub mod config;
mod http_client;
pub(crate) mod log;
pub mod metrics;
pub(crate) mod sdk;
pub(crate) mod tls;

pub use clock::{Clock, Deadline};
pub use http_client::http_client;

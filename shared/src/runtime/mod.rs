//! Runs a handler as a Lambda function: builds what it needs once, and never fails at the edge.

mod app;
pub mod clock;
pub mod config;
mod log;
pub mod metrics;
mod sdk;
mod serve;

pub use app::App;
pub use clock::Deadline;
pub(crate) use sdk::{eventbridge_config, kms_config};
pub use serve::{serve, serve_event};

use crate::domain::Error;

/// How a function's `main` ends.
pub type Result = std::result::Result<(), lambda_runtime::Error>;

/// What a handler works with, built once when the function starts.
pub trait Build: Sized + Send + Sync + 'static {
    /// Builds it from the environment.
    fn build() -> std::result::Result<Self, Error>;

    /// Does what the first request would have to wait for. It is done while the function starts, when
    /// Lambda gives it a whole processor.
    fn prepare(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Waits for what a request has left to be done beside it.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What a handler works with that needs nothing.
#[derive(Debug)]
pub struct Nothing;

impl Build for Nothing {
    fn build() -> std::result::Result<Self, Error> {
        Ok(Self)
    }
}

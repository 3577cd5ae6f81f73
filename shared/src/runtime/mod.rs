//! Runs a handler as a Lambda function: builds what it needs once, and never fails at the edge.

mod app;
pub mod clock;
pub mod config;
mod crash;
mod http_client;
mod log;
pub mod metrics;
mod sdk;
mod serve;
pub(crate) mod tls;

pub use app::App;
pub use clock::Deadline;
pub use http_client::http_client;
#[doc(hidden)]
pub use mimalloc::MiMalloc;
pub(crate) use sdk::{eventbridge_config, kms_config};
pub use serve::{serve, serve_event};

use std::future::ready;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::domain::Error;
use crate::domain::idempotency::IdempotencyRecord;
use crate::http::Reply;

/// How a function's `main` ends.
pub type Result = std::result::Result<(), lambda_runtime::Error>;

/// What a handler works with, built once when the function starts.
///
/// Its futures are boxed, so that they are compiled with it and not in every function anew.
pub trait Build: Sized + Send + Sync + 'static {
    /// Builds it from the environment.
    fn build() -> std::result::Result<Self, Error>;

    /// Does what the first request would have to wait for. It is done while the function starts, when
    /// Lambda gives it a whole processor.
    fn prepare(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    /// Answers a request that was fulfilled before, by `route`, from what it did.
    fn repeat<'a>(
        &'a self,
        _route: &'a str,
        done: IdempotencyRecord,
    ) -> BoxFuture<'a, std::result::Result<Reply, Error>> {
        ready(Err(Error::Repeated(Box::new(done)))).boxed()
    }

    /// Waits for what a request has left to be done beside it.
    fn settle(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
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

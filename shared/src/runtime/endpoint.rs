//! An API route: its handler, what it accepts, and how a repeated idempotent request is answered.

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::domain::Error;
use crate::domain::idempotency::IdempotencyRecord;
use crate::http::{Accepts, Reply, Request};
use crate::store::{authority, idempotency};

/// A function that answers a request: a handler or, for a repeated idempotent request, a replay. Boxed, so that
/// the code that calls it is compiled once and not once per handler.
type Handler<P, I> =
    Box<dyn Fn(&'static P, I) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync>;

/// An API route whose handler gets the context `P`. The route accepts only those query parameters and
/// preconditions that are declared.
pub struct Endpoint<P: 'static> {
    accepts: Accepts,
    /// Whether the handler does not authenticate its caller. If so, query and headers are checked before it
    /// is called.
    is_public: bool,
    handle: Handler<P, Request>,
    replay: Option<Handler<P, IdempotencyRecord>>,
}

impl<P: 'static> Endpoint<P> {
    /// Returns a route whose `handle` authenticates its caller.
    pub fn new<H, F>(handle: H) -> Self
    where
        H: Fn(&'static P, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        Self {
            accepts: Accepts::default(),
            is_public: false,
            handle: Box::new(move |context, request| handle(context, request).boxed()),
            replay: None,
        }
    }

    /// Returns a route that anybody may call.
    pub fn public<H, F>(handle: H) -> Self
    where
        H: Fn(&'static P, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        Self { is_public: true, ..Self::new(handle) }
    }

    /// Declares the query parameters that the route accepts.
    #[must_use]
    pub fn query(mut self, names: &'static [&'static str]) -> Self {
        self.accepts.query = names;
        self
    }

    /// Declares that the handler evaluates `If-Match` and `If-None-Match`.
    #[must_use]
    pub fn preconditions(mut self) -> Self {
        self.accepts.preconditions = true;
        self
    }

    /// Declares how a repeated request is answered: one whose `Idempotency-Key` was used before by an identical
    /// request.
    #[must_use]
    pub fn replay<H, F>(mut self, replay: H) -> Self
    where
        H: Fn(&'static P, IdempotencyRecord) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        self.replay = Some(Box::new(move |context, record| replay(context, record).boxed()));
        self
    }

    /// Builds the request from what the gateway sent.
    #[must_use]
    pub fn request(&self, request: lambda_http::Request) -> Request {
        Request::new(request, self.accepts)
    }

    /// Answers a request: by the handler, or by the replay if the request was fulfilled before.
    pub async fn answer(&self, context: &'static P, request: Request) -> Result<Reply, Error> {
        request.require_front()?;
        request.require_no_webhook()?;
        if self.is_public {
            request.require_accepted()?;
        }
        let handled = authority::scope((self.handle)(context, request));
        let (outcome, earlier) = idempotency::scope(handled).await;
        match (earlier, &self.replay) {
            (Some(record), Some(replay)) => replay(context, record).await,
            _ => outcome,
        }
    }
}

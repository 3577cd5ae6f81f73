//! Rate limits. A request is counted against the account that its token names, concurrently with the read that
//! authenticates it. If the token turns out to be invalid, that count is taken back and the request is counted against
//! its network instead: anybody can send a token that names any account.

use crate::app::App;
use crate::domain::network::{Network, Source};
use crate::domain::quota::{Quota, QuotaStatus};
use crate::domain::{Customer, Error, Id, Timestamp};
use crate::http::Request;
use crate::platform::log::{Cause, LogEntry};

/// The count of a request, before it is known whether its token is valid.
pub(super) struct Count<'a> {
    app: &'a App,
    request: &'a Request,
    customer: Source,
    now: Timestamp,
    /// `None` if such requests are not counted.
    outcome: Option<Result<QuotaStatus, Error>>,
}

/// Counts a request and runs `read` in the same round trip. Refuses a network that is known to have exhausted its quota
/// of invalid tokens before either.
pub(super) async fn count_beside<'a, T>(
    app: &'a App,
    request: &'a Request,
    customer: Id<Customer>,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<(T, Count<'a>), Error> {
    let (customer, now) = (Source::Customer(customer), app.now());
    if let Some(quota) = app.quotas.invalid_tokens {
        app.exhausted().check(quota, &network(request), now)?;
    }
    let count = async {
        let quota = app.quotas.requests?;
        Some(app.store.count(quota, &customer, now).await)
    };
    let (outcome, read) = futures_util::join!(count, read);
    Ok((read?, Count { app, request, customer, now, outcome }))
}

impl Count<'_> {
    /// Returns the caller, unless the account's quota is exhausted. A count that failed refuses nobody: rate limits are for
    /// fairness, not for security.
    pub(super) async fn admit<T>(self, caller: Result<T, Error>) -> Result<T, Error> {
        match (caller, self.outcome) {
            (Err(Error::InvalidCredentials), outcome) => {
                let counted = matches!(outcome, Some(Ok(_))).then_some(self.customer);
                Err(count_invalid(self.app, self.request, counted, self.now).await)
            }
            (Ok(_), Some(Err(Error::TooManyRequests(standing)))) => {
                Err(Error::TooManyRequests(standing))
            }
            (Ok(caller), outcome) => {
                match outcome {
                    Some(Ok(standing)) => self.request.counted(standing),
                    Some(Err(error)) => LogEntry::RequestNotCounted { cause: Cause(&error) }.log(),
                    None => {}
                }
                Ok(caller)
            }
            (error, _) => error,
        }
    }
}

/// Counts a request with an invalid token against its network, and takes back the count against `customer`. Returns the
/// error of the request, which reveals nothing of the quota of an account that is not the sender's.
async fn count_invalid(
    app: &App,
    request: &Request,
    customer: Option<Source>,
    now: Timestamp,
) -> Error {
    let by_customer = async {
        if let (Some(customer), Some(quota)) = (customer, app.quotas.requests) {
            app.store.take_back(quota, &customer, now).await?;
        }
        Ok(())
    };
    let by_network = async {
        let Some(quota) = app.quotas.invalid_tokens else { return Ok(()) };
        count_network(app, request, quota, now).await
    };
    let (by_customer, by_network) = futures_util::join!(by_customer, by_network);
    let mut refusal = Error::InvalidCredentials;
    for error in [by_customer, by_network].into_iter().filter_map(Result::err) {
        if matches!(error, Error::TooManyRequests(_)) {
            refusal = error;
        } else {
            LogEntry::RequestNotCounted { cause: Cause(&error) }.log();
        }
    }
    refusal
}

/// Counts a request against its network, and remembers a network that has exhausted the quota until the window ends.
pub(super) async fn count_network(
    app: &App,
    request: &Request,
    quota: Quota,
    now: Timestamp,
) -> Result<(), Error> {
    let network = network(request);
    let counted = app.store.count(quota, &Source::Network(network.clone()), now).await;
    match counted {
        Ok(standing) => request.counted(standing),
        Err(Error::TooManyRequests(standing)) => {
            app.exhausted().insert(network, standing, now);
            return Err(Error::TooManyRequests(standing));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

pub(super) fn network(request: &Request) -> Network {
    Network::of(request.source_ip())
}

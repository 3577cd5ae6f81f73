//! Who has sent too much. A request is counted against the account that its token names, beside what is read
//! to know its caller. Anybody can name anybody: if the token is not valid, the count is taken back, and the
//! network that it came from is counted instead.

use crate::app::App;
use crate::domain::network::{Network, Source};
use crate::domain::quota::{Quota, QuotaStatus};
use crate::domain::{Customer, Error, Id, Timestamp};
use crate::http::Request;
use crate::platform::log::{Cause, LogEntry};

/// A request that is counted, and may be one too many.
pub(super) struct Count<'a> {
    app: &'a App,
    request: &'a Request,
    customer: Source,
    now: Timestamp,
    /// `None` if such requests are not counted.
    outcome: Option<Result<QuotaStatus, Error>>,
}

/// Counts a request, and does `read` in the same round trip. A network that is known to send nothing that is
/// valid is refused before.
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
    /// The caller, if there is one and this was not one too many. A count that could not be made refuses
    /// nobody: it is for fairness, and no lock.
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

/// Counts a request whose token is not valid: against no `customer`, but against its network. What is wrong
/// with it; nobody learns what is left of the quota of an account that is not theirs.
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

/// Counts a request against its network, and remembers if that was one too many: until the window ends
/// nothing can change it.
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

//! Rate limits. A request counts against the account that its token names, in the round trip that reads its
//! caller. A forged token can name any account: if the token is invalid, the count is taken back, and the
//! network that the request came from is counted instead.
//!
//! A large quota is sampled: one request in eight is counted, as eight. Every request reads the count, so
//! once the quota is used up, all requests are refused.

use crate::app::App;
use crate::domain::gate::Access;
use crate::domain::network::{Network, Recipient, Source};
use crate::domain::quota::{Quota, QuotaStatus};
use crate::domain::{Customer, Error, Id, Purpose, Timestamp};
use crate::http::Request;
use crate::platform::log::{Cause, LogEntry};
use crate::store::Items;
use crate::store::key::{self, Key};

/// A request that was counted against its account's quota and is not admitted yet.
pub(super) struct Count<'a> {
    app: &'a App,
    request: &'a Request,
    customer: Source,
    now: Timestamp,
    /// Result of counting this request; `None` if it is not counted.
    counted: Option<Result<QuotaStatus, Error>>,
    /// Status of the quota before this request, if requests are sampled.
    sampled: Option<QuotaStatus>,
}

/// Reads the items at `keys` and counts the request in the same round trip.
pub(super) async fn read_and_count<'a>(
    app: &'a App,
    request: &'a Request,
    customer: Id<Customer>,
    mut keys: Vec<Key<()>>,
) -> Result<(Items, Count<'a>), Error> {
    let (customer, now) = (Source::Customer(customer), app.now());
    let quota = app.quotas.requests;
    let sampled = quota
        .filter(|quota| quota.is_sampled())
        .map(|quota| (quota, key::count(quota.kind, &customer, quota.window(now))));
    keys.extend(sampled.iter().map(|(_, count)| count.untyped()));
    let count = async {
        let quota = quota.filter(|quota| quota.counts(app.random_byte()))?;
        Some(app.store.count(quota, &customer, now).await)
    };
    let (counted, items) = futures_util::join!(count, app.store.get_items(&keys));
    let items = items?;
    let status = |(quota, key): (Quota, Key<()>)| Ok(quota.status(items.count(&key)?, now));
    let sampled = sampled.map(status).transpose()?;
    Ok((items, Count { app, request, customer, now, counted, sampled }))
}

impl Count<'_> {
    /// Returns `caller`, if it is authenticated and the quota is not used up; some kinds of [`Access`] are
    /// admitted even then. If counting has failed, the request is admitted: the quota is for fairness, not
    /// access control.
    pub(super) async fn admit<T>(
        self,
        caller: Result<T, Error>,
        access: Access,
    ) -> Result<T, Error> {
        if let Err(Error::InvalidCredentials) = caller {
            let counted = matches!(self.counted, Some(Ok(_))).then_some(self.customer);
            return Err(count_invalid(self.app, self.request, counted, self.now).await);
        }
        let caller = caller?;
        let used_up = match self.counted {
            Some(Err(Error::TooManyRequests(status))) => Some(status),
            // Other requests may have used up the limit while this one was counted.
            _ => self.sampled.filter(|before| before.remaining == 0),
        };
        if let Some(status) = used_up.filter(|_| !access.passes_quota()) {
            return Err(Error::TooManyRequests(status));
        }
        let status = match self.counted {
            Some(Ok(status) | Err(Error::TooManyRequests(status))) => Some(status),
            Some(Err(error)) => {
                LogEntry::RequestNotCounted { cause: Cause(&error) }.log();
                self.sampled
            }
            None => self.sampled,
        };
        if let Some(status) = status {
            self.request.counted(status);
        }
        Ok(caller)
    }
}

/// Counts a request with an invalid token against its network, and takes back its count against the account
/// `customer`. Returns the error that refuses the request. The error reveals nothing about the account's
/// quota, as the sender may have nothing to do with the account.
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

/// Counts a request against its network. A network that has exhausted the quota is remembered until the window ends,
/// and refused without a write.
async fn count_network(
    app: &App,
    request: &Request,
    quota: Quota,
    now: Timestamp,
) -> Result<(), Error> {
    let network = network(request);
    app.exhausted().check(quota, &network, now)?;
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

/// Returns the network that a request comes from.
#[must_use]
pub fn network(request: &Request) -> Network {
    Network::of(request.source_ip())
}

/// Counts a request that is to be answered by mail, against its network and, per purpose, against its
/// recipient: `hash` is that of an e-mail address or a user name. Both are counted in one round trip, whether
/// or not the recipient exists. Returns false if the recipient's limit is exhausted: the response is then to
/// be the usual one, but nothing is mailed. Refuses the request if the network's limit is exhausted, or if
/// the installation sends no mail.
pub async fn admit_mail(
    app: &App,
    request: &Request,
    purpose: Purpose,
    hash: &str,
) -> Result<bool, Error> {
    if !app.sends_mail {
        return Err(Error::MailDisabled);
    }
    let now = app.now();
    let by_network = async {
        let Some(quota) = app.quotas.mail_requests else { return Ok(()) };
        count_network(app, request, quota, now).await
    };
    let by_recipient = async {
        let Some(quota) = app.quotas.mails_per_address else { return Ok(true) };
        match app.store.count(quota, &Source::Recipient(Recipient::new(purpose, hash)), now).await {
            Ok(_) => Ok(true),
            Err(Error::TooManyRequests(_)) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let (by_network, by_recipient) = futures_util::join!(by_network, by_recipient);
    by_network.and(by_recipient)
}

/// Counts an attempt to guess a password or another secret against the limit of the request's network, and
/// runs `read` in the same round trip. If the network is already known to have exhausted the limit, refuses
/// the request and does neither. To be called before any hash is computed.
pub async fn count_attempt<T>(
    app: &App,
    request: &Request,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    count_by_network(app, request, Quota::PASSWORD_ATTEMPTS, read).await
}

/// Counts a request with a ticket (the secret by which an erasure is followed) against the limit of the
/// request's network, whether or not the ticket exists, and runs `read` in the same round trip. If the
/// network is already known to have exhausted the limit, refuses the request and does neither.
pub async fn count_ticket<T>(
    app: &App,
    request: &Request,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    count_by_network(app, request, Quota::TICKETS, read).await
}

async fn count_by_network<T>(
    app: &App,
    request: &Request,
    quota: Quota,
    read: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let now = app.now();
    app.exhausted().check(quota, &network(request), now)?;
    let (counted, read) = futures_util::join!(count_network(app, request, quota, now), read);
    counted.and(read)
}

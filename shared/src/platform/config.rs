//! Configuration: the only module that reads the environment.

use std::time::Duration;

use crate::domain::Error;
use crate::domain::brake::Brake;
use crate::domain::caps::Caps;
use crate::domain::front::Front;
use crate::domain::gate::Unverified;
use crate::domain::lifecycle::GRACE;
use crate::domain::quota::{Quota, QuotaKind, Quotas};
use crate::domain::session::SessionLimits;
use crate::domain::webhook_target::{Loopback, TargetPolicy};

/// Environment variable with the host names that webhooks can be sent to on the local stack, each with its
/// addresses: a JSON object that maps names to lists of addresses. No deployment sets it; a test checks that
/// `template.yaml` does not.
pub const LOCAL_HOSTS: &str = "LOCAL_HOSTS";

/// Returns the value of a variable that template.yaml or Lambda sets. Fails if it is unset or empty.
pub fn required(name: &str) -> Result<String, Error> {
    optional(name).ok_or_else(|| {
        Error::Internal(format!(
            "environment variable {name} is not set; template.yaml must give it"
        ))
    })
}

/// Returns the value of a variable. `None` if it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads the policy on where webhooks may be sent. The policy refuses the API's own hosts, as far as the
/// environment names them.
pub fn targets() -> Result<TargetPolicy, Error> {
    let own_hosts = ["DOMAIN_NAME", "API_HOST"].into_iter().filter_map(optional);
    Ok(TargetPolicy::new(loopback()?, own_hosts))
}

/// Returns whether webhooks may be sent to loopback addresses. Only on the local stack: in a deployment, Lambda's
/// runtime API listens there.
fn loopback() -> Result<Loopback, Error> {
    const NAME: &str = "WEBHOOK_ALLOW_LOOPBACK";
    let is_local = optional(LOCAL_HOSTS).is_some();
    match optional(NAME).as_deref() {
        Some("true") if is_local => Ok(Loopback::Allowed),
        Some("true" | "false") | None => Ok(Loopback::Refused),
        Some(_) => Err(Error::Internal(format!("{NAME} is neither true nor false"))),
    }
}

/// Returns the front, a proxy that all requests must come through (such as `CloudFront`); `None` if clients
/// call the API directly.
pub fn front() -> Result<Option<Front>, Error> {
    const NAME: &str = "ORIGIN_SECRET_DIGESTS";
    let Some(digests) = optional(NAME) else { return Ok(None) };
    let (secret, address) = (required("TRUSTED_PROXY_HEADER")?, required("CLIENT_ADDRESS_HEADER")?);
    let malformed = || Error::Internal(format!("{NAME} has no SHA-256 digests"));
    Front::parse(&digests, &secret, &address).ok_or_else(malformed).map(Some)
}

/// Reads how long events are kept.
pub fn event_retention() -> Result<Duration, Error> {
    const NAME: &str = "EVENT_RETENTION_DAYS";
    days(NAME, &required(NAME)?)
}

/// Reads the grace period: how long after an account was frozen its deletion is due.
pub fn grace() -> Result<Duration, Error> {
    const NAME: &str = "GRACE_DAYS";
    optional(NAME).map_or(Ok(GRACE), |text| days(NAME, &text))
}

fn days(name: &str, text: &str) -> Result<Duration, Error> {
    let days = text.parse::<u32>();
    let days = days.map_err(|_| Error::Internal(format!("{name} is not a number of days")))?;
    Ok(Duration::from_hours(u64::from(days) * 24))
}

/// Returns whether accounts whose address was never verified may have resources (numbers, flows, …).
pub fn unverified() -> Result<Unverified, Error> {
    const NAME: &str = "REQUIRE_VERIFIED_EMAIL";
    match optional(NAME).as_deref() {
        Some("true") => Ok(Unverified::Refused),
        Some("false") | None => Ok(Unverified::Admitted),
        Some(_) => Err(Error::Internal(format!("{NAME} is neither true nor false"))),
    }
}

/// Returns the sender of mail. `None` if the installation sends none.
#[must_use]
pub fn mail_from() -> Option<String> {
    optional("MAIL_FROM")
}

/// Reads the maximum number of messages that are sent within an hour. `None` if there is no limit.
pub fn mail_per_hour() -> Result<Option<u64>, Error> {
    limit("MAIL_PER_HOUR")
}

/// Returns the name of the SES configuration set that publishes bounces and complaints. `None` if the
/// installation has none.
#[must_use]
pub fn mail_configuration_set() -> Option<String> {
    optional("MAIL_CONFIGURATION_SET")
}

/// Reads the rate limits.
pub fn quotas() -> Result<Quotas, Error> {
    let is_exact = optional("EXACT_QUOTA").as_deref() == Some("true");
    let requests = if is_exact { Quota::exact } else { Quota::sampled };
    Ok(Quotas {
        requests: limit("REQUESTS_PER_MINUTE")?.map(|limit| requests(QuotaKind::Requests, limit)),
        invalid_tokens: limit("INVALID_TOKENS_PER_MINUTE")?
            .map(|limit| Quota::exact(QuotaKind::InvalidTokens, limit)),
        mail_requests: limit("MAIL_REQUESTS_PER_NETWORK_PER_HOUR")?
            .map(|limit| Quota::exact(QuotaKind::MailRequests, limit)),
        mails_per_address: limit("MAILS_PER_ADDRESS_PER_HOUR")?
            .map(|limit| Quota::exact(QuotaKind::MailsPerAddress, limit)),
    })
}

/// Returns whether the installation serves the console, the operators' web page.
#[must_use]
pub fn console_enabled() -> bool {
    optional("CONSOLE_ENABLED").as_deref() == Some("true")
}

/// Returns whether purging is switched on (the kill switch).
pub fn purge_enabled() -> Result<bool, Error> {
    Ok(required("PURGE_ENABLED")? == "true")
}

/// Reads how many purges may begin within an hour (the circuit breaker).
pub fn breaker() -> Result<u64, Error> {
    const NAME: &str = "BREAKER_ACCOUNTS";
    required(NAME)?.parse().map_err(|_| Error::Internal(format!("{NAME} is not a number")))
}

/// Reads the maximum number of deletions by operators within an hour (the brake). `None` if there is no limit.
pub fn brake() -> Result<Option<Brake>, Error> {
    Ok(limit("DELETIONS_PER_HOUR")?.map(|per_hour| Brake { per_hour }))
}

/// Reads how many agents and access keys an account may own.
pub fn caps() -> Result<Caps, Error> {
    Ok(Caps { agents: limit("MAX_AGENTS")?, access_keys: limit("MAX_ACCESS_KEYS")? })
}

/// Reads the maximum number of sessions of an agent, and the time without use after which a session ends.
pub fn session_limits() -> Result<SessionLimits, Error> {
    let default = SessionLimits::default();
    let idle = limit("SESSION_IDLE_HOURS")?.map(Duration::from_hours);
    let per_agent = limit("MAX_SESSIONS")?.and_then(|most| usize::try_from(most).ok());
    Ok(SessionLimits {
        per_agent: per_agent.unwrap_or(default.per_agent),
        idle: idle.unwrap_or(default.idle),
    })
}

/// Returns whether a deletion by an operator must name the digest of a plan, which counts what the deletion will
/// remove.
#[must_use]
pub fn requires_plan() -> bool {
    optional("REQUIRE_PLAN").as_deref() == Some("true")
}

/// Reads a limit. `None` if it is 0 or the variable is not set: the caller then has no limit or takes a default.
fn limit(name: &str) -> Result<Option<u64>, Error> {
    let Some(value) = optional(name) else { return Ok(None) };
    let limit = value.parse().map_err(|_| Error::Internal(format!("{name} is not a number")))?;
    Ok((limit > 0).then_some(limit))
}

//! Webhook targets: the only parser of webhook URIs, used when a URI is set and again at every delivery.
//!
//! A URI must mean the same to every parser; otherwise it could be used for SSRF. So it must be ASCII (a host
//! in another script is written as `xn--…` and cannot look like another), must contain nothing that parsers
//! disagree about, and must spell its host in the form that the URL Standard serialises.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Position, Url};

use super::public_address::is_public;

/// Maximum length of a URI, in bytes.
pub const MAX_BYTES: usize = 1023;

/// Whether webhooks may be sent to loopback addresses. Only the local stack (for development and tests)
/// allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// Webhooks may not be sent to loopback addresses.
    #[default]
    Refused,
    /// Webhooks may also be sent by `http` to `127.0.0.1`, `[::1]` and `localhost`, on any port.
    Allowed,
}

/// An installation's own rules for webhook targets, in addition to those that always apply.
#[derive(Clone, Debug, Default)]
pub struct TargetPolicy {
    loopback: Loopback,
    /// Names of the hosts of this API. They are refused: a webhook that is sent to one could cause the next
    /// webhook.
    own_hosts: Vec<String>,
}

impl TargetPolicy {
    /// Returns the policy of an installation whose API has the hosts `own_hosts`.
    #[must_use]
    pub fn new(loopback: Loopback, own_hosts: impl IntoIterator<Item = String>) -> Self {
        let own_hosts = own_hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { loopback, own_hosts }
    }

    /// Returns the same policy with `host`, at which the API is reached too, added to the API's own hosts.
    #[must_use]
    pub fn reached_at(&self, host: &str) -> Self {
        let own_hosts = self.own_hosts.iter().cloned().chain([host.to_owned()]);
        Self::new(self.loopback, own_hosts)
    }

    /// Returns the target that `text` names, or the rule that forbids sending webhooks there.
    pub fn target(&self, text: &str) -> Result<WebhookTarget, TargetViolation> {
        let target = WebhookTarget::parse(text, self.loopback)?;
        // On the local stack, the API and the receivers share a host; a webhook that loops there is refused by its
        // `webhook-id`.
        let is_own = !target.is_loopback() && self.own_hosts.iter().any(|own| own == target.host());
        if is_own { Err(TargetViolation::OwnHost) } else { Ok(target) }
    }
}

/// A target that webhooks may be sent to: `https` on port 443 of a public host or, on the local stack, `http` on a
/// loopback address.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    url: Url,
    is_loopback: bool,
}

/// The rule that forbids sending webhooks to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetViolation {
    /// The URL has more than 1,023 characters.
    TooLong,
    /// The URL has a space, a backslash, a control character, or a character that is not ASCII.
    Characters,
    /// The URL has a fragment.
    Fragment,
    /// The text is not a URL.
    NoUrl,
    /// The URL's scheme is not `https`.
    Scheme,
    /// The URL's port is not 443.
    Port,
    /// The URL has a user name or a password.
    UserInfo,
    /// The URL's host is not spelled in the form that the URL Standard serialises.
    HostSpelling,
    /// The URL's host name does not consist of DNS labels.
    HostName,
    /// The URL's host is not public.
    HostNotPublic,
    /// The URL's host is one of this API's own.
    OwnHost,
}

impl fmt::Display for TargetViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "must have at most {MAX_BYTES} characters"),
            Self::Characters => f.write_str(
                "must be in printable ASCII without spaces and backslashes; escape others as %XX, and \
                 write a host's name as xn--…",
            ),
            Self::Fragment => f.write_str("must have no fragment (#…)"),
            Self::NoUrl => f.write_str("must be a complete URL that begins with https://"),
            Self::Scheme => f.write_str("must begin with https://"),
            Self::Port => f.write_str("must have no port other than 443"),
            Self::UserInfo => f.write_str("must have no user name and no password"),
            Self::HostSpelling => {
                f.write_str("must have a host that is written plainly, not escaped or as a number")
            }
            Self::HostName => f.write_str(
                "must have a host whose name is of letters, digits and hyphens, with single dots between them",
            ),
            Self::HostNotPublic => f.write_str("must have a public host"),
            Self::OwnHost => f.write_str("must have another host than this API"),
        }
    }
}

impl WebhookTarget {
    /// Returns the target that `text` names, or the rule that forbids sending webhooks there.
    pub fn parse(text: &str, loopback: Loopback) -> Result<Self, TargetViolation> {
        // Before parsing, because the parser drops tabs and line ends and reads `\` as `/`.
        let plain = |c: char| c.is_ascii_graphic() && c != '\\';
        if text.len() > MAX_BYTES {
            return Err(TargetViolation::TooLong);
        }
        if !text.chars().all(plain) {
            return Err(TargetViolation::Characters);
        }
        if text.contains('#') {
            return Err(TargetViolation::Fragment);
        }
        let url = Url::parse(text).map_err(|_| TargetViolation::NoUrl)?;
        let is_loopback = match (url.scheme(), url.port()) {
            ("https", None) => false,
            ("https", Some(_)) => return Err(TargetViolation::Port),
            ("http", port) if loopback == Loopback::Allowed && port != Some(0) => true,
            _ => return Err(TargetViolation::Scheme),
        };
        if !text[url.scheme().len()..].starts_with("://") {
            return Err(TargetViolation::NoUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetViolation::UserInfo);
        }
        let target = Self { url, is_loopback };
        if !target.is_spelled(text) {
            return Err(TargetViolation::HostSpelling);
        }
        match target.url.host() {
            _ if target.may_host() => Ok(target),
            // Only a loopback address may be called without TLS.
            _ if is_loopback => Err(TargetViolation::Scheme),
            Some(Host::Domain(name)) if !is_host_name(name) => Err(TargetViolation::HostName),
            _ => Err(TargetViolation::HostNotPublic),
        }
    }

    /// Whether `text` spells the host and the port in the form that the URL Standard serialises; the case of
    /// letters may differ, and the default port may be given. An IPv4 address as a single number and an
    /// escaped letter, for example, are other spellings.
    fn is_spelled(&self, text: &str) -> bool {
        let default_port = if self.is_loopback { ":80" } else { ":443" };
        let rest = text[self.url.scheme().len()..].strip_prefix("://").unwrap_or_default();
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let short = authority.strip_suffix(default_port).unwrap_or(authority);
        short.eq_ignore_ascii_case(self.authority())
    }

    fn may_host(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) if self.is_loopback => name == "localhost",
            Some(Host::Domain(name)) => may_be_public(name),
            Some(Host::Ipv4(address)) => self.admits(address.into()),
            Some(Host::Ipv6(address)) => self.admits(address.into()),
            None => false,
        }
    }

    /// Whether a webhook to this target may connect to `address`, as one of the addresses of its host.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        if self.is_loopback {
            address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
        } else {
            is_public(address)
        }
    }

    /// Whether the target is a loopback address, which is called without TLS.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Returns the host as in a URL: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns the addresses of the host if they are known without DNS; `None` if the host is a name that
    /// must be resolved.
    #[must_use]
    pub fn addresses(&self) -> Option<Vec<IpAddr>> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(vec![address.into()]),
            Host::Ipv6(address) => Some(vec![address.into()]),
            Host::Domain(_) if self.is_loopback => {
                Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
            }
            Host::Domain(_) => None,
        }
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// Returns the value of the `Host` header: the host, and the port unless it is the default.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Returns path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// Returns the URL as the URL Standard serialises it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }
}

/// `Debug` shows nothing of the URL, as its path can be a secret.
impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookTarget(…)")
    }
}

/// Top-level domains whose hosts are never public (RFC 6761 and the registry that it created). `example` is
/// not among them, because it has no hosts.
const NEVER_PUBLIC: [&str; 8] =
    ["alt", "arpa", "internal", "invalid", "local", "localhost", "onion", "test"];

/// Whether `name`, in lower case, can be the name of a public host: it has at least two DNS labels, and its
/// top-level domain is not in [`NEVER_PUBLIC`].
fn may_be_public(name: &str) -> bool {
    let top = name.rsplit_once('.').map(|(_, top)| top);
    is_host_name(name) && top.is_some_and(|top| !NEVER_PUBLIC.contains(&top))
}

/// Whether a name is one or more DNS labels.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
